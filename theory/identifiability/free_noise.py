"""Claim 2.11c: a decoder of unrestricted noise identifies effect sizes from below only.

Every Gram matrix above that of the model, in the order of positive semidefinite matrices, fits: by Douglas (1966) there
is a contraction R with R W̃ L = W L.

If x = f(z, ε) may be any law of x given z, the decoder may draw the latent anew: z = R z̃ + (I - R Rᵀ)^½ η has the law
N(W l, I) for z̃ ~ N(W̃ l, I) with R W̃ = W. So every W̃ = R⁻¹ W with a contraction R fits as well, and with R = ρ I all
effects are larger by 1/ρ, as much as one likes. No rival has smaller effects: divergences do not grow from z to x.

Tried against it. (i) A base that is not Gaussian: a fair coin cannot be drawn from a displaced coin once their supports
meet in one point only. (ii) A model that is noisy itself: then the rival without noise has smaller effects, so the
lower bound is the divergence of the laws of x and not |W Δ|². (iii) That predictions are safe: the rivals here predict
the same at every label, but another of unrestricted noise, the coin of 2.4, does not.
"""

import numpy as np
from sympy import Expr, Identity, Integer, Matrix, MatrixSymbol, Max, Rational, Symbol, ZeroMatrix, erf, sqrt, symbols

from theory.assumptions import ADDITIVE, EQUIVALENT, GAUSSIAN, INJECTIVE, ISOTROPIC, NOISELESS, NOTATION, OURS
from theory.engine.expectation import Base, E, Random
from theory.engine.formulas import normal_density
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import Assumption, Equation, Lemma, Square, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.symbols import Delta_e, L, W, W_rival, d, l_0, l_e

half = Rational(1, 2)
R, C, C_right = (MatrixSymbol(name, d, d) for name in ("R", "C", "C_R"))
eta, z_rival, zeta = Random("eta", d, 1), Random(r"\tilde{z}", d, 1), Base(r"z_{\mathrm{base}}", d, 1)
D, D_rival, lost = (MatrixSymbol(name, 1, 1) for name in ("D", r"\tilde{D}", "r"))
m_e, m_0, m_e_rival, m_0_rival = (MatrixSymbol(name, d, 1) for name in ("m_e", "m_0", "mtilde_e", "mtilde_0"))
rho = Symbol("rho", positive=True)

FREE_DECODER = Assumption(
    "free_decoder",
    "the model class contains x = f(z, ε) with every f and every law of ε independent of z",
    states=((E(eta * eta.T), Identity(d)), (E(zeta * eta.T), ZeroMatrix(d, d))),
)
ROOT = Lemma(
    "root",
    "W̃ solves R W̃ = W, C is a root of I − R Rᵀ and C_R one of I − Rᵀ R",
    "R is invertible and |R| ≤ 1, so I − R Rᵀ and I − Rᵀ R are positive semidefinite",
    (),
    (
        (C * C.T, Identity(d) - R * R.T),
        (R * W_rival, W),
        (W, R * W_rival),
        (R.T * R, Identity(d) - C_right.T * C_right),
    ),
)


def _fits() -> tuple[Step | Lemma, ...]:
    drawn = R * zeta + C * eta
    covariance = Step(
        "covariance",
        "R z_base + C η with C Cᵀ = I − R Rᵀ has covariance I",
        E(drawn * drawn.T),
        Identity(d),
        (
            Equation(ISOTROPIC, E(zeta * zeta.T), Identity(d)),
            Equation(FREE_DECODER, E(eta * eta.T), Identity(d)),
            Equation(FREE_DECODER, E(zeta * eta.T), ZeroMatrix(d, d)),
            ROOT.equation(0),
        ),
    )
    mean = Step(
        "mean",
        "R z̃ + C η = W l + (R z_base + C η) for z̃ = z_base + W̃ l and R W̃ = W, under every label",
        R * z_rival + C * eta,
        W * l_e + R * zeta + C * eta,
        (Equation(ADDITIVE, z_rival, zeta + W_rival * l_e), ROOT.equation(1)),
    )
    fits = Lemma(
        "fits",
        "f(R z̃ + C η) has the law of f(z) under every label, so W̃ = R⁻¹ W fits for every invertible R with |R| ≤ 1",
        "a Gaussian law is determined by mean and covariance; η is part of the noise of the decoder",
        (GAUSSIAN, FREE_DECODER, covariance, mean),
        ((W_rival, 1 / rho * W),),
    )
    above = Step(
        "above",
        "(W̃ L)ᵀ (W̃ L) ≥ (W L)ᵀ (W L), the excess being (C_R W̃ L)ᵀ (C_R W̃ L): the Gram matrix of such a rival is"
        " above"
        " that of the model, and by `contraction` every Gram matrix above it is that of a rival",
        L.T * W_rival.T * W_rival * L,
        L.T * W.T * W * L,
        (ROOT.equation(2), Equation(ROOT, R.T * R, Identity(d) - C_right.T * C_right)),
        relation="≥",
        slack=Square(C_right * W_rival * L),
    )
    contraction_lemma = Lemma(
        "contraction",
        "if G̃ ≥ G = (W L)ᵀ (W L) has rank at most d_Z there are W̃ and R with (W̃ L)ᵀ (W̃ L) = G̃, R W̃ L = W L and |R| ≤ 1",
        "a root of G̃ is W̃ L for some W̃; Douglas (1966), Proc. Amer. Math. Soc. 17: |W L α| ≤ |W̃ L α| for all α gives R",
        "above",
    )
    larger = Step(
        "larger",
        "R = ρ I with 0 < ρ ≤ 1: all effects grow by 1/ρ",
        W_rival * Delta_e,
        1 / rho * W * Delta_e,
        (fits.equation(),),
    )
    return ROOT, covariance, mean, fits, above, contraction_lemma, larger


def _from_below() -> tuple[Step | Lemma, ...]:
    apart = Delta_e.T * W.T * W * Delta_e
    gaussian = Lemma(
        "gaussian_divergence",
        "the divergence of N(mₑ, I) from N(m₀, I) is |mₑ − m₀|²/2",
        "Gaussian integral",
        (GAUSSIAN, ISOTROPIC),
        ((D, half * (m_e - m_0).T * (m_e - m_0)),),
        (D, m_e, m_0),
    )
    divergence = Step(
        "divergence",
        "the divergence of the latents from the reference is D = |W Δₑ|² / 2",
        D,
        half * apart,
        (
            gaussian.equation(),
            Equation(ADDITIVE, m_e, W * l_e),
            Equation(NOTATION, l_e, l_0 + Delta_e),
            Equation(ADDITIVE, m_0, W * l_0),
        ),
        generic=(W, D, m_e, m_0),
    )
    processing = Lemma(
        "processing",
        "D̃ = D + r with r ≥ 0",
        "divergences do not grow from z̃ to x, whatever the decoder (data processing), and that of x is D, because an"
        " injective f without noise loses nothing",
        (NOISELESS, INJECTIVE, EQUIVALENT),
        ((D_rival, D + lost),),
        positive=(lost,),
    )
    at_rival = {W: W_rival, D: D_rival, m_e: m_e_rival, m_0: m_0_rival}
    below = Step(
        "from_below",
        "|W̃ Δₑ|² ≥ |W Δₑ|², the excess being 2 r: no equivalent model has a smaller effect",
        apart.xreplace(at_rival),
        apart,
        (divergence.equation(at_rival).reversed(), divergence.reversed(), processing.equation()),
        relation="≥",
        slack=Square(sqrt(2) * Identity(1), lost),
        positive=processing,
    )
    return gaussian, divergence, processing, below


def contraction(world: World) -> tuple[np.ndarray, np.ndarray]:
    """R (d_Z, d_Z) with singular values from 1/2 to 1, and a root C of I - R Rᵀ."""
    size = len(world.W)
    scales = np.linspace(0.5, 1, size)
    return (world.Q * scales) @ world.R, world.Q * np.sqrt(1 - scales**2)


def measure(world: World, inflated: float = 1.0) -> tuple[Measurement, ...]:
    """Log densities by scipy of R z̃ + C η and of z under all labels, and divergences against |R W̃ Δ|².

    W̃ = R⁻¹ W, times `inflated`. The divergence is the mean log ratio at the points W lₑ ± √(d_Z) eᵢ, which integrate
    linear functions exactly. Rounding: c·eps·size of the log densities, c = 8 d_Z (d_Z + K), R having condition 2.
    """
    (R, C), labels = contraction(world), world.labels
    W_rival, size = inflated * np.linalg.solve(R, world.W), len(world.W)
    own = log_densities(world.z_base, labels @ world.W.T, np.eye(size))
    drawn = log_densities(world.z_base, labels @ W_rival.T @ R.T, R @ R.T + C @ C.T)
    steps = np.sqrt(size) * np.vstack([np.eye(size), -np.eye(size)])
    pairs = [log_densities(world.W @ e + steps, labels[[k, 0]] @ world.W.T, np.eye(size)) for k, e in enumerate(labels)]
    divergences = np.array([(at_e - at_0).mean() for at_e, at_0 in pairs[1:]])
    sizes = np.square(R @ W_rival @ world.shifts).sum(axis=0)
    bound = 8 * size * sum(world.W.shape) * EPS * float(1 + np.abs(own).max() + np.abs(pairs).max())
    return (
        Measurement("fits", float(np.abs(own - drawn).max()), bound),
        Measurement("from_below", float(np.abs(2 * divergences - sizes).max()), bound),
    )


def _interaction(size: Rational) -> Model:
    """Under e₁ + e₂ an interaction moves the latent by size beyond W = (1, 1): a rival with twice W has law N(4, 1).

    A decoder that halves its latent and adds noise of variance 3/4 then has mean 2 and not 2 + size.
    """
    shrink, W_rival, label = Rational(1, 2), Matrix([[2, 2]]), Matrix([1, 1])
    dose = Symbol("l", real=True)
    return compare(
        ("mean of x at the double", shrink * (W_rival * label)[0], 2 + size),
        *((f"mean of x at dose l of perturbation {k + 1}", shrink * W_rival[k] * dose, dose) for k in range(2)),
    )


def _coin(size: Integer) -> Model:
    """A fair coin ±1 as base, labels 0 and 1 with W = 1, and a rival with shift 2; at size 0 a Gaussian base.

    No decoder raises the total variation of two laws. That of the coins is 1 for a shift by 1, where the supports are
    disjoint, and 1/2 for a shift by 2, where they share one point. The gap is by how much it would have to rise.
    """
    own, rival = (Integer(1), half) if size else (_variation(Integer(1)), _variation(Integer(2)))
    t = Symbol("t", real=True)
    return compare(
        ("total variation of the two laws of x, and the most that the rival can have", Max(own, rival), rival),
        ("mean of the base latent, times t", (t - t * (2 * half)), Integer(0) * t),
        ("variance of the base latent, times t", (half + half) * t, t),
    )


def _variation(shift: Expr) -> Expr:
    """The total variation of N(0, 1) and N(shift, 1)."""
    return erf(shift / (2 * sqrt(2)))


def _narrower(size: Rational) -> Model:
    """Under label 1 the latent has variance 1 - size/2. A decoder that halves the rival’s adds noise of variance 3/4.

    The rival’s latent has variance 1 as under the reference, so the variance drawn is too large by size/2.
    """
    drawn = Rational(1, 4) + Rational(3, 4)
    t = Symbol("t", real=True)
    return compare(
        ("variance of x under label 1", drawn, 1 - size / 2),
        ("cumulant function at label 0", drawn * t**2 / 2, t**2 / 2),
    )


def _withheld(size: Rational) -> Model:
    """A decoder may only add noise of variance 3/4 (1 - size): with shifts 2 W it is too narrow by 3 size/4."""
    dose = Symbol("l", real=True)
    return compare(
        ("variance of x", Rational(1, 4) + Rational(3, 4) * (1 - size), Integer(1)),
        ("mean of x at dose l", half * 2 * dose, dose),
    )


def _noisy(size: Rational) -> Model:
    """x = z + √size ε and the rival x = √(1 + size) z̃ without noise, shifts W/√(1 + size): a smaller effect fits."""
    scale = sqrt(1 + size)
    t, dose = symbols("t l", real=True)
    return compare(
        ("squared effect size", 1 / scale**2, Integer(1)),
        ("cumulant function of the noise and base", scale**2 * t**2 / 2, (1 + size) * t**2 / 2),
        ("mean of x at dose l", scale * (dose / scale), dose),
    )


def _even(size: Rational) -> Model:
    """f(z) = z² with W l₀ = -size and W lₑ = size: the laws of x are equal, so no shift fits as well as 2 size."""
    x = Symbol("x", real=True)
    folded = [normal_density(x - m) + normal_density(-x - m) for m in (size, -size)]
    return compare(("squared effect size", Integer(0), (2 * size) ** 2), ("density of x", *folded))


def _different(size: Rational) -> Model:
    """A rival with shifts (1 - size/2) W and other training laws has a smaller effect."""
    t = Symbol("t", real=True)
    return compare(
        ("squared effect size", (1 - size / 2) ** 2, Integer(1)),
        ("mean at the reference, times t", 0 * (1 - size / 2) * t + t, t),
    )


CLAIM = Claim(
    name="free_noise",
    number="2.11c",
    statement="with a decoder of unrestricted noise every Gram matrix above (W L)ᵀ (W L) fits, as W̃ = W/ρ for"
    " every ρ ≤ 1: effect sizes are identified from below only",
    latex=r"z = \rho\tilde z + \sqrt{1-\rho^2}\,\eta:\quad \tilde W = W/\rho\ \text{fits}\ \forall \rho \in (0, 1],"
    r"\qquad \|\tilde W \Delta_e\| \ge \|W \Delta_e\|\ \text{in every equivalent model}",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, FREE_DECODER, NOISELESS, INJECTIVE, EQUIVALENT),
    source=OURS,
    proof=(*_fits(), *_from_below()),
    conclusions=("above", "contraction", "larger", "from_below"),
    says=(
        (L.T * W_rival.T * W_rival * L, "≥", L.T * W.T * W * L),
        "if G̃ ≥ G = (W L)ᵀ (W L) has rank at most d_Z there are W̃ and R with (W̃ L)ᵀ (W̃ L) = G̃, R W̃ L = W L and |R| ≤ 1",
        (W_rival * Delta_e, "=", 1 / rho * W * Delta_e),
        (Delta_e.T * W_rival.T * W_rival * Delta_e, "≥", Delta_e.T * W.T * W * Delta_e),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in measure(world, 1 + 1e-3 * fault)),
    counterexamples=(
        Counterexample(ADDITIVE, "an interaction is not reproduced by larger additive effects", _interaction, "larger"),
        Counterexample(GAUSSIAN, "a coin cannot be drawn from one that is shifted further", _coin, "larger"),
        Counterexample(
            ISOTROPIC, "a perturbation that narrows the latents cannot be drawn from a wider one", _narrower, "larger"
        ),
        Counterexample(FREE_DECODER, "with less noise to add the decoder is too narrow", _withheld, "larger"),
        Counterexample(NOISELESS, "behind noise a rival without noise has smaller effects", _noisy, "from_below"),
        Counterexample(INJECTIVE, "an even f hides a mean that changes its sign", _even, "from_below"),
        Counterexample(EQUIVALENT, "a model with other training laws may have any W", _different, "from_below"),
    ),
    remark="Behind noise the lower bound is twice the divergence of the laws of x. These rivals have the law of x at "
    "every label; others of unrestricted noise, as the coin of 2.4, do not even predict the same inside the span.",
)
