"""Claim 2.10d: no estimator, biased or not, has a smaller worst-case error than generalised least squares.

2.10b bounds unbiased estimators only, and one that shrinks is better at some W (James and Stein 1961 for d_Z ≥ 3). At
the worst W none is: the Bayes risk under W ~ N(0, I/λ) is d_Z xᵀ (Xᵀ N X + λ I)⁻¹ x, which no worst case can be below,
and it grows to the constant risk of least squares as λ → 0.

Tried against it: shrinking (it gains near zero and loses nothing elsewhere, but nothing in the worst case either); a
bound on W that is known (then a constant does better than noise: `_bounded`).

References:
    Lehmann and Casella (1998), Theory of Point Estimation, section 5.1, on least favourable sequences of priors.
"""

import numpy as np
from sympy import Integer, Rational, Symbol
from sympy.matrices.expressions import Identity, MatrixSymbol

from theory.assumptions import ADDITIVE, GAUSSIAN, IN_SPAN, ISOTROPIC
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import Assumption, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.prediction import noise_models
from theory.prediction.noise_gain import INVERSE, NORMAL, ORIGIN, SEEN, G, N, V, X, weighted_designs, x
from theory.symbols import K, M

FREE = Assumption("free", "W and the origin of the latents may be anything")

G_bayes = MatrixSymbol(r"G_{\lambda}", K + 1, K + 1)
ridge, n_latents, worst = Symbol("lambda", positive=True), Symbol("d_Z", positive=True), Symbol("R", positive=True)
least = Symbol("g", positive=True)
w_best = MatrixSymbol("w^{*}", M + 1, 1)

LEAST = Lemma(
    "least_squares",
    "w* = N X G x, the weights of 2.10, predict with the error w*ᵀ V w* in each coordinate, whatever W and μ",
    "they are unbiased, and cells are independent",
    (ADDITIVE, ISOTROPIC, SEEN, ORIGIN),
    ((w_best, N * X * G * x),),
)
CONSTANT = Step(
    "constant_risk",
    "w*ᵀ V w* = xᵀ G x: the same at every W",
    w_best.T * V * w_best,
    x.T * G * x,
    (LEAST.equation(), INVERSE.equation(0), INVERSE.equation(1), NORMAL.equation(1), NORMAL.equation(0)),
)
BAYES = Lemma(
    "bayes",
    "under W ∼ N(0, I/λ), rows of [W μ] independent, no estimator has a smaller mean error than d_Z xᵀ G_λ x, with"
    " G_λ (Xᵀ N X + λ I) = I",
    "the posterior variance of a Gaussian law, for a Gaussian base and seen cells",
    (GAUSSIAN, ISOTROPIC, SEEN, FREE),
    ((G_bayes * X.T * N * X, Identity(K + 1) - ridge * G_bayes),),
)
RESOLVENT = Step(
    "resolvent",
    "xᵀ G x − xᵀ G_λ x = λ xᵀ G_λ G x, which goes to zero with λ",
    x.T * G * x - x.T * G_bayes * X.T * N * X * G * x,
    ridge * x.T * G_bayes * G * x,
    (BAYES.equation(),),
)
BACK = Step(
    "in_the_span",
    "xᵀ G_λ Xᵀ N X G x = xᵀ G_λ x, as the label is in the span",
    x.T * G_bayes * X.T * N * X * G * x,
    x.T * G_bayes * x,
    (NORMAL.equation(0),),
)
MINIMAX = Lemma(
    "minimax",
    "the least worst-case error of all estimators is d_Z xᵀ G x",
    "it is at most the constant risk of least squares and at least the Bayes risk for every λ, and by `resolvent` and"
    " `in_the_span` these meet as λ → 0",
    (CONSTANT, RESOLVENT, BACK, FREE),
    ((worst, n_latents * least),),
)


def bayes_risk(world: World, ridge: float) -> tuple[float, float]:
    """xᵀ (Xᵀ N X + λ I)⁻¹ x and the least gain xᵀ G x, per latent coordinate."""
    rows, counts, target = weighted_designs(world)
    normal = rows.T @ (rows * counts[:, None])
    bayes = target @ np.linalg.solve(normal + ridge * np.eye(len(normal)), target)
    return float(bayes), float(target @ np.linalg.pinv(normal) @ target)


def measure(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """The Bayes risk against the posterior variance of simulated regressors, and its limit against the least gain.

    The posterior variance is |y|² for the y of least norm of the design with λ added as cells of unit labels, by
    LAPACK. The limit is reached to O(λ): λ = 1e-6 and a bound of 1e-6 times the squared gain and design. Rounding:
    c·eps·cond².
    """
    rows, counts, target = weighted_designs(world)
    ridge = 0.5
    design = np.vstack([rows * np.sqrt(counts)[:, None], np.sqrt(ridge) * np.eye(rows.shape[1])])
    direct = np.square(np.linalg.lstsq(design.T, target, rcond=None)[0]).sum()
    bayes, least = bayes_risk(world, ridge)
    near, _ = bayes_risk(world, 1e-6)
    slope = np.square(np.linalg.pinv(rows.T @ (rows * counts[:, None])) @ target).sum()
    bound = float(64 * len(design) ** 2 * EPS * np.linalg.cond(design) ** 2 * (1 + direct))
    return (
        Measurement("bayes", float(abs((1 + tilt) * bayes - direct)), bound),
        Measurement("limit", float(abs(near - (1 + tilt) * least)), 1e-5 * float(1 + slope + least)),
    )


def _bounded(size: Integer) -> Model:
    """One cell of N(θ, 1): where |θ| ≤ 1/2 is known, at size 1, the constant 0 has a worst-case error of 1/4, not 1."""
    theta = Symbol("theta", real=True)
    error = Rational(1, 4) if size else Integer(1)
    return compare(("least worst-case error", error, Integer(1)), ("mean of the cell", theta + 0 * size, theta))


CLAIM = Claim(
    name="minimax",
    number="2.10d",
    statement="of all estimators of W lₜ + μ that see z, biased ones too, none has a worst-case mean squared error"
    " below d_Z times the least noise gain",
    latex=r"\inf_T \sup_{W, \mu} E\|T - (W l_t + \mu)\|^2 = d_Z\, x^\top (X^\top N X)^{-} x",
    assumptions=(ADDITIVE, GAUSSIAN, ISOTROPIC, IN_SPAN, SEEN, ORIGIN, FREE),
    source="Lehmann and Casella (1998), Theory of Point Estimation, section 5.1, for this design",
    proof=(NORMAL, INVERSE, LEAST, CONSTANT, BAYES, RESOLVENT, BACK, MINIMAX),
    conclusions=("constant_risk", "resolvent", "in_the_span", "minimax"),
    says=(
        (w_best.T * V * w_best, "=", x.T * G * x),
        (x.T * G * x - x.T * G_bayes * X.T * N * X * G * x, "=", ridge * x.T * G_bayes * G * x),
        (x.T * G_bayes * X.T * N * X * G * x, "=", x.T * G_bayes * x),
        (worst, "=", n_latents * least),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds(6) for m in measure(world, 0.1 * fault)),
    counterexamples=(
        Counterexample(
            ADDITIVE, "an interaction is missed by every estimator", noise_models.missed_interaction, "constant_risk"
        ),
        Counterexample(
            GAUSSIAN, "with a Laplace base the median of three cells beats their mean", noise_models.median, "minimax"
        ),
        Counterexample(ISOTROPIC, "a narrower base is quieter", noise_models.narrower_base, "constant_risk"),
        Counterexample(IN_SPAN, "outside the span every error is possible", noise_models.missed_part, "in_the_span"),
        Counterexample(
            SEEN, "a batch effect shared with the control cancels", noise_models.shared_batch, "constant_risk"
        ),
        Counterexample(
            ORIGIN, "with a known origin the reference need not be measured", noise_models.known_origin, "minimax"
        ),
        Counterexample(FREE, "where effects are known to be small a constant is nearer", _bounded, "minimax"),
    ),
    remark="For d_Z ≥ 3 least squares is minimax and not admissible: the estimator of James and Stein (1961) is"
    " nearer at"
    " every W, by nothing in the limit of large effects. So a prediction may be worth more than 2.10c says, and"
    " never in the worst case.",
)
