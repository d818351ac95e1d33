"""Claim 2.1: the log density ratio of two environments is affine in the latent, with slope Σ⁻¹ W Δ_e."""

import numpy as np
from sympy import Integer, Matrix, MatrixSymbol, Rational, Symbol, diff, hessian, symbols

from theory.assumptions import ADDITIVE, GAUSSIAN, NOTATION, PAPER, SHARED_COVARIANCE
from theory.engine.formulas import log_density, quartic_log_density, symmetric
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import DEFINITION, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.symbols import Delta_e, W, d, l_0, l_e, z

half = Rational(1, 2)
ratio, log_p_e, log_p_0 = (
    MatrixSymbol(name, 1, 1) for name in (r"\log \frac{p_{e}}{p_{0}}", r"\log p_{e}", r"\log p_{0}")
)
kappa, kappa_e, kappa_0 = (MatrixSymbol(name, 1, 1) for name in ("kappa", "kappa_e", "kappa_0"))
P, P_e, P_0 = (MatrixSymbol(name, d, d) for name in ("P", "P_e", "P_0"))
m_e, m_0 = (MatrixSymbol(name, d, 1) for name in ("m_e", "m_0"))


def _proof() -> tuple[Step | Lemma, ...]:
    gaussian = (
        Equation(GAUSSIAN, log_p_e, -half * (z - m_e).T * P_e * (z - m_e) - kappa_e),
        Equation(GAUSSIAN, log_p_0, -half * (z - m_0).T * P_0 * (z - m_0) - kappa_0),
    )
    shared = tuple(
        Equation(SHARED_COVARIANCE, own, common)
        for own, common in ((P_e, P), (P_0, P), (kappa_e, kappa), (kappa_0, kappa))
    )
    notation = (Equation(DEFINITION, ratio, log_p_e - log_p_0), Equation(SHARED_COVARIANCE, P.T, P))
    cancellation = Step(
        "quadratic_terms_cancel",
        "log pₑ − log p₀ = (mₑ − m₀)ᵀ P z + (m₀ᵀ P m₀ − mₑᵀ P mₑ) / 2, with P the inverse of Σ",
        ratio,
        (m_e - m_0).T * P * z + half * (m_0.T * P * m_0 - m_e.T * P * m_e),
        (*gaussian, *shared, *notation),
    )
    additive = tuple(Equation(ADDITIVE, mean, W * label) for mean, label in ((m_e, l_e), (m_0, l_0)))
    slope = Step(
        "slope_and_constant",
        "the slope is (W Δₑ)ᵀ P; the constant depends on the two labels and not on z",
        ratio,
        (W * Delta_e).T * P * z + half * ((W * l_0).T * P * (W * l_0) - (W * l_e).T * P * (W * l_e)),
        (cancellation.equation(), *additive, Equation(NOTATION, Delta_e, l_e - l_0)),
    )
    return cancellation, slope, *(explicit_step(size) for size in (1, 2, 3))


def explicit_step(size: int) -> Step:
    """The claim for d_Z = size from the density formula itself, with every entry a free symbol and K = 2."""
    point, covariance = Matrix(symbols(f"z1:{size + 1}")), symmetric(size)
    effects = Matrix(size, 2, lambda i, j: Symbol(f"w{i}{j}"))
    label, reference = Matrix(symbols("l1:3")), Matrix(symbols("r1:3"))
    precision = covariance.adjugate() / covariance.det()
    constant = [((effects * row).T * precision * effects * row)[0] / 2 for row in (reference, label)]
    slope = precision * effects * (label - reference)
    return Step(
        f"explicit_d{size}",
        f"the same from the density formula for d_Z = {size}, free symbols throughout",
        log_density(point, effects * label, covariance) - log_density(point, effects * reference, covariance),
        (slope.T * point)[0] + constant[0] - constant[1],
    )


def measure(world: World, slope: np.ndarray) -> Measurement:
    """Largest deviation of scipy's log density ratios from `slope` (M, d_Z) and the constant of the claim.

    Rounding: a log density is a quadratic form with P plus a log determinant, each exact to c·eps·cond(Σ) relative to
    its size, with c = 8 d_Z² operations on either side of the comparison.
    """
    means, points = world.labels @ world.W.T, world.z_base + world.labels[0] @ world.W.T
    logs = log_densities(points, means, world.Sigma)
    half_norms = np.einsum("ei,ij,ej->e", means, np.linalg.inv(world.Sigma), means) / 2
    affine = slope @ points.T + (half_norms[0] - half_norms[1:])[:, None]
    size = 1 + np.abs(logs).max() + half_norms.max() + np.abs(slope @ points.T).max()
    bound = 8 * len(world.W) ** 2 * EPS * np.linalg.cond(world.Sigma) * size
    return Measurement("log_ratio", float(np.abs(logs[1:] - logs[0] - affine).max()), float(bound))


def slope_of(world: World) -> np.ndarray:
    """The slopes (M, d_Z) that the claim states: rows (Σ⁻¹ W Δ_e)ᵀ."""
    return np.linalg.solve(world.Sigma, world.W @ world.shifts).T


def _unequal_covariances(size: Rational) -> Model:
    """N(e_1, diag(1 + size, 1)) against N(0, I): the ratio keeps a square in z_1."""
    z1, z2 = symbols("z1 z2", real=True)
    point, wider = Matrix([z1, z2]), Matrix([[1 + size, 0], [0, 1]])
    ratio = log_density(point, Matrix([1, 0]), wider) - log_density(point, Matrix([0, 0]), Matrix.eye(2))
    return compare(
        ("curvature of the log density ratio", hessian(ratio, (z1, z2)), Matrix.zeros(2)),
        ("its slope in z₂", diff(ratio, z2) + z2, z2),
    )


def quartic_base(size: Rational) -> Model:
    """A symmetric base exp(-t²/2 - size t⁴/4), moved by 1: the second derivative of the ratio at 0 is not zero."""
    t = Symbol("t", real=True)
    ratio = (quartic_log_density(t - 1, size) - quartic_log_density(t, size)).expand()
    return compare(
        ("curvature of the log density ratio at 0", diff(ratio, t, 2).subs(t, 0), Integer(0)),
        ("the base law and its reflection", quartic_log_density(t, size), quartic_log_density(-t, size)),
    )


def _epistasis(size: Rational) -> Model:
    """Means e_1, e_2 and, for the double, (1, 1 + size): an interaction is missing in the slope."""
    z1, z2 = symbols("z1 z2", real=True)
    point, identity, origin = Matrix([z1, z2]), Matrix.eye(2), Matrix([0, 0])
    means = {(1, 0): Matrix([1, 0]), (0, 1): Matrix([0, 1]), (1, 1): Matrix([1, 1 + size])}

    def slope(label: tuple[int, int]) -> Matrix:
        ratio = log_density(point, means[label], identity) - log_density(point, origin, identity)
        return Matrix([diff(ratio, variable) for variable in (z1, z2)])

    return compare(
        ("slope of the ratio of the double, and of the singles together", slope((1, 1)), slope((1, 0)) + slope((0, 1))),
        ("ratio of single A", slope((1, 0)).dot(point), z1),
        ("ratio of single B", slope((0, 1)).dot(point), z2),
    )


CLAIM = Claim(
    name="density_ratio",
    number="2.1",
    statement="log pₑ(z) − log p₀(z) = (W Δₑ)ᵀ Σ⁻¹ z + constₑ",
    latex=r"\log p_e(z) - \log p_0(z) = (W\Delta_e)^\top \Sigma^{-1} z"
    r" + \tfrac12 (Wl_0)^\top\Sigma^{-1}Wl_0 - \tfrac12 (Wl_e)^\top\Sigma^{-1}Wl_e",
    assumptions=(GAUSSIAN, SHARED_COVARIANCE, ADDITIVE),
    source=PAPER,
    proof=_proof(),
    conclusions=("slope_and_constant",),
    confirmations=("explicit_d1", "explicit_d2", "explicit_d3"),
    says=(
        (
            ratio,
            "=",
            (W * Delta_e).T * P * z + half * ((W * l_0).T * P * (W * l_0) - (W * l_e).T * P * (W * l_e)),
        ),
    ),
    check=lambda fault=0.0: tuple(measure(world, slope_of(world) * (1 + 1e-3 * fault)) for world in worlds()),
    counterexamples=(
        Counterexample(
            SHARED_COVARIANCE,
            "a variance that grows under the perturbation leaves z₁²",
            _unequal_covariances,
            "slope_and_constant",
        ),
        Counterexample(
            GAUSSIAN, "a base law exp(−t²/2 − t⁴/4) leaves a cubic and a square", quartic_base, "slope_and_constant"
        ),
        Counterexample(
            ADDITIVE, "an interaction of two perturbations is missing in the slope", _epistasis, "slope_and_constant"
        ),
    ),
)
