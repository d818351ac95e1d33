"""Claim 2.14: the distances of environments can be read off their laws, without an encoder, at every order.

For densities of the same shape the product pₑᵗ pⱼ¹⁻ᵗ is, by completing the square, again of that shape, around the
mean in between, and times exp(−t(1 − t) d²/2). An injective f leaves the integral as it is, so that every order t gives
the same squared distance d² = |W(lₑ − lⱼ)|² in the metric Σ⁻¹; three of them are an entry of the Gram matrix.

With t = ½ and a fitted log ratio η + b in the place of η the product of the means of exp((η + b)/2) under j and of
exp(−(η + b)/2) under e is the squared affinity times 𝔼_q e^(b/2) 𝔼_q e^(−b/2), q ∝ √(pₑ pⱼ): by the inequality of
Cauchy and Schwarz an error b makes d² smaller, never larger, and by the variance of b to second order (`fitted`).

What the orders test. log 𝔼ⱼ exp(t η) = −t(1 − t) d²/2 for all t is the law N(−d²/2, d²) of η, and nothing else: a
quantity that does not depend on t vouches for Gaussian log ratios, not for shifts.

Tried against it: t outside of (0, 1), where the integral is larger than 1 and the formula still holds; an f that is not
injective and noise, where the distance of x is smaller (`_noisy`, `_even`); environments of other variances, where the
orders disagree (`_wider`).

References:
    Bhattacharyya (1943), Bull. Calcutta Math. Soc. 35; Chernoff (1952), Ann. Math. Statist. 23; Rényi (1961).
"""

import numpy as np
from sympy import Expr, Integer, MatrixSymbol, Rational, Symbol, exp, log, sqrt, symbols

from theory.assumptions import ADDITIVE, GAUSSIAN, INJECTIVE, NOISELESS, OURS, SHARED_COVARIANCE
from theory.engine.formulas import normal_density
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.symbols import P, W, d, kappa, l_e, z

half = Rational(1, 2)
t, b = symbols("t b", real=True)
log_e, log_f, log_between, divergence, D_e, D_f, D_ef = (
    MatrixSymbol(name, 1, 1)
    for name in (r"\log p_{e}", r"\log p_{j}", r"\log \bar{p}", "D_t", "d^{2}_{e0}", "d^{2}_{j0}", "d^{2}_{ej}")
)
m_e, m_f, l_f = MatrixSymbol("m_e", d, 1), MatrixSymbol("m_j", d, 1), MatrixSymbol("l_j", l_e.shape[0], 1)
Delta_e, Delta_f = (MatrixSymbol(name, l_e.shape[0], 1) for name in ("Delta_e", "Delta_j"))
between = t * m_e + (1 - t) * m_f
squared, fitted, affinity = symbols(r"d^{2} \hat{d}^{2} A", positive=True)
excess = Symbol("c", nonnegative=True)


def _square(mean: MatrixSymbol) -> MatrixSymbol:
    return (z - mean).T * P * (z - mean)


BETWEEN = Step(
    "between",
    "t log pₑ + (1 − t) log pⱼ = log p̄ − t(1 − t)/2 (mₑ − mⱼ)ᵀ Σ⁻¹ (mₑ − mⱼ), p̄ around t mₑ + (1 − t) mⱼ",
    t * log_e + (1 - t) * log_f,
    log_between - t * (1 - t) / 2 * (m_e - m_f).T * P * (m_e - m_f),
    (
        Equation(GAUSSIAN, log_e, -half * _square(m_e) - kappa),
        Equation(GAUSSIAN, log_f, -half * _square(m_f) - kappa),
        Equation(DEFINITION, log_between, -half * (z - between).T * P * (z - between) - kappa),
        Equation(SHARED_COVARIANCE, P.T, P),
    ),
)
INTEGRATED = Lemma(
    "integrated",
    "D = −log ∫ pₑᵗ pⱼ¹⁻ᵗ is t(1 − t)/2 (mₑ − mⱼ)ᵀ Σ⁻¹ (mₑ − mⱼ), for densities of x as for those of z",
    "integrate `between`: p̄ is a density; ratios of densities of x are those of z at z = f⁻¹(x), f being injective",
    (BETWEEN, NOISELESS, INJECTIVE),
    ((divergence, t * (1 - t) / 2 * (m_e - m_f).T * P * (m_e - m_f)),),
)
ORDERS = Step(
    "orders",
    "−log ∫ pₑᵗ pⱼ¹⁻ᵗ = t(1 − t)/2 (lₑ − lⱼ)ᵀ Wᵀ Σ⁻¹ W (lₑ − lⱼ), at every order t",
    divergence,
    t * (1 - t) / 2 * (l_e - l_f).T * W.T * P * W * (l_e - l_f),
    (INTEGRATED.equation(), Equation(ADDITIVE, m_e, W * l_e), Equation(ADDITIVE, m_f, W * l_f)),
)
DISTANCES = Lemma(
    "distances",
    "the squared distances of e and j from the reference and from each other are those of Δₑ, Δⱼ and Δₑ − Δⱼ",
    "`orders`, divided by t(1 − t)/2, for three pairs of labels",
    ORDERS,
    (
        (D_e, Delta_e.T * W.T * P * W * Delta_e),
        (D_f, Delta_f.T * W.T * P * W * Delta_f),
        (D_ef, (Delta_e - Delta_f).T * W.T * P * W * (Delta_e - Delta_f)),
    ),
)
CENTRED = Step(
    "gram_entry",
    "Gₑⱼ, half of d²ₑ₀ + d²ⱼ₀ − d²ₑⱼ, is (W Δₑ)ᵀ Σ⁻¹ W Δⱼ: the Gram matrix, by double centring",
    (W * Delta_e).T * P * W * Delta_f,
    half * (D_e + D_f - D_ef),
    (*(DISTANCES.equation(place) for place in range(3)), Equation(SHARED_COVARIANCE, P.T, P)),
)
PAIR = Lemma(
    "pair_of_means",
    "with a fitted log ratio that errs by b(x), 𝔼ⱼ exp((η + b)/2) 𝔼ₑ exp(−(η + b)/2) = A² exp(c) with c ≥ 0, A ="
    " exp(−d²/8);"
    " c = Var_q(b)/4 to second order",
    "`orders` at t = ½ gives A; with q = √(pₑ pⱼ)/A, c = log(𝔼_q exp(b/2) 𝔼_q exp(−b/2)), not negative by Cauchy and"
    " Schwarz",
    ORDERS,
    ((fitted, -4 * log(affinity**2 * exp(excess))), (affinity, exp(-squared / 8))),
    positive=(excess,),
)
FITTED = Step(
    "fitted",
    "d̂² = d² − 4 c ≤ d²: an error of the fit makes distances smaller",
    fitted,
    squared,
    (PAIR.equation(0), PAIR.equation(1)),
    relation="≤",
    slack=4 * excess,
    positive=PAIR,
)


def affinities(world: World, order: float, mean_e: np.ndarray, mean_f: np.ndarray) -> float:
    """−log ∫ pₑᵗ pⱼ¹⁻ᵗ by Gauss-Hermite quadrature along the line between two means, in whitened latents."""
    root = np.linalg.cholesky(world.Sigma)
    apart = float(np.linalg.norm(np.linalg.solve(root, mean_e - mean_f)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    ratio = np.exp(order * (nodes * apart - apart**2 / 2))  # (p_e/p_f)^t at latents of j
    return float(-np.log(ratio @ weights / weights.sum()))


def measure(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Quadratures at five orders against the formula, the Gram matrix from distances, and fits with errors.

    Means are brought to a distance of at most 2 so that 120 nodes do. Rounding: 1e4 eps. Errors of a fit are
    ±(sin k z₁ + 1/k) at latents of a world.
    """
    effects = world.W @ world.shifts
    metric = np.linalg.inv(world.Sigma)
    G = effects.T @ metric @ effects
    shrink = 2 / np.sqrt(max(4.0, 4 * np.diag(G).max()))
    means = shrink * np.column_stack([0 * effects[:, 0], effects])
    G, size = means.T @ metric @ means, len(means.T)
    squared = np.array(
        [
            [[affinities(world, t, a, c) * 2 / (t * (1 - t)) for c in means.T] for a in means.T]
            for t in (-0.5, 0.2, 0.5, 0.9, 1.7)
        ]
    )
    claimed = np.diag(G)[:, None] + np.diag(G) - 2 * G
    centring = np.eye(size) - np.ones((size, size)) / size
    doubly = -centring @ squared[2] @ centring / 2
    entries = doubly[1:, 1:] - doubly[1:, :1] - doubly[:1, 1:] + doubly[0, 0]
    bound = 1e5 * EPS * float(1 + np.abs(G).max() * np.linalg.cond(world.Sigma))
    errors = [sign * np.sin(k * world.z_base[:, 0]) + sign / k for k in (1, 2, 3) for sign in (-1, 1)]
    return (
        Measurement("orders", float(np.abs(squared - (1 + tilt) * claimed).max()), bound),
        Measurement("gram_entry", float(np.abs(entries - (1 + tilt) * G[1:, 1:]).max()), bound),
        Measurement("fitted", -min(_lost(error, 1 if tilt else -1) for error in errors), 64 * EPS),
    )


def _lost(error: np.ndarray, sign: int) -> float:
    """4 log(𝔼 e^(b/2) 𝔼 e^(±b/2)) of equally likely errors b: by how much d² is too small, with the sign −."""
    return float(4 * np.log(np.exp(error / 2).mean() * np.exp(sign * error / 2).mean()))


def _eight_logs(affinity: Expr) -> Expr:
    return -8 * log(affinity)


def _interaction(size: Rational) -> Model:
    """Effects 1 of A and of B and 2 + size of both together: the entry G_AB of W is 1, and the distances say
    otherwise."""
    single, double = Integer(1), 2 + size
    dose = Symbol("l", real=True)
    return compare(
        ("G_AB, from the double and the singles", (double**2 - 2 * single**2) / 2, single**2),
        ("effect of A at dose l", dose * single, dose),
    )


def _laplace(size: Integer) -> Model:
    """A Laplace base of variance 1 at size 1, shifted by 1: ∫√(pq) = exp(−1/√2)(1 + 1/√2)."""
    rate, s = sqrt(2), Symbol("s", real=True)
    value = exp(-rate / 2) * (1 + rate / 2) if size else exp(-Rational(1, 8))
    return compare(
        ("d² at order ½", _eight_logs(value), Integer(1)),
        ("cumulant function of the base to second order", (1 + 0 * size) * s**2 / 2, s**2 / 2),
    )


def _wider(size: Rational) -> Model:
    """Under e the latent has variance (1 + size)² and no shift: ∫√(pₑ pⱼ) = √(2 (1 + size)/(1 + (1 + size)²))."""
    s, root = Symbol("s", real=True), 1 + size
    return compare(
        ("d² at order ½, with no shift", _eight_logs(sqrt(2 * root / (1 + root**2))), Integer(0)),
        ("mean under e and j, beside s", s + 0 * root, s),
    )


def _noisy(size: Rational) -> Model:
    """x = z + ε with ε ~ N(0, size), shift 1: d² of x is 1/(1 + size), below that of z."""
    dose = Symbol("l", real=True)
    return compare(("d² of x", 1 / (1 + size), Integer(1)), ("mean of x at dose l", dose + 0 * size, dose))


def _even(size: Rational) -> Model:
    """f(z) = z² and latent means size and −size: the laws of x are equal, and d² of z is 4 size²."""
    x = Symbol("x", real=True)
    folded = [normal_density(x - at) + normal_density(-x - at) for at in (size, -size)]
    return compare(("d² of x", Integer(0), 4 * size**2), ("density of x", *folded))


CLAIM = Claim(
    name="affinity",
    number="2.14",
    statement="the laws of two environments give their squared distance at every order t, −log ∫ pₑᵗ pⱼ¹⁻ᵗ ="
    " t(1 − t)/2 |W(lₑ − lⱼ)|² in the metric Σ⁻¹, and all pairs the Gram matrix; a fitted log ratio makes distances"
    " too small",
    latex=r"-\log\int p_e^t\, p_j^{1-t} = \frac{t(1-t)}{2} \|W(l_e - l_j)\|^2_{\Sigma^{-1}},\qquad"
    r" G_{ej} = \tfrac12\bigl(d^2_{e0} + d^2_{j0} - d^2_{ej}\bigr),\qquad \hat d^2 \le d^2",
    assumptions=(ADDITIVE, GAUSSIAN, SHARED_COVARIANCE, NOISELESS, INJECTIVE),
    source=f"{OURS}; for t = ½ the distance of Bhattacharyya (1943), for all t that of Chernoff (1952) and Rényi"
    " (1961), for Gaussian laws",
    proof=(BETWEEN, INTEGRATED, ORDERS, DISTANCES, CENTRED, PAIR, FITTED),
    conclusions=("orders", "gram_entry", "fitted"),
    says=(
        (divergence, "=", t * (1 - t) / 2 * (l_e - l_f).T * W.T * P * W * (l_e - l_f)),
        ((W * Delta_e).T * P * W * Delta_f, "=", half * (D_e + D_f - D_ef)),
        (fitted, "≤", squared),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds(6) for m in measure(world, 1e-3 * fault)),
    counterexamples=(
        Counterexample(ADDITIVE, "an interaction is taken for an angle", _interaction, "gram_entry"),
        Counterexample(GAUSSIAN, "a Laplace base has another affinity", _laplace, "orders"),
        Counterexample(SHARED_COVARIANCE, "variances that differ are taken for a distance", _wider, "orders"),
        Counterexample(NOISELESS, "noise makes distances smaller", _noisy, "orders"),
        Counterexample(INJECTIVE, "an even f hides a mean that changes its sign", _even, "orders"),
    ),
    remark="A d² that depends on t refutes Gaussian log ratios; one that does not vouches for these alone. Distances"
    " that are not Euclidean refute additive effects. Behind noise, and behind every error of the fit, what is measured"
    " is a lower limit.",
)
