"""Claims 2.12 and 2.12b: counts of known exposure determine the law of the rates behind them.

A Poisson count of mean s r has E (1 - u)^x = exp(-s u r): the generating function of counts is the Laplace transform of
the law of the rates r = f(z), for any number of genes at once. A negative binomial is a Poisson whose rate is r γ with
γ gamma; on the log scale that is additive noise of a known law without a zero in its characteristic function, 2.11.
With an exposure that differs between cells the argument holds for the cells of each.

Tried against it. Exposure, dispersion or the law of the multiplicity not known: each refuted by two explicit models.
Totals that are fixed: 2.12c. Rates of zero: harmless, r γ = 0 exactly where r = 0, and what is said of log r holds
given r > 0.
"""

import numpy as np
from scipy import special, stats
from sympy import Function, Integer, Integral, Mul, Rational, Sum, Symbol, exp, factorial, gamma, oo, symbols

from theory.assumptions import EQUIVALENT, OURS
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import rivals

POISSON = Assumption("poisson", "given r = f(z) the counts are independent Poisson variables of means s r_g")
GAMMA_POISSON = Assumption(
    "gamma_poisson",
    "given r = f(z) the counts are independent Poisson variables of means s r_g γ_g, with γ_g independent gamma"
    " variables of mean 1 and shape θ: negative binomial",
)
s, rival_s, rate, u, theta, a = symbols(r"s \tilde{s} r u theta a", positive=True)
k = Symbol("k", integer=True, nonnegative=True)
laplace, rival_laplace = Function(r"\Lambda"), Function(r"\tilde{\Lambda}")
generating, rival_generating = symbols(r"\Gamma_{x} \tilde{\Gamma}_{x}")
phi_r, phi_gamma, phi_product = symbols(r"\varphi_{\log{r}} \varphi_{\log{\gamma}} \varphi_{\log{r\gamma}}")
rival_r, rival_gamma = symbols(r"\tilde{\varphi}_{\log{r}} \tilde{\varphi}_{\log{\gamma}}")
rival_product = Symbol(r"\tilde{\varphi}_{\log{r\gamma}}")

multiplicity = Symbol("gamma", positive=True)

EXPOSURE = Assumption(
    "exposure",
    "the exposure s of each cell is known, so it is the same in every model compared",
    states=((s, rival_s),),
)
DISPERSION = Assumption(
    "dispersion",
    "the shape θ is known, so it is the same in every model compared",
    states=((phi_gamma, rival_gamma),),
)

GENERATING = Step(
    "generating",
    "𝔼 (1 − u)ᵏ = exp(−s u r) for a Poisson count k of mean s r",
    Mul(exp(-s * rate), Sum(((1 - u) * s * rate) ** k / factorial(k), (k, 0, oo)), evaluate=False),
    exp(-s * u * rate),
)
TRANSFORM = Lemma(
    "transform",
    "the generating function of the counts at 1 − u is Λ(s u), Λ the Laplace transform of the law of r, for vectors u"
    " too",
    "`generating` for each gene, independence given r, and the expectation over r; in the rival likewise",
    (POISSON, GENERATING),
    ((laplace(s * u), generating), (rival_laplace(rival_s * u), rival_generating)),
)
SEEN = Lemma(
    "seen",
    "the counts have one generating function in both models",
    "under a training label",
    EQUIVALENT,
    ((rival_generating, generating),),
)
SAME_TRANSFORM = Step(
    "same_transform",
    "the law of r̃ has the Laplace transform of r under every training label",
    rival_laplace(s * u),
    laplace(s * u),
    (
        TRANSFORM.equation(0),
        Equation(EXPOSURE, s, rival_s),
        TRANSFORM.equation(1),
        SEEN.equation(),
    ),
)
RATES = Lemma(
    "rates",
    "r̃ has the law of r under every training label, so 2.2 to 2.6, 2.8 and 2.9b hold of r = f(z) as without noise",
    "a law of non-negative vectors is determined by its Laplace transform on an open set",
    SAME_TRANSFORM,
)

_Z = np.linspace(-10, 10, 801)


def rates(z: np.ndarray) -> np.ndarray:
    """r = log(1 + exp(z)), positive and increasing."""
    return np.logaddexp(0, z)


def count_law(mean: float, exposure: float, law: stats.rv_discrete, *shape: float) -> np.ndarray:
    """P(x = k) for k = 0 … 199, z ~ N(mean, 1), by the trapezoidal rule; `shape` is θ of a negative binomial."""
    means, weights = exposure * rates(_Z + mean), stats.norm.pdf(_Z) * (_Z[1] - _Z[0])
    probability = law.pmf(np.arange(200)[:, None], *_parameters(means, *shape))
    return probability @ weights


def _parameters(means: np.ndarray, *shape: float) -> tuple:
    return (shape[0], shape[0] / (shape[0] + means)) if shape else (means,)


def laplace_of_rates(mean: float, at: np.ndarray) -> np.ndarray:
    """E exp(-at r) for z ~ N(mean, 1)."""
    return np.exp(-np.outer(at, rates(_Z + mean))) @ (stats.norm.pdf(_Z) * (_Z[1] - _Z[0]))


def moments_of_rates(mean: float) -> np.ndarray:
    """E r, E r² and E r³ for z ~ N(mean, 1)."""
    return rates(_Z + mean) ** np.arange(1, 4)[:, None] @ (stats.norm.pdf(_Z) * (_Z[1] - _Z[0]))


def factorial_moments(law: np.ndarray) -> np.ndarray:
    """E x, E x (x - 1) and E x (x - 1) (x - 2) of a law on 0, 1, …"""
    n = np.arange(len(law), dtype=float)
    return np.array([law @ n, law @ (n * (n - 1)), law @ (n * (n - 1) * (n - 2))])


def _means(world: World) -> np.ndarray:
    """Latent means, the first coordinates of W lₑ brought to [-1, 1]."""
    means = (world.labels @ world.W.T)[:, 0]
    return means / (1 + np.abs(means).max())


def measure(world: World, exposure: float = 4.0, claimed: float = 4.0) -> tuple[Measurement, ...]:
    """The generating function and the factorial moments of counts against transform and moments of the rates.

    Rounding: sums of 801 times 200 terms, relative to the largest; r is below 12, so beyond 200 there is less than
    1e-50 of the mass.
    """
    at, worst, apart, size = np.linspace(0.05, 0.9, 6), 0.0, 0.0, 1.0
    for mean in _means(world):
        law = count_law(mean, exposure, stats.poisson)
        transform = np.power.outer(1 - at, np.arange(len(law))) @ law
        worst = max(worst, float(np.abs(transform - laplace_of_rates(mean, claimed * at)).max()))
        scaled = moments_of_rates(mean) * claimed ** np.arange(1, 4)
        apart, size = max(apart, float(np.abs(factorial_moments(law) - scaled).max())), max(size, float(scaled.max()))
    bound = 1000 * EPS
    return Measurement("same_transform", worst, bound), Measurement("moments", apart, 10 * bound * size)


def _rescaled(size: Rational) -> Model:
    """r = 1 with exposure 1, against r = 1 + size with exposure 1/(1 + size): the same counts."""
    rival = 1 + size
    return compare(
        ("rate", rival, Integer(1)),
        ("generating function of the counts", *(exp(-u * rate * s) for rate, s in ((rival, 1 / rival), (1, 1)))),
    )


def _moved(size: Rational) -> Model:
    """Counts that are Poisson given r γ: r = 1 and γ exponential, against r = γ^size the rest of γ as multiplicity.

    The products are equal, so the counts are. The gap is the variance of the rival's rate, where r has none.
    """
    return compare(
        ("variance of the rate", gamma(1 + 2 * size) - gamma(1 + size) ** 2, Integer(0)),
        ("rate times multiplicity", multiplicity**size * multiplicity ** (1 - size), multiplicity),
    )


COUNTS = Claim(
    name="poisson_counts",
    number="2.12",
    statement="Poisson counts of known exposure determine the law of the rates f(z), so 2.2 to 2.6 and 2.8 hold",
    latex=r"x_g \sim \operatorname{Poisson}(s\,r_g),\ r = f(z):\quad"
    r" E \prod_g (1 - u_g)^{x_g} = E\, e^{-s\,u \cdot r} \ \text{determines the law of}\ r",
    assumptions=(POISSON, EXPOSURE, EQUIVALENT),
    source=OURS,
    proof=(GENERATING, TRANSFORM, SEEN, SAME_TRANSFORM, RATES),
    conclusions=("same_transform", "rates"),
    says=((rival_laplace(s * u), "=", laplace(s * u)), RATES.statement),
    check=lambda fault=0.0: tuple(m for world in worlds(6) for m in measure(world, claimed=4 + 1e-3 * fault)),
    counterexamples=(
        Counterexample(POISSON, "counts that vary more than Poisson hide whether the rate varies", _moved, "rates"),
        Counterexample(EXPOSURE, "without the exposure rates are known up to a factor", _rescaled, "rates"),
        *rivals.counterexamples("rates", EQUIVALENT),
    ),
    remark="The exposure may differ between cells. A total counted from the cell itself is no exposure but a part of "
    "the data: see 2.12c.",
)

MELLIN = Step(
    "mellin",
    "𝔼 γᵃ = Γ(θ + a) / (Γ(θ) θᵃ) for a gamma variable of mean 1 and shape θ",
    Integral(
        multiplicity ** (theta + a - 1) * exp(-theta * multiplicity) * theta**theta / gamma(theta),
        (multiplicity, 0, oo),
    ),
    gamma(theta + a) / (gamma(theta) * theta**a),
)
NO_ZERO = Lemma(
    "no_zero",
    "the characteristic function of log γ, Γ(θ + i t) / (Γ(θ) θ^(i t)), has no zero",
    "by `mellin` and analytic continuation to imaginary a; the reciprocal of Γ is entire",
    MELLIN,
)
MIXED = Lemma(
    "mixed",
    "the rates r γ of both models have one law, so log r + log γ one characteristic function, a product in either",
    "2.12 with the rates r γ, given which the counts are Poisson; γ is independent of r",
    (GAMMA_POISSON, EXPOSURE, EQUIVALENT),
    (
        (rival_r * rival_gamma, rival_product),
        (rival_product, phi_product),
        (phi_product, phi_r * phi_gamma),
    ),
)
RIVAL = Step(
    "rival",
    "with the same log γ the rival’s log rate has the characteristic function of log r + log γ",
    rival_r * phi_gamma,
    phi_product,
    (
        Equation(DISPERSION, phi_gamma, rival_gamma),
        MIXED.equation(0),
        MIXED.equation(1),
    ),
)
DIVIDED = Lemma(
    "divided",
    "the characteristic function of log γ may be divided by",
    "it has no zero",
    (RIVAL, NO_ZERO),
    ((rival_r, phi_product / phi_gamma),),
)
SAME_RATES = Step(
    "same_rates",
    "so its log rate has the characteristic function of log r, and its rate the law of r, under every training label",
    rival_r,
    phi_r,
    (
        DIVIDED.equation(),
        MIXED.equation(2),
    ),
)


def log_gamma_spectrum(theta: float, t: np.ndarray) -> np.ndarray:
    """Real and imaginary part (2, n) of E exp(it log γ), by the trapezoidal rule in log γ."""
    grid = np.linspace(-80, 8, 8801)
    weights = stats.loggamma.pdf(grid, theta, loc=-np.log(theta)) * (grid[1] - grid[0])
    return np.stack([np.cos(np.outer(t, grid)) @ weights, np.sin(np.outer(t, grid)) @ weights])


def measure_dispersed(world: World, theta: float = 1.5, claimed: float = 1.5) -> tuple[Measurement, ...]:
    """Factorial moments of negative binomial counts over those of γ, against the rates'; and the law of log γ.

    Rounding as in `measure`; counts reach 200 with less than 1e-12 of the third moment beyond, which is the bound.
    """
    t, order, worst, size = np.linspace(0.2, 3, 8), np.arange(1, 4), 0.0, 1.0
    spread = special.poch(claimed, order) / claimed**order
    for mean in _means(world):
        law = count_law(mean, 0.5, stats.nbinom, theta)
        scaled = moments_of_rates(mean) * 0.5**order
        worst, size = max(worst, float(np.abs(factorial_moments(law) / spread - scaled).max())), max(size, scaled.max())
    values = special.gamma(claimed + 1j * t) / (special.gamma(claimed) * claimed ** (1j * t))
    deviation = np.abs(log_gamma_spectrum(theta, t) - np.stack([values.real, values.imag])).max()
    return (
        Measurement("moments", worst, float(1e-10 * size)),
        Measurement("mellin", float(deviation), 8801 * EPS),
    )


def _shaped(size: Rational) -> Model:
    """θ = 1 and r = 1, against θ = 1 + size and r = θ B with B of the beta law (1, size): the same r γ.

    Premise: the moments of r γ of any order a. The gap is the variance of the rival's rate, where r has none.
    """
    rival, order = 1 + size, Symbol("a", positive=True)
    beta = gamma(1 + order) * gamma(rival) / gamma(rival + order)
    product = rival**order * beta * gamma(rival + order) / (gamma(rival) * rival**order)
    return compare(
        ("variance of the rate", size / (rival**2 * (rival + 1)) * rival**2, Integer(0)),
        ("moment of order a of rate times multiplicity", product, gamma(1 + order)),
    )


DISPERSED = Claim(
    name="dispersed_counts",
    number="2.12b",
    statement="negative binomial counts of known exposure and dispersion determine the law of the rates f(z)",
    latex=r"x_g \sim \operatorname{NB}(s\,r_g, \theta):\quad"
    r" \varphi_{\log r_g} = \varphi_{\log r_g\gamma_g} \cdot"
    r" \frac{\Gamma(\theta)\,\theta^{it}}{\Gamma(\theta + it)}\ \text{determines the law of}\ r",
    assumptions=(GAMMA_POISSON, EXPOSURE, DISPERSION, EQUIVALENT),
    source=OURS,
    proof=(MELLIN, NO_ZERO, MIXED, RIVAL, DIVIDED, SAME_RATES),
    conclusions=("same_rates",),
    says=((rival_r, "=", phi_r),),
    check=lambda fault=0.0: tuple(
        m for world in worlds(6) for m in measure_dispersed(world, claimed=1.5 + 1e-3 * fault)
    ),
    counterexamples=(
        Counterexample(
            GAMMA_POISSON, "with a multiplicity of another law the rate may vary in its place", _moved, "same_rates"
        ),
        Counterexample(EXPOSURE, "without the exposure rates are known up to a factor", _rescaled, "same_rates"),
        Counterexample(DISPERSION, "a rate that varies may take over a part of the dispersion", _shaped, "same_rates"),
        *rivals.counterexamples("same_rates", EQUIVALENT),
    ),
    remark="The dispersion may differ between genes. Several genes at once: the characteristic function of the vector "
    "log γ is a product without a zero.",
)

CLAIMS = (COUNTS, DISPERSED)
