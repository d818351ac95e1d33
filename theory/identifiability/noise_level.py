"""Claim 2.11b: the level of isotropic Gaussian noise is identified where f(z) lies on a manifold of lower dimension.

Were σ̃ < σ, f̃(z̃) would have the law of f(z) with Gaussian noise of variance σ² - σ̃² in every direction, which has a
density and gives a null set no mass. With the level known, 2.11 applies.

Tried against it. (i) d_X = d_Z: refuted for linear f, where latent variance and noise add up, and for curved f too, see
`_square`: with shifts along z₁ alone f may bend z₂ in any way, and the effect sizes differ although rank(W L) is
d_Z - 1, which suffices for 2.8. Near a linear f and for shifts along the curved coordinate itself, to first order only
a wave with the period (1 - c⁻²) |W Δ| is hidden in this way, c² being the factor by which the latent variance grows.
(ii) One variance for each feature: refuted, see `_diagonal`; where f is linear and the condition of Anderson and Rubin
(1956) holds, that after removing any row of F two disjoint regular d_Z × d_Z matrices are left, it is identified; for
curved f the question is open. (iii) An injective f that is not smooth: its image may fill space, so `thin` is asked of
the image and not of the dimensions.
"""

import numpy as np
from scipy import stats
from sympy import Expr, Integer, Rational, Symbol, diff, exp, integrate, sqrt, symbols

from theory.assumptions import EQUIVALENT, OURS
from theory.engine.formulas import normal_cdf, normal_density
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import rivals

ISOTROPIC_NOISE = Assumption("isotropic_noise", "x = f(z) + ε with ε ∼ N(0, σ² I) independent of z, σ² ≥ 0 not known")
THIN = Assumption(
    "thin", "the images of f and f̃ have Lebesgue measure zero, as those of differentiable maps have for d_X > d_Z"
)

phi_x, phi_y, rival_x, rival_y = symbols(r"\varphi_{x} \varphi_{y} \tilde{\varphi}_{x} \tilde{\varphi}_{y}")
level, rival_level, rest = symbols(r"\sigma^{2} \tilde{\sigma}^{2} s", real=True)
frequency = Symbol(r"\lvert{t}\rvert^{2}", positive=True)

TRANSFORM = Lemma(
    "transform",
    "the characteristic function of x at t is that of f(z) times exp(−σ² |t|² / 2)",
    "the characteristic function of a Gaussian, and independence",
    ISOTROPIC_NOISE,
    (
        (rival_y, rival_x * exp(rival_level * frequency / 2)),
        (phi_x, phi_y * exp(-level * frequency / 2)),
    ),
)
SEEN = Lemma(
    "seen",
    "x has one characteristic function in both models",
    "under a training label",
    EQUIVALENT,
    ((rival_x, phi_x),),
)
SMOOTHED = Step(
    "smoothed",
    "with σ̃² = σ² − s the characteristic function of f̃(z̃) is that of f(z) times exp(−s |t|² / 2)",
    rival_y,
    phi_y * exp(-rest * frequency / 2),
    (
        TRANSFORM.equation(0),
        SEEN.equation(),
        TRANSFORM.equation(1),
        Equation(DEFINITION, rest, level - rival_level),
    ),
)
NULL = Lemma(
    "null",
    "s = 0",
    "for s > 0, by `smoothed`, f̃(z̃) has the law of f(z) + N(0, s I), which has a density, yet lies in a null set; for"
    " s < 0 the two models change places",
    (THIN, SMOOTHED),
    ((rest, rest * 0),),
)
LEVEL = Step(
    "level",
    "σ̃² = σ²: the noise law is known, and 2.11 applies",
    rival_level,
    level,
    (Equation(DEFINITION, rival_level, level - rest), NULL.equation()),
)


def parabola(z: np.ndarray) -> np.ndarray:
    """The second coordinate of f(z) = (z, z²/2), a curve in the plane."""
    return np.square(z) / 2


def spectrum(mean: float, sigma: float, t: np.ndarray) -> np.ndarray:
    """Modulus (n,) of E exp(i t x₂), x₂ = z²/2 + σ ε, by trapezoidal integrals over z and over x₂."""
    z, x = np.linspace(-9, 9, 601) + mean, np.linspace(-8, 64, 1801)
    weights = stats.norm.pdf(z - mean) * (z[1] - z[0])
    density = stats.norm.pdf((x[:, None] - parabola(z)) / sigma) @ weights / sigma
    waves = np.outer(t, x)
    mass = density * (x[1] - x[0])
    return np.hypot(np.cos(waves) @ mass, np.sin(waves) @ mass)


def covariance(world: World, sigma: float) -> np.ndarray:
    """Cov(x) for x = F z + σ ε, F orthogonal with a further row: one observed coordinate more than latents."""
    F = np.vstack([world.R, world.Q[:1] @ world.R])
    return F @ F.T + sigma**2 * np.eye(len(F))


def measure(world: World, sigma: float = 0.5, claimed: float = 0.5) -> tuple[Measurement, ...]:
    """σ² read off the laws of x: the least eigenvalue of Cov(x) for linear f, the decay of the spectrum for a curve.

    For the curve -2 log|E exp(itx₂)|/t² = σ² + log(1 + t²)/(2 t²) + m²/(1 + t²), the law of z²/2 being that of a
    non-central chi-square, so σ² is its limit. Rounding: sums of 1801 terms of size at most 1, in the logarithm divided
    by the spectrum.
    """
    values, _ = np.linalg.eigh(covariance(world, sigma))
    mean, t = float(np.tanh(world.W[0, 0])), np.linspace(1, 5, 9)
    modulus = spectrum(mean, sigma, t)
    own = np.log1p(t**2) / (2 * t**2) + mean**2 / (1 + t**2)
    decay = -2 * np.log(modulus) / t**2 - own
    return (
        Measurement("eigenvalue", float(abs(values[0] - claimed**2)), float(64 * len(values) * EPS * values[-1])),
        Measurement("decay", float(np.abs(decay - claimed**2).max()), float(2 * 1801 * EPS / modulus.min())),
    )


def _square(size: Rational) -> Model:
    """d_X = d_Z = 2: f(z) = (z₁, Φ(z₂)) with noise of variance 2, and a rival with noise of variance 2 - size.

    The shifts go along z₁. The rival maps z to (c z₁, G⁻¹(Φ(z₂))), c² = 1 + size, and has shifts W/c, where G is the
    distribution function of a uniform variable with noise of variance size. Premises: mean and variance of the first
    coordinate, and the density of the second. The gap is that of the squared effect sizes for W = (1, 0).
    """
    c = sqrt(1 + size)
    t, dose, y, u = symbols("t l y u", real=True)
    same: tuple[tuple[str, Expr, Expr], ...] = ()
    if size:
        smoothed = integrate(normal_density((y - u) / sqrt(size)) / sqrt(size), (u, 0, 1))
        same = (("density of coordinate 2 less noise", diff(_smoothed_uniform(y, sqrt(size)), y), smoothed),)
    return compare(
        ("variance of the noise", 2 - size, Integer(2)),
        ("cumulant function of coordinate 1", (c**2 + 2 - size) * t**2 / 2, 3 * t**2 / 2),
        ("mean of coordinate 1 at dose l", c * (dose / c), dose),
        *same,
    )


def _smoothed_uniform(y: Expr, s: Expr) -> Expr:
    """P(U + s η ≤ y) for U uniform on [0, 1] and η ~ N(0, 1)."""
    return s * (_ramp(y / s) - _ramp((y - 1) / s))


def _ramp(u: Expr) -> Expr:
    return u * normal_cdf(u) + normal_density(u)


def _diagonal(size: Rational) -> Model:
    """d_X = 2 and f(z) = (z, 0): x₁ = z + ε₁ with variance 1, against c z + ε₁ with variance 1 - size/2 and shifts W/c.

    The second feature keeps its own variance. The gap is that of the squared effect sizes for W = 1.
    """
    c = sqrt(1 + size / 2)
    t, dose = symbols("t l", real=True)
    return compare(
        ("variance of the noise of feature 1", 1 - size / 2, Integer(1)),
        ("cumulant function of feature 1", (c**2 + 1 - size / 2) * t**2 / 2, t**2),
        ("mean of feature 1 at dose l", c * (dose / c), dose),
    )


CLAIM = Claim(
    name="noise_level",
    number="2.11b",
    statement="for d_X > d_Z and smooth f the level σ² of isotropic Gaussian noise is identified, so 2.11 applies",
    latex=r"x = f(z) + \sigma\eta,\ \operatorname{vol} f(\mathbb{R}^{d_Z}) = 0:\quad"
    r" \tilde P(x \mid l_e) = P(x \mid l_e) \ \Rightarrow\ \tilde\sigma = \sigma",
    assumptions=(ISOTROPIC_NOISE, THIN, EQUIVALENT),
    source=OURS,
    proof=(TRANSFORM, SEEN, SMOOTHED, NULL, LEVEL),
    conclusions=("level",),
    says=((rival_level, "=", level),),
    check=lambda fault=0.0: tuple(m for world in worlds(6) for m in measure(world, claimed=0.5 + 1e-3 * fault)),
    counterexamples=(
        Counterexample(
            ISOTROPIC_NOISE, "with a variance for each feature one may take up a latent’s", _diagonal, "level"
        ),
        Counterexample(
            THIN, "for d_X = d_Z noise may be taken for latent variance, for curved f too", _square, "level"
        ),
        Counterexample(
            EQUIVALENT, "a model with other training laws has another W", rivals.identified(rivals.different), "level"
        ),
    ),
    remark="One environment is enough. With one unknown variance for each feature it fails in general, and holds for "
    "linear f under the condition of Anderson and Rubin (1956).",
)
