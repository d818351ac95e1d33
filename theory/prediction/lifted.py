"""Claim 2.15: interactions of order up to m are labels, and what a k-fold then costs.

If effects interact up to order m, z = z_base + W φ(l) with φ(l) the products of at most m entries of l, and
everything that is said of labels holds of φ(l): span, witness, gain, design. A k-fold combination is then predicted
from all those of at most m of its perturbations. Their weights are those of extrapolating a polynomial of degree m
from 0, …, m to k.

Tried against it: interactions of order m + 1 (missed by all weights, so measuring one k-fold tests for them); weights
of least gain beside these (there is one combination only, as the lifted labels are independent).
"""

from itertools import combinations
from math import comb

import numpy as np
from sympy import Add, Expr, Integer, Matrix, MatrixSymbol, Rational, Symbol, binomial, expand, symbols

from theory.assumptions import IN_SPAN, ISOTROPIC, OURS
from theory.engine.instances import EPS
from theory.engine.proof import Assumption, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.prediction import noise_models
from theory.prediction.noise_gain import SEEN
from theory.symbols import L, alpha, d

ORDER = Assumption(
    "order", "effects interact up to order m: z = z_base + W φ(l), φ(l) the products of at most m entries of l"
)

lifted = Symbol("Kphi", integer=True, positive=True)
W_lifted = MatrixSymbol("W", d, lifted)
phi_t, phi_train = MatrixSymbol(r"\Delta\varphi_{t}", lifted, 1), MatrixSymbol(r"\varphi(L)", lifted, L.shape[1])
CASES = ((2, 1), (3, 1), (3, 2), (4, 2), (5, 2), (4, 3), (6, 3))


def weight(k: int, m: int, j: int) -> int:
    """The weight of each j-fold in the prediction of a k-fold from all at most m-folds, j ≤ m < k.

    Example:
        >>> [weight(3, 2, j) for j in range(3)]
        [1, -1, 1]
    """
    return (-1) ** (m - j) * comb(k - j - 1, m - j)


def gain(k: int, m: int) -> int:
    """Σ_j C(k, j) weight²: the noise gain times the number of cells of each environment.

    Example:
        >>> gain(3, 2), gain(4, 2), gain(5, 2)
        (7, 31, 91)
    """
    return sum(comb(k, j) * weight(k, m, j) ** 2 for j in range(m + 1))


IN_LIFTED_SPAN = Lemma(
    "lifted_span",
    "φ(lₜ) − φ(l₀) = φ(L) α",
    "the label is in the span of the lifted training labels",
    IN_SPAN,
    ((phi_t, phi_train * alpha),),
)
PREDICTED = Step(
    "predicted",
    "W (φ(lₜ) − φ(l₀)) = (W φ(L)) α: what is said of Δₜ = L α holds of lifted labels",
    W_lifted * phi_t,
    W_lifted * phi_train * alpha,
    (IN_LIFTED_SPAN.equation(),),
)


def _extrapolates(k: int, m: int) -> Step:
    """Any polynomial of degree m in the number of perturbations, with free coefficients."""
    free = symbols(f"c0:{m + 1}")

    def total(n: int) -> Expr:
        return Add(*(c * comb(n, i) for i, c in enumerate(free)))

    return Step(
        f"extrapolates_k{k}_m{m}",
        f"∑ⱼ C({k}, j) wⱼ p(j) = p({k}) for every polynomial p of degree {m}: the weights predict a {k}-fold",
        Add(*(comb(k, j) * weight(k, m, j) * total(j) for j in range(m + 1)), evaluate=False),
        total(k),
    )


def _gains() -> Step:
    return Step(
        "gains",
        "the gains of (k, m) = (3, 2), (4, 2), (5, 2) are 7/n, 31/n and 91/n",
        Matrix([Add(*(binomial(k, j) * binomial(k - j - 1, 2 - j) ** 2 for j in range(3))) for k in (3, 4, 5)]),
        Matrix([7, 31, 91]),
    )


WEIGHTS = Lemma(
    "weights",
    "a k-fold is predicted from all at most m-folds with the weights wⱼ = (−1)^(m−j) C(k−j−1, m−j) for each j-fold,"
    " and with no others",
    "by symmetry the weights depend on j alone; Lagrange’s interpolation at 0, …, m has C(k, j) wⱼ as coefficients,"
    " computed in the steps `extrapolates`; the lifted labels are independent, so there is one combination",
    (ORDER, PREDICTED, *(f"extrapolates_k{k}_m{m}" for k, m in CASES)),
)
GAIN = Lemma(
    "gain",
    "with n independent cells of each environment the gain is ∑ⱼ C(k, j) C(k−j−1, m−j)² / n",
    "2.10: the sum of squared weights, C(k, j) of each",
    (WEIGHTS, SEEN, ISOTROPIC, "gains"),
)


def measure(k: int, m: int, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Weights by least squares on the table of lifted labels, against the formula. Rounding: c·eps·cond², c =
    64·rows."""
    folds = [set(fold) for j in range(m + 1) for fold in combinations(range(k), j)]
    table = np.array([[float(term <= fold) for term in folds] for fold in folds])
    found = np.linalg.lstsq(table.T, np.ones(len(folds)), rcond=None)[0]
    claimed = np.array([weight(k, m, len(fold)) for fold in folds]) * (1 + tilt)
    bound = float(64 * len(folds) * EPS * np.linalg.cond(table) ** 2 * np.abs(claimed).max())
    total = float((found**2).sum())
    return (
        Measurement("weights", float(np.abs(found - claimed).max()), bound),
        Measurement("gain", abs(total - (1 + tilt) * gain(k, m)), bound * (1 + total)),
    )


def _higher(size: Rational) -> Model:
    """Three perturbations whose triple has a further effect `size`, predicted from singles and doubles with m = 2."""
    w = symbols("w1:8", real=True)
    singles, doubles, triple = w[0] + w[1] + w[2], w[3] + w[4] + w[5], Integer(0)
    predicted = expand((2 * singles + doubles) - singles)
    own = singles + doubles + triple
    return compare(
        ("effect of the triple less its prediction", size, Integer(0)), ("its effects up to order 2", predicted, own)
    )


CLAIM = Claim(
    name="lifted_labels",
    number="2.15",
    statement="with interactions up to order m a k-fold is predicted from all at most m-folds, with the weights"
    " (−1)^(m−j) C(k−j−1, m−j) and the gain ∑ⱼ C(k, j) C(k−j−1, m−j)² / n",
    latex=r"w_j = (-1)^{m-j}\binom{k-j-1}{m-j},\qquad"
    r" \mathrm{gain} = \frac1n\sum_{j=0}^{m}\binom kj\binom{k-j-1}{m-j}^2",
    assumptions=(ORDER, IN_SPAN, SEEN, ISOTROPIC),
    source=f"{OURS}; the coefficients are those of Lagrange",
    proof=(
        IN_LIFTED_SPAN,
        PREDICTED,
        *(_extrapolates(k, m) for k, m in CASES),
        WEIGHTS,
        _gains(),
        GAIN,
    ),
    conclusions=("predicted", "weights", "gain"),
    says=((W_lifted * phi_t, "=", W_lifted * phi_train * alpha), WEIGHTS.statement, GAIN.statement),
    check=lambda fault=0.0: tuple(m for k, order in CASES for m in measure(k, order, 1e-3 * fault)),
    counterexamples=(
        Counterexample(ORDER, "an interaction of three is missed by singles and doubles", _higher, "weights"),
        Counterexample(
            IN_SPAN, "a part outside the span is missed by all weights", noise_models.missed_part, "predicted"
        ),
        Counterexample(SEEN, "a batch effect shared with the control cancels", noise_models.shared_batch, "gain"),
        Counterexample(ISOTROPIC, "a narrower base is quieter", noise_models.narrower_base, "gain"),
    ),
    remark="A triple from its singles and doubles has the gain 7/n, where A + B from control and singles has 3/n; a"
    " fourfold 31/n and a fivefold 91/n: interactions are paid for in cells.",
)
