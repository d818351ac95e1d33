"""Claim 2.5b: the law of the Gram matrix of estimated effects, in finite samples.

With the latents seen, effects are estimated by differences of means, B̂ = B + Ξ, and B̂ᵀ B̂ is too large by d_Z V on
average, V the covariance of the errors: so B̂ᵀ B̂ − d_Z V is an unbiased estimate of the Gram matrix, whose error is
known. No method that has to find the latents can do better on average over rotations of Ξ: these are the oracle rows
of a benchmark.

Tried against it: a base that is not Gaussian (the mean stays, the error does not), cells that share a batch effect
(both go).
"""

from itertools import product

import numpy as np
from sympy import Integer, Rational, Symbol, symbols
from sympy.matrices.expressions import MatrixSymbol, ZeroMatrix

from theory.assumptions import ADDITIVE, GAUSSIAN, ISOTROPIC, OURS
from theory.engine.expectation import E, Random
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import Assumption, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.symbols import M, d

CELLS = Assumption("cells", "the latents of nₑ independent cells of every training environment are seen")

B, V, N, nu = MatrixSymbol("B", d, M), MatrixSymbol("V", M, M), MatrixSymbol("N^{-1}", M, M), MatrixSymbol("nu", 1, 1)
Xi, xi, xi_0 = Random("Xi", d, M), Random("xi", M, 1), Random("xi_0", 1, 1)
ones = MatrixSymbol(r"\mathbf{1}", M, 1)
trace_g, trace_v, trace_gv, trace_vv, n_latents = symbols("t_G t_V t_GV t_VV d_Z", positive=True)
linear, square, mixed = symbols("c_1 c_2 c_12", real=True)
_error = xi - ones * xi_0

MEANS = Lemma(
    "means",
    "the errors of the means are independent, of variance 1/nₑ in every latent coordinate",
    "means of independent cells with covariance I; N⁻¹ = diag(1/nₑ) and ν = 1/n₀",
    (CELLS, ISOTROPIC),
    ((E(xi * xi.T), N), (E(xi * xi_0.T), ZeroMatrix(M, 1)), (E(xi_0 * xi_0.T), nu)),
)
SPREAD = Step(
    "spread",
    "in one latent coordinate the errors of the effects have the covariance V = diag(1/nₑ) + 𝟏𝟏ᵀ/n₀",
    E(_error * _error.T),
    N + ones * nu * ones.T,
    tuple(MEANS.equation(place) for place in range(3)),
)
ROWS = Lemma(
    "rows",
    "𝔼 Ξ = 0 and 𝔼 Ξᵀ Ξ = d_Z V",
    "Ξ has d_Z independent rows, each of the covariance of `spread`",
    (ADDITIVE, "spread"),
    ((E(Xi), ZeroMatrix(d, M)), (E(Xi.T * Xi), d * V)),
)
MEAN = Step(
    "mean",
    "𝔼 B̂ᵀ B̂ = Bᵀ B + d_Z V",
    E((B + Xi).T * (B + Xi)),
    B.T * B + d * V,
    (ROWS.equation(0), ROWS.equation(1)),
)
FOURTH = Lemma(
    "fourth",
    "𝔼|Bᵀ Ξ + Ξᵀ B|² = 2 (tr G tr V + tr G V), 𝔼|Ξᵀ Ξ − d_Z V|² = d_Z ((tr V)² + tr V²), and the two are uncorrelated",
    "fourth moments of Gaussian rows (Isserlis): 𝔼 Ξ Bᵀ Ξ = B V; third moments vanish",
    (GAUSSIAN, ROWS),
    ((linear, 2 * (trace_g * trace_v + trace_gv)), (square, n_latents * (trace_v**2 + trace_vv)), (mixed, mixed * 0)),
)
ERROR = Step(
    "error",
    "𝔼|B̂ᵀ B̂ − d_Z V − G|² = 2 (tr G tr V + tr G V) + d_Z ((tr V)² + tr V²), with t for the traces",
    linear + 2 * mixed + square,
    2 * (trace_g * trace_v + trace_gv) + n_latents * (trace_v**2 + trace_vv),
    tuple(FOURTH.equation(place) for place in range(3)),
)


def mean_squared_error(G: np.ndarray, V: np.ndarray, n_latents: int) -> float:
    """E‖B̂ᵀ B̂ - d_Z V - G‖² (Frobenius) of Gram matrices estimated from seen latents.

    Example:
        >>> mean_squared_error(np.zeros((1, 1)), np.array([[0.5]]), 2)
        1.0
    """
    cross = 2 * (np.trace(G) * np.trace(V) + np.trace(G @ V))
    return float(cross + n_latents * (np.trace(V) ** 2 + np.trace(V @ V)))


def measure(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Both moments by Gauss-Hermite quadrature over all errors, three nodes each: exact up to order 5.

    Two effects, from groups of 2, 3 and 5 cells; as many latents as the world has, two at most. Rounding: sums of 3^6
    terms.
    """
    B, counts = (world.W @ world.shifts)[:2, :2], np.array([2.0, 3.0, 5.0])
    B = np.column_stack([B, B])[:, :2]
    V = np.diag(1 / counts[1:]) + 1 / counts[0]
    nodes, weights = np.array([-np.sqrt(3), 0, np.sqrt(3)]), np.array([1, 4, 1]) / 6
    mean, error, size = np.zeros((2, 2)), 0.0, 3 * len(B)
    for chosen in product(range(3), repeat=size):
        noise = nodes[list(chosen)].reshape(len(B), 3) / np.sqrt(counts)
        estimate = B + noise[:, 1:] - noise[:, :1]
        weight, G = weights[list(chosen)].prod(), estimate.T @ estimate - len(B) * V
        mean, error = mean + weight * G, error + weight * np.square(G - B.T @ B).sum()
    claimed = mean_squared_error(B.T @ B, V, len(B)) * (1 + tilt)
    bound = 3**size * EPS * (1 + claimed)
    return (
        Measurement("mean", float(np.abs(mean - (1 + tilt) * B.T @ B).max()), bound),
        Measurement("error", abs(error - claimed), bound),
    )


def _wider(size: Rational) -> Model:
    """One latent, one effect b, a cell each, covariance 1 + size: the mean of b̂² is b² + 2 (1 + size)."""
    b = Symbol("b", real=True)
    return compare(("𝔼 b̂² − b²", 2 * (1 + size), Integer(2)), ("mean of b̂", b + 0 * (1 + size), b))


def _batch(size: Rational) -> Model:
    """Cells of the perturbation and of the control share a batch effect, correlation `size`: b̂ has variance 2 (1 -
    size)."""
    b = Symbol("b", real=True)
    return compare(("𝔼 b̂² − b²", 2 - 2 * size, Integer(2)), ("mean of b̂", b + size - size, b))


def _coin(size: Rational) -> Model:
    """One effect of size 0 and a base with fourth moment 3 - 2 size, a fair coin at size 1: 𝔼(b̂² − 2)², a cell each."""
    fourth, t = 3 - 2 * size, Symbol("t", real=True)
    moment = 2 * fourth + 6  # of the difference of two cells
    return compare(
        ("𝔼(b̂² − 2)²", moment - 4, Integer(8)), ("cumulant function of b̂ to second order", (1 + 1) * t**2 / 2, t**2)
    )


def _interaction(size: Rational) -> Model:
    """In the second of two runs the effect is b + size: the mean of the two runs' products is not b²."""
    b = Symbol("b", real=True)
    return compare(
        ("𝔼 b̂ b̂′ − b² at b = 1", (b * (b + size) - b**2).subs(b, 1), Integer(0)), ("mean of the first run", b, b * 1)
    )


CLAIM = Claim(
    name="gram_law",
    number="2.5b",
    statement="with latents seen 𝔼 Ĝ = G + d_Z V, V = diag(1/nₑ) + 𝟏𝟏ᵀ/n₀, and Ĝ − d_Z V has a known mean squared"
    " error",
    latex=r"E\,\hat G = G + d_Z V,\quad E\|\hat G - d_Z V - G\|_F^2"
    r" = 2(\operatorname{tr}G \operatorname{tr}V + \operatorname{tr}GV)"
    r" + d_Z\big((\operatorname{tr}V)^2 + \operatorname{tr}V^2\big)",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, CELLS),
    source=f"{OURS}; the moments are those of Wishart (1928), Biometrika 20",
    proof=(MEANS, SPREAD, ROWS, MEAN, FOURTH, ERROR),
    conclusions=("spread", "mean", "error"),
    says=(
        (E(_error * _error.T), "=", N + ones * nu * ones.T),
        (E((B + Xi).T * (B + Xi)), "=", B.T * B + d * V),
        (linear + 2 * mixed + square, "=", 2 * (trace_g * trace_v + trace_gv) + n_latents * (trace_v**2 + trace_vv)),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds(4) for m in measure(world, 1e-3 * fault)),
    counterexamples=(
        Counterexample(ADDITIVE, "an effect that differs between runs has no Gram matrix", _interaction, "mean"),
        Counterexample(GAUSSIAN, "a coin as base has another error", _coin, "error"),
        Counterexample(ISOTROPIC, "in a wider base the excess is larger", _wider, "spread"),
        Counterexample(CELLS, "a batch effect shared with the control cancels", _batch, "spread"),
    ),
    remark="A test of d_Z: eigenvalues of V^(−1/2) Ĝ V^(−1/2) beyond the rank of G are those of a Wishart matrix.",
)
