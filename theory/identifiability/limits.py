"""Claims 2.14b and 2.14c: every score gives a lower limit of an effect; without smoothness no rule gives an upper one.

A score T of x can separate the cells of e from the control no better than the log density ratio of the latents, which
is normal with variance r² = |W Δₑ|² and means ± r²/2 (Neyman and Pearson): its area under the curve on cells that no
fit saw is at most Φ(r/√2). Nor does 𝔼₀ T − log 𝔼ₑ exp(T) exceed the divergence r²/2 (Donsker and Varadhan). So errors
of an encoder are counted whatever they are: it can only look worse than it should.

From above nothing holds uniformly. A larger effect r/ρ behind a mixing that is cut into many pieces, each displaced at
random, is that of 2.11c with a decoder that draws its noise once for each piece: as long as no two cells share a piece
nothing tells the two apart, and there are more pieces than cells. So a rule that is right for all injective f is
infinite as often as it is right.

Tried against it: increasing f on the line (there the area under the curve is the effect: `_increasing`); more cells
(for any number there are pieces enough, in the limit the laws tell: `_laws_known`); f of bounded slope (not decided
here: the pieces are not smooth, and how many cells a given slope asks for is open).

References:
    Donoho (1988), One-sided inference about functionals of a density, Ann. Statist. 16; Bahadur and Savage (1956),
    Ann. Math. Statist. 27; Donsker and Varadhan (1983), Comm. Pure Appl. Math. 36.
"""

import numpy as np
from scipy import stats
from sympy import Expr, Integer, Rational, Symbol, ZeroMatrix, exp, sqrt, symbols
from sympy.matrices.expressions import Identity

from theory.assumptions import ADDITIVE, GAUSSIAN, INJECTIVE, ISOTROPIC, OURS
from theory.engine.expectation import Base, E, Random
from theory.engine.formulas import normal_cdf
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import density_ratio
from theory.symbols import Delta_e, W, W_rival, d, l_e

CHANNEL = Assumption("one_channel", "x given z has one and the same law under every label, known or not")
FINITE = Assumption("finite", "a finite number n of cells of each label is seen")
ROUGH = Assumption("rough", "the model class contains every W, and every f that is injective and measurable")

half = Rational(1, 2)
r = Symbol("r", positive=True)
auc, score_bound, apart, spread, divergence = symbols(r"\mathrm{AUC} \mathrm{DV} D V \mathrm{KL}", positive=True)
missed, lost = symbols("kappa_1 kappa_2", nonnegative=True)
eta, zeta = Random("eta", 1, 1), Base("zeta", d, 1)

LOG_RATIO = Step(
    "log_ratio",
    "η = (W Δₑ)ᵀ ζ, the log density ratio of the latents but for a constant, has variance |W Δₑ|²",
    E(eta * eta.T),
    Delta_e.T * W.T * W * Delta_e,
    (Equation(DEFINITION, eta, (W * Delta_e).T * zeta), Equation(ISOTROPIC, E(zeta * zeta.T), Identity(d))),
)
BINORMAL = Lemma(
    "binormal",
    "η has under e and under the control normal laws of variance V = r² whose means are D = r² apart; its area under"
    " the curve is Φ(D/√(2 V)), and the divergence of the control is KL = D/2",
    "`log_ratio`, and claim 2.1 with its constants; of two independent cells η differs by a normal variable",
    (LOG_RATIO, density_ratio.CLAIM, GAUSSIAN),
    ((apart, r**2), (spread, r**2), (divergence, apart / 2)),
)
NEYMAN_PEARSON = Lemma(
    "neyman_pearson",
    "the area under the curve of a score T of x is Φ(D/√(2 V)) − κ₁ with κ₁ ≥ 0",
    "x is z sent through one channel; by the lemma of Neyman and Pearson no test of (z, x) has more power at any level"
    " than that by η, and the area is the mean of the power",
    (BINORMAL, CHANNEL),
    ((auc, normal_cdf(apart / sqrt(2 * spread)) - missed),),
    positive=(missed,),
)
AUC = Step(
    "area_under_the_curve",
    "AUC(T) ≤ Φ(r/√2): on cells that no fit saw r ≥ √2 Φ⁻¹(AUC)",
    auc,
    normal_cdf(r / sqrt(2)),
    (NEYMAN_PEARSON.equation(), BINORMAL.equation(0), BINORMAL.equation(1)),
    relation="≤",
    slack=missed,
    positive=NEYMAN_PEARSON,
)
GIBBS = Lemma(
    "gibbs",
    "𝔼₀ T − log 𝔼ₑ exp(T) = KL − κ₂, κ₂ the divergence of the control from Q, the law of e tilted by exp(T)",
    "take logarithms of dP₀/dPₑ = (dP₀/dQ)(dQ/dPₑ); the divergence of x is at most that of z",
    (BINORMAL, CHANNEL),
    ((score_bound, divergence - lost),),
    positive=(lost,),
)
VARIATIONAL = Step(
    "donsker_varadhan",
    "𝔼₀ T − log 𝔼ₑ exp(T) ≤ r²/2",
    score_bound,
    r**2 / 2,
    (GIBBS.equation(), BINORMAL.equation(2), BINORMAL.equation(0)),
    relation="≤",
    slack=lost,
    positive=GIBBS,
)


def measure_scores(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Areas and bounds of random scores on a grid of two normal laws: none is larger, and the log ratio attains both.

    Scores are a line plus waves; of the line alone both are attained, and the fault is a claim that is smaller by a
    thousandth. Riemann sums of 1601 points of analytic functions, and steps of a score: 2/1601.
    """
    effect = min(3.0, float(np.linalg.norm(world.W @ world.shifts[:, 0])))
    grid = np.linspace(-9, 12, 1601)
    control, moved = (stats.norm.pdf(grid - at) * (grid[1] - grid[0]) for at in (0, effect))
    waves = [np.sin(k * grid + phase) for k, phase in enumerate(world.z_base[:4, 0])]
    scores = [effect * grid + size * wave for size, wave in zip((0, 0.5, 1, 2), waves, strict=True)]
    areas = [_area(score, control, moved) for score in scores]
    bounds = [-control @ score - np.log(moved @ np.exp(-score)) for score in scores]
    most, largest = stats.norm.cdf(effect / np.sqrt(2)) * (1 - tilt), effect**2 / 2 * (1 - tilt)
    return (
        Measurement("area_under_the_curve", float(max(areas) - most), 1e-5),
        Measurement("donsker_varadhan", float(max(bounds) - largest), 1e-9),
    )


def _area(score: np.ndarray, control: np.ndarray, moved: np.ndarray) -> float:
    """P(T(x) > T(x′)) + P(T(x) = T(x′))/2 for x of e and x′ of the control."""
    order = np.argsort(score, kind="stable")
    below = np.cumsum(control[order]) - control[order] / 2
    return float(moved[order] @ below)


def _interaction(size: Rational) -> Model:
    """Effects 1 of A and of B, and 2 + size of both: the area of the double, against that of additive effects."""
    dose = Symbol("l", real=True)
    return compare(
        ("area under the curve of the double", normal_cdf((2 + size) / sqrt(2)), normal_cdf(2 / sqrt(2))),
        ("effect of A at dose l", dose * 1, dose),
    )


def _laplace(size: Integer) -> Model:
    """A Laplace base of variance 1 at size 1, shifted by 1: the area is 1 − e^(−√2)(1 + 1/√2)/2."""
    s, rate = Symbol("s", real=True), sqrt(2)
    claimed = normal_cdf(1 / sqrt(2))
    area = 1 - exp(-rate) * (1 + rate / 2) / 2 if size else claimed
    return compare(
        ("area under the curve of x", area, claimed),
        ("cumulant function of the base to second order", (1 + 0 * size) * s**2 / 2, s**2 / 2),
    )


def _narrower(size: Rational) -> Model:
    """A base of standard deviation 1/(1 + size), shifted by 1."""
    dose = Symbol("l", real=True)
    return compare(
        ("area under the curve of x", normal_cdf((1 + size) / sqrt(2)), normal_cdf(1 / sqrt(2))),
        ("mean at dose l", dose + 0 * size, dose),
    )


def _labelled(size: Rational) -> Model:
    """x = z + size·l, the label moving x beside z: the effect on x is 1 + size."""
    x = Symbol("x", real=True)
    return compare(
        ("area under the curve of x", normal_cdf((1 + size) / sqrt(2)), normal_cdf(1 / sqrt(2))),
        ("x of the control", x + size * 0, x),
    )


LOWER = Claim(
    name="lower_limits",
    number="2.14b",
    statement="for every score T of x, r = |W Δₑ| is at least √2 Φ⁻¹(AUC) and r²/2 at least 𝔼₀ T − log 𝔼ₑ exp(T),"
    " whatever"
    " the noise and the error of an encoder",
    latex=r"\mathrm{AUC}(T) \le \Phi\bigl(\|W\Delta_e\|/\sqrt2\bigr),\qquad"
    r" E_0 T - \log E_e e^{T} \le \tfrac12\|W\Delta_e\|^2\quad\text{for every } T(x)",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, CHANNEL),
    source=f"{OURS}; the bounds are those of Neyman and Pearson (1933) and of Donsker and Varadhan (1983)",
    proof=(LOG_RATIO, BINORMAL, NEYMAN_PEARSON, AUC, GIBBS, VARIATIONAL),
    conclusions=("area_under_the_curve", "donsker_varadhan"),
    says=((auc, "≤", normal_cdf(r / sqrt(2))), (score_bound, "≤", r**2 / 2)),
    check=lambda fault=0.0: tuple(m for world in worlds(6) for m in measure_scores(world, 1e-3 * fault)),
    counterexamples=(
        Counterexample(ADDITIVE, "an interaction is seen as a larger area", _interaction, "area_under_the_curve"),
        Counterexample(GAUSSIAN, "shifts of a Laplace law are told apart better", _laplace, "area_under_the_curve"),
        Counterexample(
            ISOTROPIC, "in a narrower base the same shift is seen better", _narrower, "area_under_the_curve"
        ),
        Counterexample(CHANNEL, "noise that moves with the label is seen as well", _labelled, "area_under_the_curve"),
    ),
    uses=(density_ratio.CLAIM,),
    remark="The limit is for the population; on n held-out cells subtract the sampling error of the area. The logits of"
    " a fitted classifier are a score, and so is any single gene.",
)

rho = Symbol("rho", positive=True)
mass, most, gap = symbols("p p_{\\max} s", nonnegative=True)
below, alarm, error, kept, close, spare, slack = symbols(r"b a \epsilon k c a' \epsilon'", nonnegative=True)
xi, y, z_rival = Random("xi", d, 1), Random("y", d, 1), Random(r"\tilde{z}", d, 1)
_drawn = rho * zeta + sqrt(1 - rho**2) * xi

RIVAL = Lemma(
    "rival",
    "W̃ = W/ρ with 0 < ρ < 1, and ξ ∼ N(0, I) is drawn once for each piece of the latent space, apart from z_base",
    "the class contains them",
    (ROUGH,),
    ((W_rival, 1 / rho * W), (E(xi * xi.T), Identity(d)), (E(zeta * xi.T), ZeroMatrix(d, d))),
)
COVARIANCE = Step(
    "covariance",
    "ρ z_base + √(1 − ρ²) ξ has covariance I",
    E(_drawn * _drawn.T),
    Identity(d),
    (Equation(ISOTROPIC, E(zeta * zeta.T), Identity(d)), RIVAL.equation(1), RIVAL.equation(2)),
)
MEAN = Step(
    "mean",
    "y = ρ z̃ + √(1 − ρ²) ξ is W l + ρ z_base + √(1 − ρ²) ξ under every label",
    rho * z_rival + sqrt(1 - rho**2) * xi,
    W * l_e + _drawn,
    (Equation(ADDITIVE, z_rival, zeta + W_rival * l_e), RIVAL.equation(0)),
)
ONE_PIECE = Step(
    "one_piece",
    "p² ≤ p p_max for the mass p of a piece, p_max the largest",
    mass**2,
    mass * (mass + gap),
    (),
    relation="≤",
    slack=mass * gap,
)
PIECES = Lemma(
    "pieces",
    "f̃(z̃) = f(y′) is injective, where y′ has the first k digits and the odd ones further on of y at the centre of the"
    " piece, and the even ones say where in the piece z̃ lies; if no two of N cells share a piece, they have the law"
    " of N"
    " cells of (f, W) up to N δ, δ → 0 for small pieces; two share one with a probability of at most N(N − 1)/2 p_max",
    "by `covariance` and `mean` y ∼ N(W l, I); pieces have displacements ξ that are distinct almost surely, and"
    " within a"
    " small one densities under different labels are proportional up to δ; sum `one_piece` over pieces and pairs",
    (COVARIANCE, MEAN, ONE_PIECE, GAUSSIAN, INJECTIVE, ROUGH, FINITE),
    ((below, kept + close),),
    positive=(kept, close),
)
COVER = Lemma(
    "coverage",
    "b, the probability under (f, W) that an upper limit is below r/ρ, is at most its probability k under the mixture"
    " plus ε; a limit that is right for all injective f with probability 1 − a has k ≤ a",
    "`pieces`, as small as ε wants them: total variation; a mixture of models that are covered is covered",
    PIECES,
    ((alarm, kept + spare), (error, close + slack)),
    positive=(spare, slack),
)
NO_UPPER = Step(
    "no_upper_limit",
    "b ≤ a + ε for every ε and every ρ: the limit is below r/ρ with a probability of at most a, so it is infinite with"
    " one of at least 1 − a",
    below,
    alarm + error,
    (PIECES.equation(), COVER.equation(0), COVER.equation(1)),
    relation="≤",
    slack=spare + slack,
    positive=COVER,
)
LARGER = Step(
    "larger",
    "|W̃ Δₑ|² = |W Δₑ|²/ρ²",
    Delta_e.T * W_rival.T * W_rival * Delta_e,
    1 / rho**2 * Delta_e.T * W.T * W * Delta_e,
    (RIVAL.equation(0),),
)


def measure_pieces(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Log densities of y and of z under all labels, and the exact probability that N cells share a piece.

    Pieces of the line of width 0.02; the probability that none is shared is N! e_N(p), e_N by recursion. Rounding of
    log densities: c·eps·size, c = 8 d_Z (d_Z + K).
    """
    ratio, size, n = 0.5, len(world.W), 8
    own = log_densities(world.z_base, world.labels @ world.W.T, np.eye(size))
    rival = (1 + tilt) * world.W / ratio
    drawn = log_densities(
        world.z_base, world.labels @ rival.T * ratio, ratio**2 * np.eye(size) + (1 - ratio**2) * np.eye(size)
    )
    masses = np.diff(stats.norm.cdf(np.arange(-9, 9, 0.02)))
    symmetric = np.zeros(n + 1)
    symmetric[0] = 1.0
    for share in masses:
        symmetric[1:] += share * symmetric[:-1] * np.arange(1, n + 1)  # k! e_k
    bound = n * (n - 1) / 2 * masses.max() * (1 - min(1.0, 1e3 * tilt))
    return (
        Measurement("mean", float(np.abs(own - drawn).max()), 8 * size * sum(world.W.shape) * EPS * _size(own)),
        Measurement("pieces", float(1 - symmetric[n] - bound), 1e-12),
    )


def _size(logs: np.ndarray) -> float:
    return float(1 + np.abs(logs).max())


def _missed(size: Rational) -> Model:
    """An interaction moves the double by size beyond W = (1, 1): a rival with W̃ = (2, 2), ρ = ½, has mean 2 there."""
    dose = Symbol("l", real=True)
    return compare(
        ("mean of y at the double", half * 4 + 0 * size, 2 + size), ("mean of y at dose l of A", half * 2 * dose, dose)
    )


def _coin(size: Integer) -> Model:
    """A fair coin ±1 as base at size 1, shift 1, and a rival with shift 2: its laws of z̃ are at total variation ½.

    No way to draw y raises that, and the laws of the model are at 1, their supports being disjoint. At size 0 Gaussian.
    """
    s = Symbol("s", real=True)
    most = half if size else Integer(1)
    return compare(
        ("total variation that the rival can have, at least", most, Integer(1)),
        ("variance of the base, times s", (1 + 0 * size) * s, s),
    )


def _narrow(size: Rational) -> Model:
    """Under label 1 the latent has variance 1 − size/2; y of the rival has variance 1 there as under the reference."""
    s = Symbol("s", real=True)
    return compare(
        ("variance under label 1", Rational(1, 4) + Rational(3, 4), 1 - size / 2),
        ("cumulant function at label 0", (Rational(1, 4) + Rational(3, 4)) * s**2 / 2, s**2 / 2),
    )


def _lumped(size: Rational) -> Model:
    """f sends a share size/2 of the control to one value; an injective f̃ sends none to any."""
    s = Symbol("s", real=True)
    return compare(
        ("largest probability of one value of x", Integer(0), size / 2), ("mean of y at dose s", half * 2 * s, s)
    )


def _areas(size: Rational) -> tuple[Expr, Expr]:
    return normal_cdf((1 + size) / sqrt(2)), normal_cdf(1 / sqrt(2))


def _increasing(size: Rational) -> Model:
    """Only increasing f on the line, W = 1 and W̃ = 1 + size: x itself is a score, and areas are Φ(W/√2)."""
    dose = Symbol("l", real=True)
    return compare(
        ("area under the curve of x", *_areas(size)), ("mean of ρ z̃ at dose l", dose * (1 + size) / (1 + size), dose)
    )


def _laws_known(size: Rational) -> Model:
    """The laws of x are known, W = 1 and W̃ = 1 + size: the variance of the log ratio is the squared effect (2.5)."""
    dose = Symbol("l", real=True)
    return compare(
        ("variance of the log ratio of x", (1 + size) ** 2, Integer(1)),
        ("mean of ρ z̃ at dose l", dose * (1 + size) / (1 + size), dose),
    )


NO_LIMIT = Claim(
    name="no_upper_limit",
    number="2.14c",
    statement="an upper limit of |W Δₑ| from n cells that is right with probability 1 − a for all injective f is"
    " infinite"
    " with probability 1 − a or more: mixtures of models with W̃ = W/ρ have nearly the law of the cells",
    latex=r"P_{f,W}\bigl(U < \|W\Delta_e\|/\rho\bigr) \le a + \epsilon\quad \forall \rho \in (0, 1),\ \epsilon > 0"
    r"\quad\text{if } P_{\tilde f,\tilde W}\bigl(U < \|\tilde W\Delta_e\|\bigr) \le a\ \ \forall \tilde f, \tilde W",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, INJECTIVE, ROUGH, FINITE),
    source=f"{OURS}; for functionals of densities Donoho (1988), Ann. Statist. 16, after Bahadur and Savage (1956)",
    proof=(RIVAL, COVARIANCE, MEAN, ONE_PIECE, PIECES, COVER, NO_UPPER, LARGER),
    conclusions=("mean", "no_upper_limit", "larger"),
    says=(
        (rho * z_rival + sqrt(1 - rho**2) * xi, "=", W * l_e + _drawn),
        (below, "≤", alarm + error),
        (Delta_e.T * W_rival.T * W_rival * Delta_e, "=", 1 / rho**2 * Delta_e.T * W.T * W * Delta_e),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds(6) for m in measure_pieces(world, 1e-3 * fault)),
    counterexamples=(
        Counterexample(ADDITIVE, "an interaction is not reproduced by larger additive effects", _missed, "mean"),
        Counterexample(GAUSSIAN, "a coin cannot be drawn from one that is shifted further", _coin, "no_upper_limit"),
        Counterexample(ISOTROPIC, "a perturbation that narrows the latents cannot be drawn", _narrow, "no_upper_limit"),
        Counterexample(INJECTIVE, "an f that lumps cells has no injective rival", _lumped, "no_upper_limit"),
        Counterexample(ROUGH, "for increasing f the area under the curve is the effect", _increasing, "no_upper_limit"),
        Counterexample(FINITE, "the laws themselves tell effects apart", _laws_known, "no_upper_limit"),
    ),
    remark="Identified is not the same as estimable at a known rate: 2.5 holds in the limit, and how near n cells"
    " come to"
    " it rests on the smoothness of f. What a fit says beyond the lower limits of 2.14b is said by its encoder. The"
    " f̃ are"
    " measurable and cut into pieces; for f of bounded slope it is open.",
)

CLAIMS = (LOWER, NO_LIMIT)
