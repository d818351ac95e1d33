"""Claim 2.7: inside the span the unseen law is the normalised geometric combination of the seen ones.

No diversity, no smoothness, no knowledge of d_Z, and one model instead of two. The normalising constant is not free
either: it is ½ (Σ_e α_e G_ee - αᵀ G α) with the Gram matrix G of 2.5, for a double -G_AB. So the formula with its
constant says how the effects of A and B are placed: p_AB p_0 = exp(-G_AB) p_A p_B.

Consequences: (a) cells of the training environments, weighted by exp(Σ_e α_e r_e) over the density of the mixture,
are a sample of the unseen law (step `tilting`); (b) wherever training labels are dependent, Σ_e w_e log p_e is a
constant, which the observed laws must obey (step `testable`).

Less is needed of f and of noise than is stated. In general dP_e/dP_0(x) = E_0[exp r_e(z) | x], so the formula holds at
all combinations if s = (W L)ᵀ Σ⁻¹ z is, under the control, a function of x plus something independent of x. An f that
forgets what does not bear on s is harmless, and so is Gaussian noise behind a linear f (`BEYOND`): no test of the
formula sees such noise, and none need. A coin is not harmless, nor is Gaussian noise behind a curved f in general.

What the formula does not imply: shifts, or a Gaussian base. It holds for combinations of perturbations that change
different mechanisms in whatever way (2.7c), and for any family whose natural parameter is linear in the label, as when
precisions instead of variances add up (`BEYOND`). A pass vouches for combinations and for nothing else.

Tried against it: fewer shifts than latents and a reference away from zero (both in the check); negative α (ratios of
Gaussians are positive); dependent labels, where several α must give one law (they do: (b)); a singular Σ, where the
laws have no densities against each other: that is why the covariance is regular.

Prior art: laws that combine so are an exponential family with a natural parameter linear in the label, the tilting of
density ratio models and the logarithmic opinion pool; products of experts multiply laws in this way. For energies
that add over attributes, extrapolation to affine hulls of seen combinations is a theorem of Mahajan et al. What is
ours is that additive shifts behind any injective f are of this kind, with that constant.

References:
    Genest & Zidek (1986), Combining probability distributions, Statist. Sci. 1; Qin & Zhang (1997), A goodness-of-fit
    test for logistic regression models based on case-control data, Biometrika 84; Hinton (2002), Training products of
    experts by minimizing contrastive divergence, Neural Comput. 14; Mahajan et al. (2025), Compositional risk
    minimization, ICML, arXiv:2410.06303.
"""

from dataclasses import replace
from math import prod

import numpy as np
from scipy.linalg import null_space
from sympy import Expr, Integer, Matrix, MatrixSymbol, Rational, Symbol, ZeroMatrix, cosh, diff, exp, hessian, symbols

from theory.assumptions import ADDITIVE, GAUSSIAN, IN_SPAN, INJECTIVE, NOISELESS, NOTATION, OURS, SHARED_COVARIANCE
from theory.engine.formulas import log_density, quartic_log_density, symmetric
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import DEFINITION, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, Relaxation, compare
from theory.identifiability import density_ratio
from theory.identifiability.affine import largest, slopes
from theory.symbols import Delta_e, Delta_t, K, L, M, P, W, alpha, d, l_0, l_e, l_t, z

half = Rational(1, 2)
y = MatrixSymbol(r"\left(z - W l_{0}\right)", d, 1)
ratio, ratio_t, ratio_a, ratio_b, ratio_ab = (
    MatrixSymbol(rf"\log \frac{{p_{{{name}}}}}{{p_{{0}}}}", 1, 1) for name in ("e", "t", "A", "B", "AB")
)
Delta_A, Delta_B, Delta_AB, label_a, label_b, label_ab = (
    MatrixSymbol(f"{letter}_{name}", K, 1) for letter in ("Delta", "l") for name in ("A", "B", "AB")
)
r, g = MatrixSymbol("r", M, 1), MatrixSymbol(r"\operatorname{diag}(G)", M, 1)
labels, ones, kappa, logs, w = (
    MatrixSymbol("Lambda", K, M),
    *(MatrixSymbol(name, M, 1) for name in (r"\mathbf{1}", "kappa", r"(\log p_{e})_{e}", "w")),
)

TRANSPORT = Lemma(
    "transport",
    "dPₑ/dP₀ at x = f(z) is pₑ(z)/p₀(z) for almost every z",
    "push-forward of measures by an injective map (Radon-Nikodym); no derivative of f enters",
    (NOISELESS, INJECTIVE),
)
RATIO = Lemma(
    "ratio",
    "log dPₑ/dP₀ at x = f(z) is the log density ratio of claim 2.1 at z",
    "`transport`, and claim 2.1",
    (TRANSPORT, density_ratio.CLAIM),
    (
        (
            ratio,
            (W * Delta_e).T * P * z + half * ((W * l_0).T * P * (W * l_0) - (W * l_e).T * P * (W * l_e)),
        ),
    ),
    (ratio, Delta_e, l_e),
)
DENSITIES = Lemma(
    "densities",
    "log pₑ is −zᵀ P z / 2 + (W lₑ)ᵀ P z − κₑ, for all training labels Λ at once, up to what x adds to all of them",
    "the Gaussian density, and `transport`",
    (TRANSPORT, GAUSSIAN, SHARED_COVARIANCE, ADDITIVE),
    ((logs, -half * ones * z.T * P * z + labels.T * W.T * P * z - kappa),),
)
DEPENDENT = Lemma(
    "dependent",
    "the labels are dependent: ∑ₑ wₑ = 0 and ∑ₑ wₑ lₑ = 0",
    "a test label in the span that is measured is such a dependence: wₜ = 1, wₑ = −αₑ, w₀ = ∑ₑ αₑ − 1",
    IN_SPAN,
    ((w.T * ones, ZeroMatrix(1, 1)), (labels * w, ZeroMatrix(K, 1))),
)

CENTRED = Step(
    "centred",
    "log pₑ/p₀ = (W Δₑ)ᵀ P (z − W l₀) − (W Δₑ)ᵀ P (W Δₑ) / 2: claim 2.1 around the control’s mean",
    ratio,
    Delta_e.T * W.T * P * y - half * Delta_e.T * W.T * P * W * Delta_e,
    (
        RATIO.equation(),
        Equation(DEFINITION, y, z - W * l_0),
        Equation(NOTATION, Delta_e, l_e - l_0),
        Equation(SHARED_COVARIANCE, P.T, P),
    ),
    generic=(ratio, Delta_e, l_e),
)


def _at(name: MatrixSymbol, shift: MatrixSymbol, label: MatrixSymbol) -> Equation:
    return CENTRED.equation({ratio: name, Delta_e: shift, l_e: label})


def _proof() -> tuple[Step | Lemma, ...]:
    stacked = Lemma(
        "stacked",
        "r = (W L)ᵀ P (z − W l₀) − diag(G)/2: `centred` for all training labels, row by row",
        "Δₑ is column e of L",
        CENTRED,
        ((r, slopes * y - half * g),),
    )
    product = Step(
        "product",
        "log pₜ/p₀ = αᵀ r + (αᵀ diag(G) − αᵀ G α) / 2, G = (W L)ᵀ P (W L): the rest is free of z",
        ratio_t,
        alpha.T * r + half * alpha.T * g - half * alpha.T * slopes * W * L * alpha,
        (
            _at(ratio_t, Delta_t, l_t),
            Equation(IN_SPAN, Delta_t, L * alpha),
            stacked.equation(),
        ),
    )
    both = Lemma(
        "both", "Δ_AB = Δ_A + Δ_B", "for the double Δₜ = L α with α = (1, 1)", IN_SPAN, ((Delta_AB, Delta_A + Delta_B),)
    )
    double = Step(
        "double",
        "log p_AB/p₀ = log p_A/p₀ + log p_B/p₀ − (W Δ_A)ᵀ P (W Δ_B): α = (1, 1), the constant is −G_AB",
        ratio_ab,
        ratio_a + ratio_b - (W * Delta_A).T * P * (W * Delta_B),
        (
            *map(_at, (ratio_ab, ratio_a, ratio_b), (Delta_AB, Delta_A, Delta_B), (label_ab, label_a, label_b)),
            both.equation(),
            Equation(SHARED_COVARIANCE, P.T, P),
        ),
    )
    explicit = _explicit()
    return TRANSPORT, RATIO, CENTRED, stacked, product, both, double, DENSITIES, DEPENDENT, _testable(), *explicit


def _testable() -> Step:
    return Step(
        "testable",
        "∑ₑ wₑ log pₑ = −wᵀ κ, free of z, if ∑ₑ wₑ = 0 and ∑ₑ wₑ lₑ = 0, for instance wₜ = 1,"
        " wₑ = −αₑ, w₀ = ∑ₑ αₑ − 1; the measure that densities are taken against drops out as well",
        w.T * logs,
        -w.T * kappa,
        (
            DENSITIES.equation(),
            DEPENDENT.equation(0),
            DEPENDENT.equation(1),
        ),
    )


def _explicit() -> tuple[Step | Lemma, ...]:
    return *(explicit_step(size) for size in (1, 2)), *(item for size in (1, 2, 3) for item in tilting_step(size))


def explicit_step(size: int) -> Step:
    """The formula for d_Z = size and M = 2 from the density itself, with every entry a free symbol."""
    point, covariance = Matrix(symbols(f"z1:{size + 1}")), symmetric(size)
    origin, effects = Matrix(symbols(f"m1:{size + 1}")), Matrix(size, 2, lambda i, j: Symbol(f"b{i}{j}"))
    coefficients = Matrix(symbols("alpha1:3"))
    G = effects.T * (covariance.adjugate() / covariance.det()) * effects

    def at(shift: Matrix) -> Expr:
        return log_density(point, origin + shift, covariance) - log_density(point, origin, covariance)

    return Step(
        f"explicit_d{size}",
        f"the same for d_Z = {size} from the density formula, free symbols throughout",
        at(effects * coefficients) - sum(a * at(effects[:, e]) for e, a in enumerate(coefficients)),
        (sum(a * G[e, e] for e, a in enumerate(coefficients)) - (coefficients.T * G * coefficients)[0]) / 2,
    )


def tilting_step(n_environments: int) -> tuple[Lemma, Step]:
    """Importance weights of the pooled training cells, up to a factor that normalising removes."""
    M = n_environments
    p_t, p_0, constant = symbols("p_t p_0 c", positive=True)
    p, rho, a, pi = (symbols(f"{letter}1:{M + 1}", positive=True) for letter in ("p_", "rho", "alpha", "pi"))
    share = Symbol("pi_0", positive=True)
    formula = constant * prod(ratio**power for ratio, power in zip(rho, a, strict=True))
    explicit = Lemma(
        f"formula_m{M}",
        f"pₜ = p₀ c ∏ₑ ρₑ^(αₑ) for M = {M}",
        "`product`, exponentiated, with c for what is free of x",
        ("product", TRANSPORT),
        ((p_t, p_0 * formula),),
    )
    return explicit, Step(
        f"tilting_m{M}",
        f"pₜ / ∑ₑ πₑ pₑ = c ∏ₑ ρₑ^(αₑ) / (π₀ + ∑ₑ πₑ ρₑ), ρₑ = pₑ/p₀, for M = {M}",
        p_t / (share * p_0 + sum(q * density for q, density in zip(pi, p, strict=True))),
        formula / (share + sum(q * ratio for q, ratio in zip(pi, rho, strict=True))),
        (
            explicit.equation(),
            *(Equation(DEFINITION, density, ratio * p_0) for density, ratio in zip(p, rho, strict=True)),
        ),
    )


def measure(world: World, alpha: np.ndarray, test: np.ndarray, bend: float = 0.0) -> tuple[Measurement, ...]:
    """The formula with its constant, the weights, and the dependence of all labels, from scipy's densities.

    `formula`: log p_t - log p_0 - αᵀ r against the constant from the Gram matrix. `tilting`: logs of the weights of
    cells of a mixture with equal shares. `testable`: Σ_e w_e log p_e varies not, for every w that annihilates the
    labels, found by a singular value decomposition. Rounding: c·eps·cond(Σ)·cond(labels)·size, c = 8 d_Z (M + K).
    """
    latents, means = world.unmix(world.mix(world.z_base)), np.vstack([world.labels, test]) @ world.W.T
    logs = log_densities(latents, means, world.Sigma)
    logs = logs + bend * np.outer(np.arange(len(logs)) ** 2, np.square(latents[:, 0]))
    r, target, mixture = logs[1:-1] - logs[0], logs[-1] - logs[0], np.logaddexp.reduce(logs[:-1])
    B = world.W @ world.shifts
    G = B.T @ np.linalg.solve(world.Sigma, B)
    predicted = alpha @ r + (alpha @ np.diag(G) - alpha @ G @ alpha) / 2
    weights = predicted - np.logaddexp.reduce(np.vstack([0 * r[:1], r]))
    dependences = null_space(np.vstack([np.vstack([world.labels, test]).T, np.ones(len(logs))])).T
    condition = np.linalg.cond(world.Sigma) * np.linalg.cond(world.shifts)
    size = (1 + largest(logs) + largest(G)) * (1 + np.abs(alpha).sum()) ** 2
    bound = float(8 * len(means) * sum(world.W.shape) * EPS * condition * size)
    return (
        Measurement("formula", largest(target - predicted), bound),
        Measurement("tilting", largest(logs[-1] - mixture - weights), bound),
        Measurement("testable", largest(np.ptp(dependences @ logs, axis=1)), bound if len(dependences) else np.inf),
    )


def _check(fault: float = 0.0) -> tuple[Measurement, ...]:
    chosen = (*worlds(8), *(fewer(world) for world in worlds(8) if len(world.W) > 1))
    return tuple(m for world in chosen for m in measure(world, world.alpha, world.inside, 1e-3 * fault))


def fewer(world: World) -> World:
    """A world trained on d_Z - 1 shifts, which do not span the latent space, with a test label in their span."""
    n = len(world.W) - 1
    labels, alpha = world.labels[: n + 1], world.alpha[:n]
    return replace(world, labels=labels, alpha=alpha, inside=labels[0] + alpha @ (labels[1:] - labels[0]))


def _excess(double: Expr, one: Expr, other: Expr, control: Expr) -> Expr:
    """log p_AB - log p_A - log p_B + log p_0, which the formula says is free of x."""
    return double - one - other + control


def _normal(point: tuple, mean: tuple, covariance: Matrix) -> Expr:
    return log_density(Matrix(point), Matrix(mean), covariance)


def epistasis(size: Rational) -> Model:
    """Means (1, 0), (0, 1) and, for the double, (1, 1 + size): an interaction leaves a slope `size` in z_2."""
    point = z1, z2 = symbols("z1 z2", real=True)
    means = ((1, 1 + size), (1, 0), (0, 1), (0, 0))
    excess = _excess(*(_normal(point, mean, Matrix.eye(2)) for mean in means))
    return compare(
        ("slope in z₂ of the log ratio of the four laws", diff(excess, z2), Integer(0)),
        ("slope in z₁, beside z₁", diff(excess, z1) + z1, z1),
    )


def _quartic_base(size: Rational) -> Model:
    """A symmetric base exp(-t²/2 - size t⁴/4) and doses 0, 1, 2: the second difference of t⁴ is not constant."""
    t = Symbol("t", real=True)
    control, one, double = (quartic_log_density(t - dose, size) for dose in (0, 1, 2))
    return compare(
        (
            "slope at 0 of log p₂ − 2 log p₁ + log p₀",
            diff(_excess(double, one, one, control), t).subs(t, 0),
            Integer(0),
        ),
        ("the base law and its reflection", control.expand(), control.subs(t, -t).expand()),
    )


def _growing_variance(size: Rational) -> Model:
    """N(l, 1 + size·l) at doses 0, 1, 2: precisions do not add up, and a square is left."""
    t = Symbol("t", real=True)
    control, one, double = (_normal((t,), (dose,), Matrix([[1 + size * dose]])) for dose in (0, 1, 2))
    means = diff(one, t).subs(t, 1) * t + t
    return compare(
        ("curvature of log p₂ − 2 log p₁ + log p₀", hessian(_excess(double, one, one, control), (t,)), Matrix([[0]])),
        ("slope at the mean of dose 1, times t", means, t),
    )


def _coin(size: Rational) -> Model:
    """f(z, ε) = ε z with P(ε = -1) = size/2, z ~ N(l, 1), doses 0, 1, 2: at a fair coin ratios are cosh(l x)."""
    x = Symbol("x", real=True)

    def ratio(dose: int) -> Expr:
        return (1 - size / 2) * exp(dose * x) + size / 2 * exp(-dose * x)

    return compare(
        ("(p₂ p₀ / p₁²) at x = 1 and at x = 0", *_ends(ratio(2) / ratio(1) ** 2, x)),
        ("p₀/p₀, times x", ratio(0) * x, x),
    )


def _folded(size: Rational) -> Model:
    """f(z) = |z| with z ~ N(size·l, 1), doses 0, 1, 2: ratios are cosh(size·l·x), which do not multiply."""
    x = Symbol("x", real=True)
    ratio = cosh(2 * size * x) / cosh(size * x) ** 2
    return compare(("(p₂ p₀ / p₁²) at x = 1 and at x = 0", *_ends(ratio, x)), ("it is even", ratio, ratio.subs(x, -x)))


def _ends(ratio: Expr, x: Symbol) -> tuple[Expr, Expr]:
    return ratio.subs(x, 1), ratio.subs(x, 0)


def _outside(size: Rational) -> Model:
    """Trained on e_1 alone, asked for e_1 + size·e_2: log p_t/p_0 - a log p_1/p_0 has slope `size` in z_2 for all a."""
    point, a = symbols("z1 z2", real=True), Symbol("a", real=True)
    target, one, control = (_normal(point, mean, Matrix.eye(2)) for mean in ((1, size), (1, 0), (0, 0)))
    slope = diff(target - control - a * (one - control), point[1])
    return compare(
        ("slope in z₂ of log pₜ/p₀ − a log p₁/p₀, whatever a", slope, Integer(0)),
        ("how it depends on a, beside a", diff(slope, a) + a, a),
    )


def _gaussian_noise(size: Rational) -> Model:
    """x = z + size·ε with correlated Gaussian noise: x has shared covariance I + size² Γ, and its means add."""
    point, covariance = symbols("x1 x2", real=True), Matrix.eye(2) + size**2 * Matrix([[2, 1], [1, 3]])
    excess = _excess(*(_normal(point, mean, covariance) for mean in ((1, 1), (1, 0), (0, 1), (0, 0))))
    return compare(
        ("slopes of the log ratio of the four laws", Matrix([excess]).jacobian(point), Matrix.zeros(1, 2)),
    )


def _adding_precisions(size: Rational) -> Model:
    """N(l / (1 + size·l), 1 / (1 + size·l)): the precision 1 + size·l and the natural parameter l are linear in l."""
    t = Symbol("t", real=True)

    def at(dose: int) -> Expr:
        precision = 1 + size * dose
        return _normal((t,), (dose / precision,), Matrix([[1 / precision]]))

    return compare(
        ("slope of log p₂ − 2 log p₁ + log p₀", diff(_excess(at(2), at(1), at(1), at(0)), t), Integer(0)),
    )


BEYOND = (
    Relaxation(NOISELESS, "Gaussian noise behind a linear f leaves the formula as it is", _gaussian_noise),
    Relaxation(SHARED_COVARIANCE, "precisions that add up leave the formula as it is", _adding_precisions),
)
"""Models outside the class for which the formula holds all the same: what a test of it cannot see."""


CLAIM = Claim(
    name="product_formula",
    number="2.7",
    statement="if Δₜ = L α, dPₜ/dP₀ is ∏ₑ (dPₑ/dP₀)^(αₑ) up to a constant known from G",
    latex=r"\frac{dP_t}{dP_0} = e^{c}\prod_e\Bigl(\frac{dP_e}{dP_0}\Bigr)^{\alpha_e},"
    r"\quad c = \tfrac12\Bigl(\sum_e\alpha_e G_{ee} - \alpha^\top G\alpha\Bigr)",
    assumptions=(ADDITIVE, GAUSSIAN, SHARED_COVARIANCE, NOISELESS, INJECTIVE, IN_SPAN),
    source=f"{OURS}; for additive energies Mahajan et al. (2025), arXiv:2410.06303; as a test of a factor model"
    " Bravo-Hermsdorff et al. (2023), arXiv:2306.04027",
    proof=_proof(),
    conclusions=("product", "double", "testable"),
    confirmations=("explicit_d1", "explicit_d2", "tilting_m1", "tilting_m2", "tilting_m3"),
    says=(
        (ratio_t, "=", alpha.T * r + half * alpha.T * g - half * alpha.T * slopes * W * L * alpha),
        (ratio_ab, "=", ratio_a + ratio_b - (W * Delta_A).T * P * (W * Delta_B)),
        (w.T * logs, "=", -w.T * kappa),
    ),
    check=_check,
    counterexamples=(
        Counterexample(ADDITIVE, "an interaction of two perturbations leaves a slope", epistasis, "double"),
        Counterexample(GAUSSIAN, "a base law exp(−t²/2 − t⁴/4) leaves a square", _quartic_base, "double"),
        Counterexample(
            SHARED_COVARIANCE, "a variance that grows with the dose leaves a square", _growing_variance, "double"
        ),
        Counterexample(NOISELESS, "behind a random sign the ratios are hyperbolic cosines", _coin, "double"),
        Counterexample(INJECTIVE, "behind f(z) = |z| the ratios are hyperbolic cosines", _folded, "double"),
        Counterexample(
            IN_SPAN, "a direction that no training shift has is missing in every product", _outside, "product"
        ),
    ),
    uses=(density_ratio.CLAIM,),
    remark="The normalising constant is not free but known from the Gram matrix. The formula holds in wider classes"
    " too, so a test that passes vouches for combinations, not for shifts or a Gaussian base.",
)
