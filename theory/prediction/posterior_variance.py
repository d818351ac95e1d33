"""Claims 2.13 and 2.13b: the price of noise is the posterior variance of the latents.

Whatever the law of x given z, the score of a latent mean m is E[z - m | x] (Fisher's identity), so a cell carries the
information J = I - E Cov(z | x) about a shift where it would carry I were z seen. The noise gain of 2.10 becomes one
with J⁻¹, and n cells are worth n / (uᵀ J⁻¹ u) cells with z seen along a direction u of length 1. For x = F z + ε with
Gaussian noise J = Fᵀ (F Fᵀ + Ψ)⁻¹ F.

Tried against it. (i) J⁻¹ as the variance that an estimator attains: it is a bound, attained for large n where the
mixing and the noise are known; what has to be learned with W costs more, never less. (ii) A base that is not Gaussian:
then the score is not linear in z, and even z that is seen carries another information, 2 for a Laplace base. (iii) One
J for all environments: only in the linear Gaussian case; in general Jₑ is that at W lₑ, and the cells of e count with
it.
"""

import numpy as np
from scipy import stats
from sympy import (
    Derivative,
    Identity,
    Integer,
    Matrix,
    MatrixSymbol,
    Rational,
    Symbol,
    ZeroMatrix,
    diff,
    exp,
    integrate,
    oo,
    sqrt,
    symbols,
)

from theory.assumptions import ADDITIVE, GAUSSIAN, IN_SPAN, ISOTROPIC, OURS
from theory.engine.expectation import Base, E, Random
from theory.engine.formulas import normal_density
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Square, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability.span import noise_gain
from theory.prediction.noise_gain import (
    NORMAL,
    ORIGIN,
    G,
    N,
    X,
    deviation,
    variance,
    x,
)
from theory.prediction.noise_models import known_origin, missed_interaction, missed_part, unit
from theory.symbols import d

CHANNEL = Assumption("channel", "x given z has a known law, one and the same under every label")
observed = Symbol("d_X", integer=True, positive=True)
s, zeta, u = Random("s", d, 1), Base("zeta", d, 1), MatrixSymbol("u", d, 1)
J, J_inverse = MatrixSymbol("J", d, d), MatrixSymbol("J^{-1}", d, d)
F, P, Psi = (
    MatrixSymbol("F", observed, d),
    MatrixSymbol("P", observed, observed),
    MatrixSymbol("Psi", observed, observed),
)
noise = Random("epsilon", observed, 1)

ONE_INFORMATION = Assumption(
    "one_information",
    "J is regular and the same in all environments, whose cells are independent",
    states=((J * J_inverse, Identity(d)), (J_inverse.T, J_inverse)),
)


def _explicit_score() -> Step:
    t, m = symbols("z m", real=True)
    return Step(
        "explicit_score",
        "d_Z = 1: the density of N(m, 1) has the derivative (z − m) times itself in m",
        Derivative(normal_density(t - m), m),
        (t - m) * normal_density(t - m),
    )


SCORE = Lemma(
    "score",
    "the score of m is s = 𝔼[z − m | x]",
    "differentiate the density of x, the integral of that of x given z times that of z, under the integral: by"
    " `explicit_score` z − m appears as a factor, and dividing by the density of x makes it a posterior mean",
    (GAUSSIAN, ISOTROPIC, CHANNEL, "explicit_score"),
)
PROJECTION = Lemma(
    "projection",
    "with ζ = z − m, 𝔼 ζ sᵀ = 𝔼 s sᵀ = J, the information of a cell, and 𝔼 (ζ − s)(ζ − s)ᵀ = 𝔼 Cov(z | x)",
    "s is a conditional expectation of ζ",
    SCORE,
    ((E(zeta * s.T), J), (E(s * s.T), J), (J.T, J)),
)
INFORMATION_STEP = Step(
    "information",
    "𝔼 Cov(z | x) = I − J",
    E((zeta - s) * (zeta - s).T),
    Identity(d) - J,
    (
        Equation(ISOTROPIC, E(zeta * zeta.T), Identity(d)),
        PROJECTION.equation(0),
        PROJECTION.equation(1),
        PROJECTION.equation(2),
    ),
)
POSTERIOR = Lemma(
    "posterior",
    "for x = F z + ε, ε ∼ N(0, Ψ), the score is s = Fᵀ P (F ζ + ε) with P = (F Fᵀ + Ψ)⁻¹",
    "the conditional mean of jointly Gaussian vectors",
    SCORE,
    (
        (E(zeta * noise.T), ZeroMatrix(d, observed)),
        (E(noise * noise.T), Psi),
        (P.T, P),
        (Psi * P, Identity(observed) - F * F.T * P),
    ),
)
_deviation = F * zeta + noise
LINEAR = Step(
    "linear_gaussian",
    "then J = 𝔼 s sᵀ = Fᵀ (F Fᵀ + Ψ)⁻¹ F",
    E(F.T * P * _deviation * _deviation.T * P.T * F),
    F.T * P * F,
    (
        Equation(ISOTROPIC, E(zeta * zeta.T), Identity(d)),
        *(POSTERIOR.equation(place) for place in range(4)),
    ),
)


def gaussian_information(F: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """J = Fᵀ (F Fᵀ + Ψ)⁻¹ F of x = F z + ε, ε ~ N(0, diag(variances)), (d_Z, d_Z).

    Example:
        >>> gaussian_information(np.array([[1.0], [0.0]]), np.array([1.0, 2.0])).tolist()
        [[0.5]]
    """
    return F.T @ np.linalg.solve(F @ F.T + np.diag(variances), F)


_Z = np.linspace(-10, 10, 1601)
_COUNTS = np.arange(150)


def _channel() -> np.ndarray:
    """P(x = k | z) (150, n) for x ~ Poisson(1 + 3 log(1 + exp(z)))."""
    return stats.poisson.pmf(_COUNTS[:, None], 1 + 3 * np.logaddexp(0, _Z))


def score_information(mean: float) -> float:
    """The Fisher information Σₓ (∂ p(x; m)/∂m)²/p(x; m) about m at `mean`, by a complex step, which does not cancel."""
    base = np.exp(-((_Z - (mean + 1e-40j)) ** 2) / 2) * ((_Z[1] - _Z[0]) / np.sqrt(2 * np.pi))
    law = _channel() @ base
    kept = law.real > 1e-250
    return float(np.square(law.imag[kept] / 1e-40) @ (1 / law.real[kept]))


def posterior_information(mean: float) -> float:
    """1 - E Var(z | x) for z ~ N(mean, 1)."""
    joint = _channel() * (stats.norm.pdf(_Z - mean) * (_Z[1] - _Z[0]))
    law = joint.sum(axis=1)
    kept = law > 1e-250
    first, second = (joint[kept] @ _Z**power / law[kept] for power in (1, 2))
    return float(1 - law[kept] @ (second - first**2))


def loadings(world: World) -> tuple[np.ndarray, np.ndarray]:
    """F (d_Z + 1, d_Z) and noise variances of a linear assay."""
    F = np.vstack([world.R, world.Q[:1]]) * (1 + np.abs(world.u))
    return F, 0.5 + np.arange(len(F)) % 3


def measure(world: World, noisier: float = 1.0) -> tuple[Measurement, ...]:
    """Fisher information by derivatives of the law of x against posterior variances, for counts and for a linear assay.

    The counts are Poisson with a curved mean, at the first coordinate of W lₑ, brought to [-1, 1]; the noise variances
    of the linear assay are those of its law times `noisier` where the formula takes them. The linear information is
    that of the Gaussian mean F m, by a root of the precision. Rounding: sums of 1601 terms; c·eps·cond², c = 64 d_X.
    """
    means = (world.labels @ world.W.T)[:, 0]
    pairs = [(score_information(m), posterior_information(m + noisier - 1)) for m in means / (1 + np.abs(means).max())]
    F, variances = loadings(world)
    values, vectors = np.linalg.eigh(F @ F.T + np.diag(variances))
    rooted = (vectors / np.sqrt(values)).T @ F
    deviation = np.abs(rooted.T @ rooted - gaussian_information(F, noisier * variances)).max()
    return (
        Measurement("information", float(max(abs(a - b) for a, b in pairs)), 1601 * EPS),
        Measurement("linear_gaussian", float(deviation), float(64 * len(F) * EPS * (values[-1] / values[0]) ** 2)),
    )


def _laplace(size: Integer) -> Model:
    """x = z is seen: J = I says 1. A Laplace base of variance 1, at size 1, has information 2 about its centre."""
    t, rate = Symbol("t", positive=True), sqrt(2)
    density = rate * exp(-rate * t) / 2 if size else normal_density(t)
    information = integrate(2 * diff(density, t) ** 2 / density, (t, 0, oo))
    x, centre = symbols("x m", real=True)
    return compare(
        ("information of a cell", information, Integer(1)),
        ("variance of the base", integrate(2 * t**2 * density, (t, 0, oo)), Integer(1)),
        ("posterior mean of a latent that is seen", x + centre - centre, x),
    )


def _wider(size: Rational) -> Model:
    """x = z is seen and has variance 1 + size: its information is 1/(1 + size), and I - Cov(z | x) = 1."""
    x, centre = symbols("x m", real=True)
    return compare(
        ("information of a cell", 1 / (1 + size), Integer(1)),
        ("posterior mean of a latent that is seen", x + centre - centre, x),
    )


def _labelled(size: Rational) -> Model:
    """x = z + ε, where the label moves ε by size times the latent mean: information (1 + size)²/2 and not 1 - 1/2."""
    mean, x = symbols("m x", real=True)
    return compare(
        ("information of a cell", (1 + size) ** 2 / 2, Rational(1, 2)),
        ("posterior mean of z − m at m = 0", (x - (1 + size) * mean).subs(mean, 0) / 2, x / 2),
    )


INFORMATION = Claim(
    name="posterior_variance",
    number="2.13",
    statement="a cell x carries the information J = I − 𝔼 Cov(z | x) about a latent shift, whatever its noise",
    latex=r"\partial_m \log p(x; m) = E[z - m \mid x],\qquad J = I - E \operatorname{Cov}(z \mid x);\qquad"
    r" x = Fz + \varepsilon:\ J = F^\top (FF^\top + \Psi)^{-1} F",
    assumptions=(GAUSSIAN, ISOTROPIC, CHANNEL),
    source=f"{OURS}; the identity of the score is that of Fisher (1925)",
    proof=(_explicit_score(), SCORE, PROJECTION, INFORMATION_STEP, POSTERIOR, LINEAR),
    conclusions=("projection", "information", "linear_gaussian"),
    says=(
        (E(s * s.T), "=", J),
        (E((zeta - s) * (zeta - s).T), "=", Identity(d) - J),
        (E(F.T * P * _deviation * _deviation.T * P.T * F), "=", F.T * P * F),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds(6) for m in measure(world, 1 + 1e-3 * fault)),
    counterexamples=(
        Counterexample(
            GAUSSIAN, "the centre of a Laplace base is better known than its variance says", _laplace, "information"
        ),
        Counterexample(ISOTROPIC, "a wider base tells less", _wider, "information"),
        Counterexample(CHANNEL, "noise that moves with the label tells of it", _labelled, "information"),
    ),
    remark="Noise never adds information: J ≤ I, with equality where z is a function of x. J depends on m unless "
    "mixing and noise are linear and Gaussian.",
)

kappa = Symbol("kappa", positive=True)
g = Random("g", x.shape[0], 1)


def _gain() -> tuple[Step | Lemma, ...]:
    along = Step(
        "along",
        "along a direction u the score uᵀ J⁻¹ s of a cell has variance κ = uᵀ J⁻¹ u",
        E(u.T * J_inverse * s * (u.T * J_inverse * s).T),
        u.T * J_inverse * u,
        (
            Equation((INFORMATION, ONE_INFORMATION), E(s * s.T), J),
            Equation(ONE_INFORMATION, J * J_inverse, Identity(d)),
            Equation(ONE_INFORMATION, J_inverse.T, J_inverse),
        ),
    )
    summed = Lemma(
        "summed",
        "the scores of all cells, each times its (lₑ, 1), have along u a sum g with 𝔼 g gᵀ = κ Xᵀ N X, and 𝔼 (T − uᵀ"
        " (W lₜ + μ)) g = κ x for every unbiased T",
        "by `along` and independence; differentiate 𝔼 T under the integral",
        (ADDITIVE, ORIGIN, ONE_INFORMATION, along),
        ((E(g * deviation.T), kappa * x), (E(g * g.T), kappa * X.T * N * X)),
    )
    bound = Step(
        "bound",
        "Var T ≥ κ xᵀ G x, κ times the least gain of 2.10, the excess being 𝔼 (T − uᵀ (W lₜ + μ) − xᵀ G g)²",
        variance,
        kappa * x.T * G * x,
        (
            Equation(DEFINITION, variance, E(deviation * deviation.T)),
            summed.equation(0),
            summed.equation(1),
            NORMAL.equation(1),
            NORMAL.equation(0),
        ),
        relation="≥",
        slack=Square(deviation - x.T * G * g, mean=True),
    )
    return along, NORMAL, summed, bound


def measure_gain(world: World, noisier: float = 1.0) -> Measurement:
    """The least variance of a linear assay by its stacked design, against the least gain times uᵀ J⁻¹ u.

    Rows of the design are F (Θ x) for every environment, whitened by a root of the covariance of x, with nₑ cells each;
    the variance is |y|² for the y of least norm with designᵀ y = x ⊗ u. J takes the variances times `noisier`.
    Rounding: c·eps·cond², c = 64 times the number of rows.
    """
    F, variances = loadings(world)
    rows, counts = np.column_stack([world.labels, np.ones(len(world.labels))]), 2.0 + np.arange(len(world.labels)) % 5
    values, vectors = np.linalg.eigh(F @ F.T + np.diag(variances))
    whitened, target = (vectors / np.sqrt(values)).T @ F, np.append(world.inside, 1.0)
    design = np.vstack([np.sqrt(n) * np.kron(row, whitened) for row, n in zip(rows, counts, strict=True)])
    shortest = np.linalg.lstsq(design.T, np.kron(target, world.u), rcond=None)[0]
    gain = np.square(np.linalg.lstsq((rows * np.sqrt(counts)[:, None]).T, target, rcond=None)[0]).sum()
    claimed = gain * (world.u @ np.linalg.solve(gaussian_information(F, noisier * variances), world.u))
    singular = np.linalg.svd(design)[1]
    condition = singular[0] / singular[singular > singular[0] * 1e-9][-1]
    bound = 64 * len(design) * EPS * condition**2 * (1 + claimed)
    return Measurement("bound", float(abs(shortest @ shortest - claimed)), float(bound))


def _laplace_gain(size: Integer) -> Model:
    """Control, A and B seen without noise, one cell each: gain 3 for A + B; for a Laplace base the bound is 3/2."""
    model = _laplace(size)
    return compare(("bound for A + B", 3 / (1 + model.gap), noise_gain([1, 1])), *model.agree)


def _wider_gain(size: Rational) -> Model:
    """Covariance 1 + size: the gain 3 of A + B - control becomes a variance of 3 (1 + size)."""
    return compare(("bound for A + B", 3 * (1 + size), noise_gain([1, 1])), unit(Matrix([-1, 1, 1])))


def _labelled_gain(size: Rational) -> Model:
    """x = z + ε, where the label moves ε by size times the latent mean: the bound for A + B is 3·2/(1 + size)²."""
    return compare(("bound for A + B", 3 * 2 / (1 + size) ** 2, 2 * noise_gain([1, 1])), unit(Matrix([-1, 1, 1])))


def _deeper_control(size: Rational) -> Model:
    """The control has J = 1 and A and B have J = 1/(1 + size), one cell each: the bound for A + B is 3 + 2 size."""
    weights, informations = Matrix([-1, 1, 1]), [Integer(1), 1 / (1 + size), 1 / (1 + size)]
    bound = sum(w**2 / J for w, J in zip(weights, informations, strict=True))
    return compare(("bound for A + B", bound, noise_gain([1, 1])), unit(weights))


GAIN = Claim(
    name="noisy_gain",
    number="2.13b",
    statement="an unbiased prediction of uᵀ (W lₜ + μ) from cells x has at least the least noise gain times uᵀ J⁻¹ u",
    latex=r"\operatorname{Var}(T) \ \ge\ x^\top (X^\top N X)^{-} x \cdot u^\top J^{-1} u\quad\text{for unbiased } T"
    r"\text{ of } u^\top (W l_t + \mu)",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, CHANNEL, ONE_INFORMATION, IN_SPAN, ORIGIN),
    source=f"{OURS}; the bound is that of Cramér and Rao",
    proof=_gain(),
    conclusions=("along", "bound"),
    says=(
        (E(u.T * J_inverse * s * (u.T * J_inverse * s).T), "=", u.T * J_inverse * u),
        (variance, "≥", kappa * x.T * G * x),
    ),
    check=lambda fault=0.0: tuple(measure_gain(world, 1 + 1e-3 * fault) for world in worlds()),
    counterexamples=(
        Counterexample(ADDITIVE, "with an interaction nothing additive is unbiased", missed_interaction, "bound"),
        Counterexample(GAUSSIAN, "a Laplace base has a lower bound", _laplace_gain, "bound"),
        Counterexample(ISOTROPIC, "a wider base is noisier", _wider_gain, "bound"),
        Counterexample(CHANNEL, "noise that moves with the label tells of it", _labelled_gain, "bound"),
        Counterexample(
            ONE_INFORMATION,
            "where environments are measured unequally well their cells count unequally",
            _deeper_control,
            "bound",
        ),
        Counterexample(IN_SPAN, "outside the span nothing is unbiased", missed_part, "bound"),
        Counterexample(ORIGIN, "with a known origin the reference need not be measured", known_origin, "bound"),
    ),
    uses=(INFORMATION,),
    remark="For |u| = 1 n noisy cells are worth n / (uᵀ J⁻¹ u) with z seen. With unequal Jₑ the information about "
    "[W μ] is the sum of nₑ (lₑ, 1)(lₑ, 1)ᵀ ⊗ Jₑ. Mixing and noise are taken as known; learning them costs more.",
)

CLAIMS = (INFORMATION, GAIN)
