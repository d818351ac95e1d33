"""Claim 2.4b: what an error in the latents costs, whatever the mixing; and how far a label off the span can lie.

Two latent laws that differ by a displacement e are at total variation 2Φ(|e|/2) − 1, and an injective f keeps it: so an
interaction that is missed, of length |ι|, costs exactly 2Φ(|ι|/2) − 1, whatever the decoder; noise can only lower it.
Off the span the seen part of a shift is known and the unseen one is not: if that has length at most B, a label lies
at a distance between (a − B)₊ and a + B from an environment that is at a by the seen part, and both are attained.

Tried against it: a decoder that makes small displacements look large (it cannot, in total variation; in energy
distance it can); heavier tails (they cost more or less).
"""

import numpy as np
from scipy import stats
from sympy import Expr, Integer, Rational, Symbol, erf, exp, sqrt, symbols
from sympy.matrices.expressions import Identity, MatrixSymbol

from theory.assumptions import GAUSSIAN, INJECTIVE, ISOTROPIC, NOISELESS, OURS
from theory.engine.expectation import Base, E, Random
from theory.engine.formulas import normal_cdf, normal_density
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.symbols import P, d, kappa, z

DISPLACED = Assumption("displaced_law", "the predicted latent law is that of the test label, displaced by e")
BOUNDED = Assumption("bounded", "the unseen part η of the shift has length at most B")

half = Rational(1, 2)
log_p, log_q = MatrixSymbol(r"\log p", 1, 1), MatrixSymbol(r"\log \hat{p}", 1, 1)
m, m_hat, e = (MatrixSymbol(name, d, 1) for name in ("m", "mhat", "e"))
zeta, score = Base("zeta", d, 1), Random("T", 1, 1)
variation, length, a, B = symbols(r"\mathrm{TV} r a B", positive=True)
c = MatrixSymbol("c", d, 1)

SHIFTED = Lemma(
    "shifted", "the predicted mean is m + e", "a displaced law has a displaced mean", DISPLACED, ((m_hat, m + e),)
)
RATIO = Step(
    "log_ratio",
    "log p̂ − log p = eᵀ (z − m) − |e|²/2",
    log_q - log_p,
    e.T * z - e.T * m - half * e.T * e,
    (
        Equation(GAUSSIAN, log_q, -half * (z - m_hat).T * P * (z - m_hat) - kappa),
        Equation(GAUSSIAN, log_p, -half * (z - m).T * P * (z - m) - kappa),
        Equation(ISOTROPIC, P, Identity(d)),
        SHIFTED.equation(),
    ),
)
SCORE = Step(
    "score",
    "T = eᵀ ζ, ζ = z − m, has variance |e|²",
    E(score * score.T),
    e.T * e,
    (Equation(DEFINITION, score, e.T * zeta), Equation(ISOTROPIC, E(zeta * zeta.T), Identity(d))),
)
HALVES = Lemma(
    "half_spaces",
    "the total variation is P̂(T > |e|²/2) − P(T > |e|²/2) = Φ(r/2) − Φ(−r/2), r = |e|; it is that of the laws of x",
    "by `log_ratio` p̂ > p on a half-space, and by `score` T is N(0, r²) or N(r², r²); an injective f keeps total"
    " variation",
    (RATIO, SCORE, GAUSSIAN, NOISELESS, INJECTIVE),
    ((variation, normal_cdf(length / 2) - normal_cdf(-length / 2)),),
)
VARIATION = Step(
    "variation",
    "TV = 2 Φ(r/2) − 1",
    variation,
    2 * normal_cdf(length / 2) - 1,
    (HALVES.equation(),),
)
SEEN_PART = Lemma(
    "seen_part",
    "c, the seen part of W (lₜ − lₑ), has length a, and η = ± (B/a) c is an unseen part of length B",
    "for d_Z ≥ 2 any η of that length is possible (2.6), and in particular these",
    BOUNDED,
    ((c.T * c, a**2 * Identity(1)),),
)
FARTHEST = Step(
    "farthest",
    "|c + η|² = (a + B)² at η = (B/a) c",
    (c + B / a * c).T * (c + B / a * c),
    (a + B) ** 2 * Identity(1),
    (SEEN_PART.equation(),),
)
NEAREST = Step(
    "nearest",
    "|c + η|² = (a − B)² at η = −(B/a) c",
    (c - B / a * c).T * (c - B / a * c),
    (a - B) ** 2 * Identity(1),
    (SEEN_PART.equation(),),
)
BETWEEN = Lemma(
    "between",
    "the distances that equivalent models give to such a label are those from (a − B)₊ to a + B",
    "`farthest` and `nearest`, and by the triangle inequality none is beyond; lengths between are attained as η turns",
    (FARTHEST, NEAREST, BOUNDED),
)


def measure(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Total variation along the displacement, by the areas of two normal densities, and extreme lengths over many η.

    Projections across e are common to both laws. Rounding: 64 eps. Lengths of unit vectors: exact to 8 d_Z eps.
    """
    r = float(np.linalg.norm(world.u))
    area = stats.norm.cdf(r / 2) - stats.norm.cdf(r / 2, loc=r)
    closed = 2 * stats.norm.cdf(r / 2) - 1
    c, B = world.W @ world.shifts[:, 0], 0.5
    a = float(np.linalg.norm(c))
    turned = np.vstack([world.z_base, c, -c])
    lengths = np.linalg.norm(c + B * turned / np.linalg.norm(turned, axis=1, keepdims=True), axis=1)
    ends = np.array([lengths.min(), lengths.max()]) * (1 + tilt)
    bound = 64 * len(c) * EPS * (1 + a + B)
    return (
        Measurement("variation", float(abs(area - (1 + tilt) * closed)), bound),
        Measurement("between", float(np.abs(ends - [abs(a - B), a + B]).max()), bound),
    )


def _variation_of(shift: Expr) -> Expr:
    return erf(shift / (2 * sqrt(2)))


def _laplace(size: Integer) -> Model:
    """A base of variance 1 displaced by 1: Laplace at size 1, with total variation 1 − exp(−1/√2), else Gaussian."""
    t = Symbol("t", real=True)
    value = 1 - exp(-1 / sqrt(2)) if size else _variation_of(Integer(1))
    return compare(
        ("total variation", value, _variation_of(Integer(1))),
        ("cumulant function to second order", (1 + 0 * size) * t**2 / 2, t**2 / 2),
    )


def _wider(size: Rational) -> Model:
    """Covariance 1 + size: the same displacement costs less."""
    x = Symbol("x", real=True)
    return compare(
        ("total variation for |e| = 1", _variation_of(1 / sqrt(1 + size)), _variation_of(Integer(1))),
        ("mean of p̂ − mean of p", x + 1 - x + x, 1 + x),
    )


def _noisy(size: Rational) -> Model:
    """x = z + ε with ε ~ N(0, size): the laws of x are nearer than those of z."""
    x = Symbol("x", real=True)
    return compare(
        ("total variation for |e| = 1", _variation_of(1 / sqrt(1 + size)), _variation_of(Integer(1))),
        ("mean of x", x + 0 * size, x),
    )


def _even(size: Rational) -> Model:
    """f(z) = z² and latent means size and −size: the laws of x are equal."""
    x = Symbol("x", real=True)
    folded = [normal_density(x - at) + normal_density(-x - at) for at in (size, -size)]
    return compare(("total variation", Integer(0), _variation_of(2 * size)), ("density of x", *folded))


def _spread(size: Rational) -> Model:
    """The predicted law is displaced by 1 and scaled by 1 + size: p̂ > p is no half-space, and log p̂/p is curved."""
    x = Symbol("x", real=True)
    curvature = 1 - 1 / (1 + size) ** 2
    return compare(("curvature of log p̂/p", curvature, Integer(0)), ("slope of log p", -x + 0 * size, -x))


def _unbounded(size: Rational) -> Model:
    """An unseen part of length B + size where B is said to be 1, a = 2: a label at distance 3 + size."""
    dose = Symbol("l", real=True)
    return compare(("largest distance", 2 + 1 + size, Integer(3)), ("seen part at dose l", 2 * dose, dose + dose))


CLAIM = Claim(
    name="error_propagation",
    number="2.4b",
    statement="a latent error e costs the total variation 2 Φ(|e|/2) − 1 behind every injective f; off the span,"
    " with an unseen part of length at most B, distances lie between (a − B)₊ and a + B",
    latex=r"\mathrm{TV}(\hat P, P) = 2\Phi(\|e\|/2) - 1,\qquad \delta \in [(a - B)_+,\ a + B]",
    assumptions=(GAUSSIAN, ISOTROPIC, NOISELESS, INJECTIVE, DISPLACED, BOUNDED),
    source=f"{OURS}; the total variation of Gaussian shifts is classical",
    proof=(SHIFTED, RATIO, SCORE, HALVES, VARIATION, SEEN_PART, FARTHEST, NEAREST, BETWEEN),
    conclusions=("variation", "farthest", "nearest", "between"),
    says=(
        (variation, "=", 2 * normal_cdf(length / 2) - 1),
        ((c + B / a * c).T * (c + B / a * c), "=", (a + B) ** 2 * Identity(1)),
        ((c - B / a * c).T * (c - B / a * c), "=", (a - B) ** 2 * Identity(1)),
        BETWEEN.statement,
    ),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in measure(world, 1e-3 * fault)),
    counterexamples=(
        Counterexample(GAUSSIAN, "a Laplace base makes the same displacement cost another", _laplace, "variation"),
        Counterexample(ISOTROPIC, "in a wider base the same displacement costs less", _wider, "variation"),
        Counterexample(NOISELESS, "noise makes the laws of x nearer", _noisy, "variation"),
        Counterexample(INJECTIVE, "an even f does not see a mean that changes its sign", _even, "variation"),
        Counterexample(DISPLACED, "a law that is scaled as well differs by no half-space", _spread, "variation"),
        Counterexample(BOUNDED, "a larger unseen part reaches farther", _unbounded, "farthest"),
    ),
    remark="An interaction of length |ι| that no additive model has costs 2 Φ(|ι|/2) − 1: 0.20 for |ι| = ½, 0.38"
    " for 1 and 0.68 for 2. With noise these are upper bounds.",
)
