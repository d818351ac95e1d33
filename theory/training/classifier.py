"""Claim 3.7: the best classifier between environments knows the log density ratios.

The population cross-entropy E[-log softmax(a(x))_e] is convex in the logits, strictly but for a constant common to all
environments, and its slope is the difference of predicted and true posteriors. Nothing is asked of the laws but that
they have densities against each other; neither W nor f enters. 3.8 says what this leaves open in W and g.
"""

from typing import cast

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax
from sympy import Expr, Identity, Integer, Matrix, MatrixSymbol, Rational, Symbol, diff, exp, hessian, log, symbols

from theory.energy.distance import laws
from theory.engine.instances import World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare

OPTIMAL = Assumption(
    "optimal", "the logits minimise the population cross-entropy over a class that holds the true ones"
)
COMMON_SUPPORT = Assumption("common_support", "the laws of x under the training labels have positive densities pₑ")

BOOK = "Bishop (2006), Pattern Recognition and Machine Learning, section 4.3.4"

E = Symbol("M+1", integer=True, positive=True)
weighted, root = (MatrixSymbol(name, E, 1) for name in ("y", "t"))


a_e, a_0, constant = symbols("a_e a_0 c", real=True)
q_e, q_0, pi_e, pi_0, p_e, p_0, p = symbols("q_e q_0 pi_e pi_0 p_e p_0 p", positive=True)
BAYES = Lemma(
    "bayes",
    "qₑ = πₑ pₑ / p, with p the density of cells of all environments together",
    "Bayes’ rule",
    COMMON_SUPPORT,
    ((q_e, pi_e * p_e / p), (q_0, pi_0 * p_0 / p)),
)


def cross_entropy(logits: list[Expr], posterior: list[Expr]) -> Expr:
    """-Σ_e q_e log softmax(a)_e at one x."""
    total = sum((exp(a) for a in logits), Integer(0))
    return sum((q * (log(total) - a) for a, q in zip(logits, posterior, strict=True)), Integer(0))


def _slopes(size: int) -> tuple[Step, Step]:
    """Gradient and Hessian in the logits, with free symbols, for `size` environments."""
    logits, posterior = symbols(f"a0:{size}", real=True), symbols(f"q0:{size}", positive=True)
    total = sum((exp(a) for a in logits), Integer(0))
    softmax = Matrix([exp(a) / total for a in logits])
    loss, adds_up = cross_entropy(list(logits), list(posterior)), Integer(1) - sum(posterior[:-1], Integer(0))
    normalised = (Equation(DEFINITION, posterior[-1], adds_up),)
    gradient = Step(
        f"gradient_{size}",
        f"for {size} environments the slope in the logits is softmax(a) − q",
        Matrix([diff(loss, a) for a in logits]),
        softmax - Matrix(posterior),
        normalised,
    )
    curvature = Step(
        f"hessian_{size}",
        f"for {size} environments the Hessian in the logits is diag(s) − s sᵀ with s = softmax(a)",
        hessian(loss, logits),
        Matrix(size, size, lambda i, j: softmax[i] * (int(i == j) - softmax[j])),
        normalised,
    )
    return gradient, curvature


def _convexity() -> tuple[Step | Lemma, ...]:
    centred = weighted - root * root.T * weighted
    unit = Lemma("unit", "t has length 1", "tₑ² = sₑ, and a softmax sums to one", (), ((root.T * root, Identity(1)),))
    variance = Step(
        "variance",
        "vᵀ (diag(s) − s sᵀ) v = |y|² − (tᵀy)² = |y − t tᵀy|² with tₑ = √(sₑ), yₑ = tₑ vₑ: positive unless v"
        " is constant, for any number of environments",
        weighted.T * weighted - weighted.T * root * root.T * weighted,
        centred.T * centred,
        (unit.equation(),),
    )
    unique = Lemma(
        "posterior",
        "at almost every x the minimising logits are aₑ = log qₑ + c(x), q the posterior of the environments",
        "the slope vanishes there, and convexity leaves no other minimum but for constants; a loss that is least at"
        " every x is least on average, and a class that holds these logits can do no better",
        (OPTIMAL, COMMON_SUPPORT, variance, "gradient_2", "gradient_3", "hessian_2", "hessian_3"),
        ((a_e, log(q_e) + constant), (a_0, log(q_0) + constant)),
    )
    return unit, variance, unique


def _bayes(posterior: Lemma) -> Step:
    return Step(
        "log_ratio",
        "aₑ − a₀ = log pₑ(x) − log p₀(x) + log πₑ − log π₀, π the shares of the environments",
        a_e - a_0,
        log(p_e) - log(p_0) + log(pi_e) - log(pi_0),
        (
            posterior.equation(0),
            posterior.equation(1),
            BAYES.equation(0),
            BAYES.equation(1),
        ),
    )


def posteriors(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Three laws (3, 5) on five points, and the shares (3,) of three environments."""
    _, p, q = laws(world)
    return np.stack([p, q, (p + p[::-1]) / 2]), np.array([0.5, 0.3, 0.2])


def measure(world: World, shares: np.ndarray | None = None) -> Measurement:
    """Minimise the cross-entropy of free logits numerically; compare their differences with the log ratios.

    The loss is strictly convex with Hessian at least min π_e p_e · min q on differences, so a gradient of size g leaves
    an error of at most g over that; BFGS is asked for 1e-9 and reports what it reached.
    """
    densities, true_shares = posteriors(world)
    joint = true_shares[:, None] * densities

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.vstack([np.zeros(joint.shape[1]), free.reshape(2, -1)])
        logs = log_softmax(logits, axis=0)
        return -float((joint * logs).sum()), (np.exp(logs) * joint.sum(axis=0) - joint)[1:].ravel()

    result = minimize(loss, np.zeros(2 * joint.shape[1]), jac=True, options={"gtol": 1e-9})
    assumed = true_shares if shares is None else shares
    claimed = np.log(densities[1:] / densities[0]) + np.log(assumed[1:] / assumed[0])[:, None]
    curvature = joint.min() * (joint / joint.sum(axis=0)).min()
    bound = np.linalg.norm(result.jac) / curvature + 1e-8
    return Measurement("log_ratio", float(np.abs(result.x.reshape(2, -1) - claimed).max()), float(bound))


def _constant_logits(size: Rational) -> Model:
    """p_e / p_0 = e^(±size) on two halves, and the class has logits that do not depend on x: by symmetry, 0."""
    a, up = Symbol("a", real=True), exp(size) / (1 + exp(size))
    loss = cross_entropy([Integer(0), a], [1 - up, up]) + cross_entropy([Integer(0), a], [up, 1 - up])
    return compare(
        ("best logit, and log pₑ/p₀", Integer(0), log(up / (1 - up))),
        ("loss at logit a and at −a", loss, loss.subs(a, -a)),
    )


def _half_seen(size: Rational) -> Model:
    """p_0 is uniform on (0, 1), p_1 on (0, 1 + size): on the share of p_1 beyond 1 no finite logit is best.

    There the loss -log softmax(a)_1 = log(1 + exp(a_0 - a_1)) falls for ever; the gap is that share.
    """
    a = Symbol("a", real=True)
    return compare(
        ("share of cells for which no finite logit is best", size / (1 + size), Integer(0)),
        ("loss of a cell in (0, 1), from either side", log(1 + exp(a)) - a, log(1 + exp(-a))),
    )


_CONVEXITY = _convexity()
CLAIM = Claim(
    name="classifier",
    number="3.7",
    statement="the logits that minimise the cross-entropy between environments are log pₑ / p₀ + log πₑ / π₀",
    latex=r"a_e(x) - a_0(x) = \log\frac{p_e(x)}{p_0(x)} + \log\frac{\pi_e}{\pi_0}",
    assumptions=(OPTIMAL, COMMON_SUPPORT),
    source=BOOK,
    proof=(*_slopes(2), *_slopes(3), *_CONVEXITY, BAYES, _bayes(cast("Lemma", _CONVEXITY[-1]))),
    conclusions=("log_ratio",),
    says=((a_e - a_0, "=", log(p_e) - log(p_0) + log(pi_e) - log(pi_0)),),
    check=lambda fault=0.0: tuple(measure(world, np.array([0.4, 0.4, 0.2]) if fault else None) for world in worlds(6)),
    counterexamples=(
        Counterexample(OPTIMAL, "a class whose logits do not depend on x", _constant_logits, "log_ratio"),
        Counterexample(
            COMMON_SUPPORT, "where one density is zero the best logit is not finite", _half_seen, "log_ratio"
        ),
    ),
)
