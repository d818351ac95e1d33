"""Models that lack one assumption of 2.10, 2.10b or 2.13b: what a gain is then, or what a prediction misses."""

from sympy import Expr, Integer, Matrix, Rational, Symbol, integrate, oo, symbols
from sympy.functions import exp, sqrt

from theory.engine.record import Model, compare
from theory.identifiability.span import least_gain, noise_gain, solve_span


def missed_interaction(size: Rational) -> Model:
    """Train on 0, e_1, e_2 and ask for (1, 1): an interaction of length `size` is missed on average."""
    weights, W = Matrix([-1, 1, 1]), Matrix([[2, 3]])
    means = W * Matrix([[0, 1, 0], [0, 0, 1]])
    return compare(
        ("mean of the test latent, and of its prediction", (W * Matrix([1, 1]))[0] + size, (means * weights)[0]),
        unit(weights),
    )


def unit(weights: Matrix) -> tuple[str, Expr, Expr]:
    """What a displacement of the origin does to a prediction: it moves it as far."""
    origin = Symbol("mu", real=True)
    return "how a prediction moves with the origin", sum(weights) * origin, origin


def missed_part(size: Rational) -> Model:
    """Ask for (1, 1, size) instead: the third column of W is missed by the weights that fit the other two doses."""
    weights, W = Matrix([-1, 1, 1]), Matrix([[2, 3, 5]])
    means = W * Matrix([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    return compare(
        ("mean of the test latent, and of its prediction", (W * Matrix([1, 1, size]))[0], (means * weights)[0]),
        unit(weights),
    )


def narrower_base(size: Rational) -> Model:
    """Covariance 1/(1 + size): the gain 3 of A + B - control becomes a variance of 3/(1 + size)."""
    return compare(
        ("variance of the prediction of A + B, a cell each", 3 / (1 + size), noise_gain([1, 1])),
        unit(Matrix([-1, 1, 1])),
    )


def shared_batch(size: Rational) -> Model:
    """Cells of A and of the control share a batch effect, correlation `size`: A + B - control has not variance 3."""
    weights, shared = Matrix([-1, 1, 1]), Matrix([[1, size, 0], [size, 1, 0], [0, 0, 1]])
    return compare(
        ("variance of the prediction of A + B, a cell each", (weights.T * shared * weights)[0], noise_gain([1, 1])),
        unit(weights),
    )


def least_norm(size: Rational) -> Model:
    """Doses 1 and 2 measured, 3 asked for: on the way from the quietest α to the one of least norm the gain grows."""
    quietest, shortest = least_gain([[1], [2]], [3], [0]), solve_span([[1], [2]], [3], [0]).coefficients or ()
    alpha = [q + size * (s - q) for q, s in zip(quietest, shortest, strict=True)]
    slope = Symbol("W", real=True)
    return compare(
        ("noise gain", noise_gain(alpha), noise_gain(quietest)),
        ("shift that is predicted", (alpha[0] + 2 * alpha[1]) * slope, 3 * slope),
    )


def known_origin(size: Rational) -> Model:
    """z_A + z_B - (1 - size) z_0 is unbiased for A + B at every size if E z_base = 0 is known; variance below 3."""
    effect_a, effect_b = symbols("W_A W_B", real=True)
    return compare(
        ("variance of an unbiased prediction of A + B, a cell each", 2 + (1 - size) ** 2, noise_gain([1, 1])),
        ("its mean", effect_a + effect_b - (1 - size) * 0, effect_a + effect_b),
    )


def median(size: Integer) -> Model:
    """Three cells of one environment, whose mean is wanted; at size 1 their median, for a Laplace base."""
    t, rate = Symbol("t", positive=True), sqrt(2)
    density, tail = rate * exp(-rate * t) / 2, exp(-rate * t) / 2
    variance = integrate(2 * t**2 * density, (t, 0, oo))
    median = integrate(2 * t**2 * 6 * (1 - tail) * tail * density, (t, 0, oo))
    mean = Rational(1, 3)
    centre = Symbol("theta", real=True)
    odd = integrate(t * density, (t, 0, oo)) - integrate(t * density, (t, 0, oo))
    return compare(
        ("variance of the estimate", median if size else mean, mean),
        ("variance of a cell", variance, Integer(1)),
        ("mean of a cell", centre + odd, centre),
    )
