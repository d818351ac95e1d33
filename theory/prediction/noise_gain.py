"""Claims 2.10 and 2.10b: how noisy an identified shift is, and that nobody can do better.

With z seen, and W and the origin of the latents not known, the test mean is predicted by weights on the environments'
means, the reference included, that sum to one. Their noise gain is a variance per latent coordinate; generalised least
squares has the least of all weights (Gauss-Markov), and no unbiased estimator of any kind a smaller variance
(Cramer-Rao). The coefficients α of least norm are not those weights.

Tried against it. (i) Least norm as least gain: false, dose 3 from doses 1 and 2 has gain 61/25 against 7/3. They
agree where α is unique, as for independent singles. (ii) The bound when E z_base = 0 is known, as the model has it:
false, A + B then has 2/n and not 3/n, the reference being a known zero. But the origin is not known where f is not:
f(. - a) with means moved by a has the same laws, so an estimator that sees x alone faces the bound as stated, `ORIGIN`.
(iii) Non-linear estimators: excluded for a Gaussian base, and better than the bound for others: with a Laplace base
the median of three cells beats their mean, 23/72 against 24/72.
"""

from collections.abc import Sequence

import numpy as np
from sympy import Add, ImmutableMatrix, Matrix, Rational, diag, diff, symbols
from sympy.matrices.expressions import Identity, MatrixSymbol, ZeroMatrix

from theory.assumptions import ADDITIVE, GAUSSIAN, IN_SPAN, ISOTROPIC, OURS
from theory.engine.exact import Number, Row, exact, rational
from theory.engine.expectation import E, Random
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Square, Step
from theory.engine.record import Claim, Counterexample, Measurement
from theory.identifiability.span import least_gain, noise_gain, solve_span
from theory.prediction import noise_models
from theory.symbols import K, M, d

ORIGIN = Assumption("origin", "the mean of z_base is not known, as it cannot be where f is not")

alpha, ones = (MatrixSymbol(name, M, 1) for name in ("alpha", r"\mathbf{1}"))
xi, xi_0, nu = Random("xi", M, 1), Random("xi_0", 1, 1), MatrixSymbol(r"\frac{1}{n_{0}}", 1, 1)
variances = MatrixSymbol(r"\operatorname{diag}(\frac{1}{n_{e}})", M, M)

N, V = (MatrixSymbol(name, M + 1, M + 1) for name in ("N", "V"))
X, G = MatrixSymbol("X", M + 1, K + 1), MatrixSymbol("G", K + 1, K + 1)
x, score = MatrixSymbol("x", K + 1, 1), Random("s", K + 1, 1)
w, w_best, error = MatrixSymbol("w", M + 1, 1), MatrixSymbol("w^{*}", M + 1, 1), Random("e", M + 1, 1)
deviation, variance = Random(r"(T - \theta \cdot x)", 1, 1), MatrixSymbol(r"\operatorname{Var}(T)", 1, 1)
means, noise = (MatrixSymbol(name, d, M + 1) for name in (r"\bar{z}", "Xi"))
Theta = MatrixSymbol(r"{[W \mu]}", d, K + 1)
of_mean = alpha.T * xi + (Identity(1) - ones.T * alpha) * xi_0
of_shift = alpha.T * xi - ones.T * alpha * xi_0

SEEN = Assumption(
    "seen",
    "the latents of nₑ independent cells of every training environment are seen",
    states=((means, Theta * X.T + noise),),
)
WEIGHTED = Assumption(
    "weighted", "the weights are those of generalised least squares, w* = N X G x", states=((w_best, N * X * G * x),)
)


def least_squares_weights(labels: Sequence[Row], counts: Sequence[Number], test: Row) -> tuple[Rational, ...]:
    """The weights (M + 1,) of all environments with Σ w_e l_e = l_t and Σ w_e = 1 of least Σ w_e²/n_e, exactly.

    Args:
        labels: all training labels, each once, the reference included.
        counts: n_e, positive.
        test: the label in question, inside the span.

    Raises:
        ValueError: if there is not one count for each label, or the label is outside the span.

    Example:
        >>> least_squares_weights([[0, 0], [1, 0], [0, 1]], [100, 100, 400], [1, 1])
        (-1, 1, 1)
        >>> least_squares_weights([[0], [1], [2]], [1, 1, 1], [3])
        (-2/3, 1/3, 4/3)
    """
    if len(counts) != len(labels):
        raise ValueError(f"counts: expected {len(labels)}, one per label, received {len(counts)}")
    if not solve_span(labels[1:], test, labels[0]).identified:
        raise ValueError("test is outside the span of the training shifts, so no weights exist")
    table, sizes = exact([[*row, 1] for row in labels]), ImmutableMatrix(diag(*map(rational, counts)))
    normal = table.T * sizes * table
    solution, free = normal.gauss_jordan_solve(exact([[entry] for entry in [*test, 1]]))
    return tuple(sizes * table * solution.subs(dict.fromkeys(free, 0)))


MOMENTS = Lemma(
    "moments",
    "the errors of the environments’ means are uncorrelated, with mean 0 and variance 1/nₑ per latent coordinate",
    "variance of a mean of nₑ independent cells with covariance I",
    (SEEN, ISOTROPIC),
    ((E(xi * xi.T), variances), (E(xi * xi_0.T), ZeroMatrix(M, 1)), (E(xi_0 * xi_0.T), nu)),
)
NORMAL = Lemma(
    "normal",
    "Xᵀ N X has a symmetric generalised inverse G with Xᵀ N X G x = x",
    "x = (lₜ, 1) is in the row space of X, i.e. lₜ = ∑ wₑ lₑ with ∑ wₑ = 1, and N is positive definite",
    IN_SPAN,
    ((X.T * N * X * G * x, x), (G.T, G)),
)
INVERSE = Lemma(
    "inverse",
    "N = diag(nₑ) and V = diag(1/nₑ) are inverse to each other, symmetric and positive",
    "sample sizes are positive",
    (),
    ((V * N, Identity(M + 1)), (N.T, N)),
    positive=(V, N),
)
INVERSE_BACK = Lemma("inverse_back", "N V = I", "N and V are diagonal", "inverse", ((N * V, Identity(M + 1)),))
WEIGHTS = Lemma(
    "weights",
    "w is any vector of weights with Xᵀ w = x",
    "there are some, as lₜ is in the span",
    IN_SPAN,
    ((X.T * w, x),),
)

_normal, _inverse = NORMAL.equation(0), INVERSE.equation(0)


def _gains() -> tuple[Step, ...]:
    spread = tuple(MOMENTS.equation(place) for place in range(3))
    return (
        Step(
            "gain_of_mean",
            "∑ αₑ zₑ + (1 − ∑ αₑ) z₀ has variance ∑ αₑ²/nₑ + (1 − ∑ αₑ)²/n₀",
            E(of_mean * of_mean.T),
            alpha.T * variances * alpha + (Identity(1) - ones.T * alpha) * nu * (Identity(1) - alpha.T * ones),
            spread,
        ),
        Step(
            "gain_of_shift",
            "the shift ∑ αₑ (zₑ − z₀) has variance ∑ αₑ²/nₑ + (∑ αₑ)²/n₀",
            E(of_shift * of_shift.T),
            alpha.T * variances * alpha + ones.T * alpha * nu * alpha.T * ones,
            spread,
        ),
    )


def _gauss_markov() -> tuple[Step | Lemma, ...]:
    best = Equation(WEIGHTED, w_best, N * X * G * x)
    weights = WEIGHTS.equation()
    unbiased = Step(
        "unbiased",
        "weights with Xᵀ w = x predict W lₜ + μ, up to noise",
        means * w,
        Theta * x + noise * w,
        (Equation((ADDITIVE, SEEN), means, Theta * X.T + noise), weights),
    )
    feasible = Step("feasible", "Xᵀ w* = x", X.T * w_best, x, (best, _normal))
    stationary = Step("stationary", "V w* = X G x, V = diag(1/nₑ)", V * w_best, X * G * x, (best, _inverse))
    cross = Step("cross", "wᵀ V w* = xᵀ G x", w.T * V * w_best, x.T * G * x, (stationary.equation(), weights))
    least = Step(
        "least",
        "the gain of w* is xᵀ G x",
        w_best.T * V * w_best,
        x.T * G * x,
        (stationary.equation(), feasible.equation()),
    )
    back = Step(
        "cross_back",
        "w*ᵀ V w = xᵀ G x",
        w_best.T * V * w,
        x.T * G * x,
        (best, INVERSE_BACK.equation(), INVERSE.equation(1), weights, NORMAL.equation(1)),
    )
    excess = Step(
        "gauss_markov",
        "wᵀ V w ≥ xᵀ G x, the excess being (w − w*)ᵀ V (w − w*), which is positive unless w = w*",
        w.T * V * w,
        x.T * G * x,
        (cross.equation(), back.equation(), least.equation()),
        relation="≥",
        slack=Square(w - w_best, V),
        positive=INVERSE,
    )
    return NORMAL, INVERSE, INVERSE_BACK, WEIGHTS, unbiased, feasible, stationary, cross, least, back, excess


def _doses() -> Step:
    shortest, quietest = solve_span([[1], [2]], [3], [0]).coefficients or (), least_gain([[1], [2]], [3], [0])
    return Step(
        "least_norm_is_louder",
        "doses 1 and 2 measured, 3 asked for: the α of least norm has gain 61/25, the quietest 7/3",
        Add(noise_gain(shortest), -noise_gain(quietest), evaluate=False),
        Rational(8, 75),
    )


def measure(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """The gain of cell weights against the formula, and of weights by least squares against planted ones.

    The linear predictor is spelt out cell by cell, each of variance 1. The least gain is |y|² for the y of least norm
    with Xᵀ N^½ y = x, by LAPACK, against x' (Xᵀ N X)⁺ x times 1 + `tilt`. Rounding: c·eps·cond(Xᵀ N^½)²·(1 + gain),
    c = 64 (M + 1)².
    """
    labels, counts, alpha = _halved(world)
    weights = np.concatenate([[1 - alpha.sum()], alpha])
    cells = np.repeat((1 + tilt) * weights / counts, counts)
    rooted, target = np.column_stack([labels, np.ones(len(labels))]).T * np.sqrt(counts), np.append(world.inside, 1.0)
    shortest = np.linalg.lstsq(rooted, target, rcond=None)[0]
    claimed = float(target @ np.linalg.pinv(rooted @ rooted.T) @ target) * (1 + tilt)
    formula = float((alpha**2 / counts[1:]).sum() + (1 - alpha.sum()) ** 2 / counts[0])
    s = np.linalg.svd(rooted, compute_uv=False)
    bound = float(64 * len(counts) ** 2 * EPS * (s[0] / s[s > s[0] * 1e-9][-1]) ** 2 * (1 + formula))
    return (
        Measurement("gain_of_mean", float(abs((cells**2).sum() - formula)), bound),
        Measurement("least", float(abs((shortest**2).sum() - claimed)), bound),
        Measurement("gauss_markov", max(claimed - formula, 0.0), bound),
    )


def weighted_designs(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (l_e, 1) of a design, cells of each, and the row (l_t, 1) of the test label inside the span."""
    labels, counts, _ = _halved(world)
    return np.column_stack([labels, np.ones(len(labels))]), counts, np.append(world.inside, 1.0)


def _halved(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels with all half doses measured as well, so that α is not unique; counts; and one α, zero at half doses."""
    labels = np.vstack([world.labels, (world.labels[1:] + world.labels[0]) / 2])
    return labels, 2 + np.arange(len(labels)) % 5, np.concatenate([world.alpha, 0 * world.alpha])


GAIN = Claim(
    name="noise_gain",
    number="2.10",
    statement="the predicted test mean has variance ∑ αₑ²/nₑ + (1 − ∑ αₑ)²/n₀, least for GLS weights",
    latex=r"\operatorname{Var} = \Big(\sum_e \tfrac{\alpha_e^2}{n_e} + \tfrac{(1 - \sum_e\alpha_e)^2}{n_0}\Big) I"
    r" \ \ge\ x^\top (X^\top N X)^{-} x\, I,\quad x = (l_t, 1),\ X_e = (l_e, 1)",
    assumptions=(ADDITIVE, ISOTROPIC, IN_SPAN, SEEN, WEIGHTED),
    source=OURS + "; the minimum is the theorem of Gauss and Markov",
    proof=(MOMENTS, *_gains(), *_gauss_markov(), _doses()),
    conclusions=("gain_of_mean", "gain_of_shift", "unbiased", "least", "gauss_markov"),
    confirmations=("least_norm_is_louder",),
    says=(
        (
            E(of_mean * of_mean.T),
            "=",
            alpha.T * variances * alpha + (Identity(1) - ones.T * alpha) * nu * (Identity(1) - alpha.T * ones),
        ),
        (E(of_shift * of_shift.T), "=", alpha.T * variances * alpha + ones.T * alpha * nu * alpha.T * ones),
        (means * w, "=", Theta * x + noise * w),
        (w_best.T * V * w_best, "=", x.T * G * x),
        (w.T * V * w, "≥", x.T * G * x),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in measure(world, 100 * fault)),
    counterexamples=(
        Counterexample(ADDITIVE, "an interaction biases the prediction", noise_models.missed_interaction, "unbiased"),
        Counterexample(ISOTROPIC, "a narrower base is quieter", noise_models.narrower_base, "gain_of_mean"),
        Counterexample(
            IN_SPAN, "a part outside the span is missed by all weights", noise_models.missed_part, "unbiased"
        ),
        Counterexample(
            SEEN, "a batch effect shared with the control cancels", noise_models.shared_batch, "gain_of_mean"
        ),
        Counterexample(WEIGHTED, "the α of least norm is louder than need be", noise_models.least_norm, "least"),
    ),
    remark="The coefficients of least norm are not those of least variance: with doses 1 and 2 measured and dose 3"
    " asked for they have gain 61/25, generalised least squares 7/3.",
)

SCORE = Lemma(
    "score",
    "the score of a row θ of [W μ] is s = Xᵀ N (z̄ − X θ), z̄ the means of that coordinate",
    "differentiate the Gaussian log density, of which the means are sufficient; two environments with free symbols in"
    " the step `explicit_score`",
    (GAUSSIAN, ISOTROPIC, SEEN, ADDITIVE, ORIGIN, "explicit_score"),
    ((score, X.T * N * error), (E(error * error.T), V)),
)
ESTIMATOR = Lemma(
    "estimator",
    "𝔼 (T − θᵀ x) s = x for every unbiased estimator T of θᵀ x",
    "differentiate 𝔼 T = θᵀ x under the integral, which an exponential family permits",
    SCORE,
    ((E(score * deviation.T), x),),
)


def _cramer_rao() -> tuple[Step | Lemma, ...]:
    informed = Step(
        "information",
        "𝔼 s sᵀ = Xᵀ N X",
        E(score * score.T),
        X.T * N * X,
        (SCORE.equation(0), SCORE.equation(1), INVERSE.equation(1), _inverse),
    )
    bound = Step(
        "cramer_rao",
        "Var T ≥ xᵀ G x, the least gain of 2.10, the excess being 𝔼 (T − θᵀ x − xᵀ G s)²",
        variance,
        x.T * G * x,
        (
            Equation(DEFINITION, variance, E(deviation * deviation.T)),
            ESTIMATOR.equation(),
            informed.equation(),
            NORMAL.equation(1),
            _normal,
        ),
        relation="≥",
        slack=Square(deviation - x.T * G * score, mean=True),
    )
    return NORMAL, INVERSE, _explicit_score(), SCORE, ESTIMATOR, informed, bound


def _explicit_score() -> Step:
    slope, origin, l_1, l_2 = symbols("theta mu l_1 l_2", real=True)
    sizes, seen, sums = (symbols(f"{name}_1:3", real=True) for name in ("n", "zbar", "q"))
    table, theta = Matrix([[l_1, 1], [l_2, 1]]), Matrix([slope, origin])
    fitted = table * theta
    log_likelihood = -sum(
        (q - 2 * n * z * m + n * m**2) / 2 for n, z, q, m in zip(sizes, seen, sums, fitted, strict=True)
    )
    return Step(
        "explicit_score",
        "K = 1, two environments with sums of squares qₑ: the gradient of the log likelihood",
        Matrix([diff(log_likelihood, entry) for entry in theta]),
        table.T * diag(*sizes) * (Matrix(seen) - fitted),
    )


def measure_bound(world: World, claimed: float = 1.0) -> Measurement:
    """The information of all cells, summed one by one, inverted by eigenvalues, against |y|² of least norm as above."""
    labels, counts, _ = _halved(world)
    rows = np.repeat(np.column_stack([labels, np.ones(len(labels))]), counts, axis=0)
    values, vectors = np.linalg.eigh(sum(np.outer(row, row) for row in rows))
    kept, target = values > values[-1] * 1e-9, np.append(world.inside, 1.0)
    bound = float(np.square(vectors[:, kept].T @ target / np.sqrt(values[kept])).sum())
    least = float(np.square(np.linalg.lstsq(rows.T, target, rcond=None)[0]).sum())
    rounding = 64 * len(rows) ** 2 * EPS * (values[-1] / values[kept][0]) * (1 + least)
    return Measurement("cramer_rao", abs(claimed * least - bound), float(rounding))


EFFICIENT = Claim(
    name="efficient",
    number="2.10b",
    statement="no unbiased estimator that sees z has a smaller variance than GLS: Cramér–Rao is the least noise gain",
    latex=r"\operatorname{Var}(T) \ \ge\ x^\top (X^\top N X)^{-} x\quad\text{for unbiased } T"
    r"\text{ of a coordinate of } W l_t + \mu",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, IN_SPAN, SEEN, ORIGIN),
    source=OURS + "; the bound is that of Cramér and Rao",
    proof=_cramer_rao(),
    conclusions=("information", "cramer_rao"),
    says=((E(score * score.T), "=", X.T * N * X), (variance, "≥", x.T * G * x)),
    check=lambda fault=0.0: tuple(measure_bound(world, 1 + 1e-3 * fault) for world in worlds()),
    counterexamples=(
        Counterexample(
            ADDITIVE, "with an interaction GLS is not unbiased", noise_models.missed_interaction, "cramer_rao"
        ),
        Counterexample(
            GAUSSIAN,
            "with a Laplace base the median of three cells beats their mean",
            noise_models.median,
            "cramer_rao",
        ),
        Counterexample(ISOTROPIC, "a narrower base is quieter", noise_models.narrower_base, "cramer_rao"),
        Counterexample(IN_SPAN, "outside the span nothing is unbiased", noise_models.missed_part, "cramer_rao"),
        Counterexample(
            SEEN,
            "a batch effect shared with the control cancels, below the bound",
            noise_models.shared_batch,
            "cramer_rao",
        ),
        Counterexample(
            ORIGIN, "with a known origin the reference need not be measured", noise_models.known_origin, "cramer_rao"
        ),
    ),
    remark="It supposes the origin of the latents unknown, as it is where f is; were 𝔼 z_base = 0 known, A + B would "
    "have 2/n and not 3/n.",
)

CLAIMS = (GAIN, EFFICIENT)
