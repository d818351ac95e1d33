"""Claim 2.11: additive noise of a known law costs no identifiability.

The characteristic function of x is that of y = f(z) times that of the noise. Divided by the latter, the laws of x under
the training labels give those of y, and what is said of models without noise holds of (f, W) as it stands: 2.2 to 2.6,
2.8 and 2.9b, whose assumption `recoverable` is what is concluded here. Lost is inversion, z being no function of a cell
any more, and with it 2.7: density ratios of x are averages of those of y.

Tried against it. (i) A noise law that is free: for linear f a part of the latent variance may count as noise, which
rescales W. (ii) A noise without high frequencies, of compact spectrum: y may wave beyond them. Isolated zeros, as those
of uniform noise, do no harm. (iii) Noise that leans on the latent: one known law of ε is not enough, it must be
independent of z.
"""

import numpy as np
from scipy import stats
from sympy import Abs, Expr, Integer, Max, Rational, Symbol, sqrt, symbols

from theory.assumptions import EQUIVALENT, OURS
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import rivals

phi_x, phi_y, phi_noise = symbols(r"\varphi_{x} \varphi_{y} \varphi_{\varepsilon}")
rival_x, rival_y, rival_noise = symbols(r"\tilde{\varphi}_{x} \tilde{\varphi}_{y} \tilde{\varphi}_{\varepsilon}")

ADDITIVE_NOISE = Assumption("additive_noise", "x = f(z) + ε, with ε independent of z and of one law under every label")
KNOWN_LAW = Assumption(
    "known_law",
    "the law of ε is known, so it is the same in every model that is compared",
    states=((phi_noise, rival_noise),),
)
SPECTRUM = Assumption("spectrum", "the characteristic function of ε is zero on no open set of frequencies")

PRODUCT = Lemma(
    "product",
    "in either model and under every label the characteristic function of x is that of y = f(z) times that of ε",
    "the expectation of a product of independent variables",
    ADDITIVE_NOISE,
    ((phi_y * phi_noise, phi_x), (rival_y * rival_noise, rival_x)),
)
SEEN = Lemma(
    "seen",
    "x has one characteristic function in both models",
    "under a training label",
    EQUIVALENT,
    ((rival_x, phi_x),),
)
RIVAL = Step(
    "rival",
    "under a training label f̃(z̃) with the same noise has the characteristic function of x",
    rival_y * phi_noise,
    phi_x,
    (
        Equation(KNOWN_LAW, phi_noise, rival_noise),
        PRODUCT.equation(1),
        SEEN.equation(),
    ),
)
DIFFERENCE = Step(
    "difference",
    "the difference of the characteristic functions of f̃(z̃) and of f(z) vanishes wherever that of ε does not",
    rival_y * phi_noise - phi_y * phi_noise,
    phi_x * 0,
    (RIVAL.equation(), PRODUCT.equation(0)),
)
EVERYWHERE = Lemma(
    "everywhere",
    "it vanishes everywhere",
    "by `difference` on a dense set of frequencies, and characteristic functions are continuous",
    (SPECTRUM, DIFFERENCE),
    ((rival_y, phi_y),),
)
SAME_LAW = Step(
    "same_law",
    "f̃(z̃) has the characteristic function of f(z) under every training label, hence its law",
    rival_y,
    phi_y,
    (EVERYWHERE.equation(),),
)
REDUCTION = Lemma(
    "reduction",
    "without their noise the two models are equivalent, and equal laws of f(z) at any label are equal laws of x: what"
    " 2.2 to 2.6, 2.8 and 2.9b say holds of (f, W) and (f̃, W̃)",
    "by `same_law` under the training labels; at a test label the noise is put back",
    (SAME_LAW, KNOWN_LAW, ADDITIVE_NOISE),
)

NOISES = (
    (stats.norm, lambda t: np.exp(-np.square(t) / 2)),
    (stats.logistic, lambda t: np.pi * t / np.sinh(np.pi * t)),
    (stats.hypsecant, lambda t: 1 / np.cosh(np.pi * t / 2)),
)
"""Laws of noise with an analytic density, and their characteristic functions at t > 0."""


def mixing(z: np.ndarray) -> np.ndarray:
    """f(z) = 2 z + sin z, increasing and neither linear nor convex."""
    return 2 * z + np.sin(z)


def spectrum_of_cells(mean: float, law: stats.rv_continuous, scale: float, t: np.ndarray) -> np.ndarray:
    """Real and imaginary part (2, n) of E exp(itx), from the density of x = f(z) + scale·ε on a grid.

    Both integrals are trapezoidal, which converges exponentially for these integrands.
    """
    z, x = np.linspace(-9, 9, 181) + mean, np.linspace(-70, 70, 1401)
    weights = stats.norm.pdf(z - mean) * (z[1] - z[0])
    density = law.pdf((x[:, None] - mixing(z)) / scale) @ weights / scale
    return _waves(t, x, density * (x[1] - x[0]))


def spectrum_of_latents(mean: float, t: np.ndarray) -> np.ndarray:
    """Real and imaginary part (2, n) of E exp(it f(z)) for z ~ N(mean, 1)."""
    z = np.linspace(-9, 9, 181) + mean
    return _waves(t, mixing(z), stats.norm.pdf(z - mean) * (z[1] - z[0]))


def _waves(t: np.ndarray, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    phases = np.outer(t, points)
    return np.stack([np.cos(phases) @ weights, np.sin(phases) @ weights])


def measure(world: World, scale: float = 0.5, claimed: float = 0.5) -> Measurement:
    """The spectrum of x at noise `scale` divided by that of noise at `claimed`, against that of f(z), for two labels.

    The latent means of the reference and of e = 1 are the first coordinates of W lₑ, brought to [-1, 1]. Rounding: sums
    of 1401 terms of size at most 1, divided by the spectrum of the noise. The grid ends at 70, where the tails of the
    noise are below 1e-20.
    """
    t, means = np.linspace(0.1, 1.5, 8), (world.labels @ world.W.T)[:, 0]
    worst, bound = 0.0, 0.0
    for mean in means[:2] / (1 + np.abs(means).max()):
        for law, characteristic in NOISES:
            divided = spectrum_of_cells(mean, law, scale, t) / characteristic(claimed * t)
            worst = max(worst, float(np.abs(divided - spectrum_of_latents(mean, t)).max()))
            bound = max(bound, float(1401 * EPS / characteristic(claimed * t).min()))
    return Measurement("same_law", worst, bound)


def _leaning(size: Rational) -> Model:
    """x = z + ε with independent noise, against x = c z + ε with correlation κ = 3 size/4 of ε and z, shifts W/c.

    ε ~ N(0, 1) in both; c² + 1 + 2 c κ = 2, so all laws of x are N(W l, 2). The gap is Var(c z) - Var(z).
    """
    kappa = 3 * size / 4
    c = sqrt(1 + kappa**2) - kappa
    t, dose = symbols("t l", real=True)
    return compare(
        ("variance of f(z)", c**2, Integer(1)),
        ("cumulant function of x", (c**2 + 1 + 2 * c * kappa) * t**2 / 2, t**2),
        ("mean of x at dose l", c * (dose / c), dose),
    )


def _free(size: Rational) -> Model:
    """x = z + ε with ε ~ N(0, 1), and x = c z + ε with ε ~ N(0, 1 - size/2), c² = 1 + size/2 and shifts W/c.

    All laws of x are N(W l, 2) in both. The gap is that of the squared effect sizes for W = 1.
    """
    c, rest = sqrt(1 + size / 2), 1 - size / 2
    t, dose = symbols("t l", real=True)
    return compare(
        ("variance of f(z)", c**2, Integer(1)),
        ("cumulant function of x", (c**2 + rest) * t**2 / 2, t**2),
        ("mean of x at dose l", c * (dose / c), dose),
    )


def _band(size: Rational) -> Model:
    """Noise of density (1 - cos ε)/(π ε²) has no frequencies beyond 1; y has that density, times 1 + size cos 2y.

    Both densities of y are positive almost everywhere, hence laws of increasing functions of N(0, 1). Their
    characteristic functions, (1 - |t|)⁺ and the same with size/2 of it around -2 and 2, agree up to frequency 1. The
    gap is that at frequency 2.
    """
    u = Symbol("u", positive=True)
    below, above = u / (1 + u), 1 + u

    def difference(t: Expr) -> Expr:
        return size * (_tent(t - 2) + _tent(t + 2)) / 2

    same = (
        (f"characteristic function of x {where} frequency 1", _tent(t) * (_tent(t) + difference(t)), _tent(t) ** 2)
        for where, t in (("below", below), ("above", above))
    )
    return compare(("characteristic function of f(z) at frequency 2", difference(Rational(2)), Integer(0)), *same)


def _tent(t: Expr) -> Expr:
    return Max(1 - Abs(t), 0)


CLAIM = Claim(
    name="known_noise",
    number="2.11",
    statement="noise of a known law costs no identifiability: equivalent models have one law of f(z) at every training"
    " label",
    latex=r"x = f(z) + \varepsilon:\quad \varphi_{f(z)} = \varphi_x / \varphi_\varepsilon,\qquad"
    r" \tilde P(x \mid l_e) = P(x \mid l_e) \ \Rightarrow\ \tilde P(\tilde f(\tilde z) \mid l_e) = P(f(z) \mid l_e)",
    assumptions=(ADDITIVE_NOISE, KNOWN_LAW, SPECTRUM, EQUIVALENT),
    source=f"{OURS}; deconvolution as in Carroll and Hall (1988), Journal of the American Statistical Association 83",
    proof=(PRODUCT, SEEN, RIVAL, DIFFERENCE, EVERYWHERE, SAME_LAW, REDUCTION),
    conclusions=("same_law", "reduction"),
    says=((rival_y, "=", phi_y), REDUCTION.statement),
    check=lambda fault=0.0: tuple(measure(world, claimed=0.5 + 1e-3 * fault) for world in worlds(6)),
    counterexamples=(
        Counterexample(
            ADDITIVE_NOISE, "noise that leans on the latent hides a part of its variance", _leaning, "same_law"
        ),
        Counterexample(
            KNOWN_LAW, "a part of the latent variance may count as noise, which rescales W", _free, "same_law"
        ),
        Counterexample(SPECTRUM, "noise without high frequencies hides waves of the law of f(z)", _band, "same_law"),
        *rivals.counterexamples("same_law", EQUIVALENT),
    ),
    remark="Gaussian, Student, Laplace and logistic noise qualify, whatever its level; noise proportional to a known "
    "function of the mean does not by this proof. z is no function of x any more, so 2.7 holds of f(z) and not of x.",
)
