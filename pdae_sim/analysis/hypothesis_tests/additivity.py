"""Additivity of effects: a test of the product formula where a combination and its parts were both measured.

If labels are linearly dependent, Δ_t = Σ_e α_e Δ_e, then the *observed* laws obey (theory, claim 2.7), with w_t = 1,
w_e = −α_e, w_0 = −(1 − Σ α_e),

    Σ_e w_e log p_e(x) = const:   for a double, p_AB(x) p_0(x) / (p_A(x) p_B(x)) does not depend on x.

Pool the cells and let π_e(x) be the chance that a cell at x is of environment e. The formula says that the generalised
odds ratio Σ_e w_e log π_e(x) is constant, which is to say: no interaction with x beyond those of each environment. Its
efficient score at a cell x of environment e is

    R = v(x) w_e / π_e(x),   v(x) = 1 / Σ_e w_e² / π_e(x) = Var(R | x),   |R| ≤ 1 / |w_e|,

with E[R | x] = 0 for all x under the formula. No decoder, no latents, and no exploding weights: where one environment
has no cells near x, v(x) is nearly zero and such x say nothing.

The π_e are fitted *under the formula* by a classifier on other cells than those it is applied to (cross-fitting). With
log-ratio errors δ_e, Σ_e w_e π_e / π̂_e is of second order in δ: for a double (1 − e^{δ_A})(1 − e^{δ_B}), the product of
two errors. R is orthogonal to what the classifier gets slightly wrong, and that is what keeps the test calibrated.

What a pass does not say: the formula also holds where A and B change *different* mechanisms in whatever way, since
their factors p(z_j | causes) multiply. It vouches for the prediction of combinations, not for shifts or Gaussian noise.

Coefficients are sought over independent conditions with the fewest parts, not those of least norm: these bring in
environments that overlap with nothing (0 effective cells where the singles alone leave 240).

References:
    Theory, claim 2.7(b); Chernozhukov et al. (2018), Double/debiased machine learning, Econometrics J. 21; Muandet et
    al. (2020), Kernel conditional moment test via maximum moment restriction. The score is that of a conditional odds
    ratio, as in Tchetgen Tchetgen, Robins & Rotnitzky (2010), On doubly robust estimation in a semiparametric odds
    ratio model, Biometrika 97.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import listed, near_misses, repetitions, whole
from pdae_sim._linalg import on_one_thread
from pdae_sim._random import SeedLike, child, seed_sequence, stream
from pdae_sim.analysis._constrained_logistic import (
    FittedOdds,
    cross_fitted,
    efficient_scores,
    score_slopes,
    standardised,
)
from pdae_sim.analysis._kernels import median_distance
from pdae_sim.analysis._permutation import aggregated, merge_ties, null_quantiles, rounding_of_forms, upper_p_value
from pdae_sim.analysis.hypothesis_tests._neighbours import combination
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests, adjust_p_values
from pdae_sim.analysis.hypothesis_tests.relations import additive_relations
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError

MIN_OVERLAP_CELLS = 100.0
"""Effective cells below which the environments overlap too little to tell, whatever the p-value."""

_FREQUENCIES = 50
_SCALES = (0.5, 1.0, 2.0)  # kernel widths in units of the median distance
_BINS = 5
_MEDIAN_ROWS = 500


@dataclass(frozen=True, eq=False)
class AdditivityTest:
    """Evidence for or against the product formula at one linear dependence.

    Args:
        target: The condition on the left, for instance ``A+B``.
        conditions: Conditions of non-zero weight, the target last.
        weights: (E,) w, adding to zero: Σ_e w_e log p_e(x) = const is what is tested.
        statistic: The greatest rank, over kernels, of ‖Σ_i R_i φ(x_i)‖² among its sign-flipped copies, as a share.
        p_value: (1 + #{copies at least as extreme}) / (n_multipliers + 1).
        n_multipliers: Sign-flipped copies.
        null_quantiles: Quantile of the statistic over the copies, by level.
        counts: (E,) cells.
        effective_cells: (Σ |w_e|)² Σ_i v(x_i): cells of environments that coincide and would tell as much.
        cross_entropy: Cross-entropy of the fitted π on cells it has not seen, in nats.
        prior_entropy: Cross-entropy of a classifier that knows the counts alone.
        penalty: Ridge penalty that was best on unseen cells.
        slopes: (d_X,) change of Σ_e w_e log p_e per standard deviation of a column of x: one Newton step from zero.
        slope_errors: (d_X,) their standard errors, one column at a time.
        feature: The column with the largest |slope| / error.
        edges: Inner edges of the bins of that column, its quantiles in the pooled cells.
        observed_counts: (n_bins, E) cells in each bin.
        expected_counts: (n_bins, E) cells expected under the formula: Σ π_e over all cells in the bin.
        of_doses: Whether all conditions are doses of one, so that the formula says that effects are straight in dose.

    Example:
        >>> means = {"ctrl": 0.0, "A": 1.0, "B": -1.0, "A+B": 0.0}
        >>> x = np.concatenate([np.random.default_rng(0).normal(m, 1.0, (100, 1)) for m in means.values()])
        >>> data = PerturbationData.from_arrays(x, np.repeat(list(means), 100))
        >>> additivity_test(data, "A+B", n_multipliers=99, rng=0).to_json()["weights"]
        {'ctrl': 1.0, 'A': -1.0, 'B': -1.0, 'A+B': 1.0}
    """

    target: str
    conditions: tuple[str, ...]
    weights: np.ndarray
    statistic: float
    p_value: float
    n_multipliers: int
    null_quantiles: dict[float, float]
    counts: np.ndarray
    effective_cells: float
    cross_entropy: float
    prior_entropy: float
    penalty: float
    slopes: np.ndarray
    slope_errors: np.ndarray
    feature: str
    edges: np.ndarray
    observed_counts: np.ndarray
    expected_counts: np.ndarray
    of_doses: bool = False

    @property
    def enough_overlap(self) -> bool:
        """Whether the environments overlap enough for the test to tell anything."""
        return self.effective_cells >= MIN_OVERLAP_CELLS

    @property
    def steepest(self) -> int:
        """The column of `feature`."""
        return int(np.argmax(np.abs(self.slopes / self.slope_errors)))

    def in_words(self, level: float = 0.05) -> str:
        """What the test says, and what it does not say."""
        formula = f"{self.target} against {_product(self.weights[:-1].tolist(), self.conditions[:-1])}"
        said = f"{formula}: p = {self.p_value:.3g}, {self.effective_cells:.0f} effective of {self.counts.sum()} cells"
        if not self.enough_overlap:
            return f"{said}; too little overlap to tell"
        if self.p_value <= level:
            slope, error = self.slopes[self.steepest], self.slope_errors[self.steepest]
            fault = "effects are not straight in dose" if self.of_doses else "effects do not add"
            return (
                f"{said}; the product formula fails, most along {self.feature} (log ratio {slope:+.2f} ± {error:.2f} "
                f"per standard deviation): {fault}, or change more than means, or noise or a batch effect hides the"
                " latents"
            )
        return f"{said}; no departure from the product formula was found"

    def to_json(self) -> dict[str, object]:
        """The test and the column where the formula fails most, as plain values."""
        return {
            "condition": self.target,
            "of_doses": self.of_doses,
            "weights": dict(zip(self.conditions, self.weights.tolist(), strict=True)),
            "p_value": self.p_value,
            "enough_overlap": self.enough_overlap,
            "effective_cells": self.effective_cells,
            "cells": int(self.counts.sum()),
            "feature": self.feature,
            "slope": float(self.slopes[self.steepest]),
            "slope_error": float(self.slope_errors[self.steepest]),
        }


@checked_numbers
def additivity_test(
    data: PerturbationData,
    target: str,
    *,
    coefficients: Mapping[str, float] | None = None,
    n_multipliers: int = 999,
    n_folds: int = 3,
    rng: SeedLike = None,
) -> AdditivityTest:
    """Test the product formula at one measured combination.

    Args:
        data: Cells of the target and of conditions whose shifts combine to its shift, held-out or not.
        target: A measured condition.
        coefficients: α by condition, the reference not needed; if None, those over independent others with the fewest
            parts: a double from its singles.
        n_multipliers: Sign-flipped copies for the p-value.
        n_folds: Folds of cross-fitting, ≥ 2; more where features are many for the cells, in proportion of time.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If `target` is not measured or is the reference, its shift is no combination of the others', or an
            environment involved has fewer cells than folds or 10.

    References:
        Theory, claim 2.7(b). The sign flips are a wild bootstrap: calibrated for large samples, not exactly. With 150
        cells a condition 1.2, 5.9 and 11.4 % of 5,000 additive worlds were rejected at 1, 5 and 10 %. Sparse counts of
        5 genes with means 0.005 to 0.02 are rejected less often (0.3, 3.6 and 8.7 % of 1,500 worlds), of 22 genes with
        means 0.005 to 1 more often (1.9, 7.3 and 13.3 %): what the fit of π gets wrong counts there, and of 500 such
        worlds 8 folds reject 1.0, 5.4 and 12.6 %, 3 folds 1.8, 8.2 and 13.6 %.

    Example:
        >>> import numpy as np
        >>> means = {"ctrl": 0.0, "A": 1.0, "B": -1.0, "A+B": 1.5}  # 0 if effects added
        >>> x = np.concatenate([np.random.default_rng(0).normal(m, 1.0, (200, 1)) for m in means.values()])
        >>> data = PerturbationData.from_arrays(x, np.repeat(list(means), 200))
        >>> additivity_test(data, "A+B", rng=0).p_value == 0.001
        True
    """
    repetitions("n_multipliers", n_multipliers, at_least=19)
    environments, w = _relation(data, target, coefficients)
    part = data.select(environments)
    _enough_cells(part, whole("n_folds", n_folds, at_least=2))
    root = seed_sequence(rng)
    z, weights = standardised(part.x.astype(np.float64)), np.array(w)
    if not z.any():
        raise _UntestableError(f"cells of {target!r} and its parts are all alike to rounding; nothing can be tested")
    with on_one_thread():
        odds = cross_fitted(z, part.environment, weights, n_folds=n_folds, root=root)
        R, v = efficient_scores(odds.eta, part.environment, weights)
        values = _statistics(z, odds.eta, R, v, n_multipliers, root)
        return _record(part, target, weights, odds, (R, v, z), values)


@checked_numbers
def additivity_tests(
    data: PerturbationData,
    targets: Sequence[str] | None = None,
    *,
    n_multipliers: int = 999,
    n_folds: int = 3,
    rng: SeedLike = None,
) -> CorrectedTests[AdditivityTest]:
    """Test the product formula at every independent linear dependence among the measured labels, with corrections.

    Conditions are taken with the fewest parts first; each that the independent ones before it span is tested against
    those, so that a double is tested against its singles. One with too few cells behind it is skipped with a reason.

    Args:
        data: Cells of conditions, held-out or not.
        targets: Measured combinations to test in place of all.
        n_multipliers, n_folds, rng: As in `additivity_test`.

    Raises:
        InputError: If the measured labels are linearly independent, so that nothing can be tested.

    Example:
        >>> means = {"ctrl": 0.0, "A": 1.0, "B": -1.0, "A+B": 0.0}
        >>> x = np.concatenate([np.random.default_rng(0).normal(m, 1.0, (100, 1)) for m in means.values()])
        >>> data = PerturbationData.from_arrays(x, np.repeat(list(means), 100))
        >>> additivity_tests(data, n_multipliers=99, rng=0).rejected()
        ()
    """
    if not (relations := additive_relations(data) if targets is None else dict.fromkeys(targets)):
        raise InputError("data must hold a condition that others combine to; measure a combination and its parts")
    root, tests, skipped = seed_sequence(rng), {}, {}
    for target, alpha in relations.items():
        own, settings = child(root, "additivity", target), {"n_multipliers": n_multipliers, "n_folds": n_folds}
        try:
            tests[target] = additivity_test(data, target, coefficients=alpha, rng=own, **settings)
        except _UntestableError as error:
            skipped[target] = str(error)
    return adjust_p_values({target: test.p_value for target, test in tests.items()}, tests=tests, skipped=skipped)


def _relation(data: PerturbationData, target: str, coefficients: Mapping | None) -> tuple[list[int], list[float]]:
    """Environments of non-zero weight, the target last, and their weights."""
    t, reference = _position(data, target), data.reference
    if t == reference:
        raise InputError(f"target must be a combination; received the reference {target!r}")
    alpha = _checked(data, t, _spanned(data, t) if coefficients is None else coefficients)
    weights = {e: -a for e, a in alpha.items() if e != reference and abs(a) > 1e-12}
    rest = -1.0 - sum(weights.values())
    if abs(rest) > 1e-12:
        weights[reference] = rest
    order = sorted(weights)
    return [*order, t], [*(weights[e] for e in order), 1.0]


def _spanned(data: PerturbationData, t: int) -> dict[str, float]:
    alpha = combination(data, t)
    if alpha is None:
        raise InputError(f"target {data.conditions[t]!r} must be a combination of other measured conditions; it is not")
    return alpha


def _checked(data: PerturbationData, t: int, coefficients: Mapping[str, float]) -> dict[int, float]:
    alpha = {_position(data, name): float(a) for name, a in coefficients.items()}
    origin = data.labels[data.reference]
    reached = sum(a * (data.labels[e] - origin) for e, a in alpha.items())
    shift = data.labels[t] - origin
    if t in alpha or not np.allclose(reached, shift, rtol=0, atol=1e-9 * np.abs(data.labels).max()):
        raise InputError(
            f"coefficients must combine other conditions' shifts to that of {data.conditions[t]!r}, "
            f"{shift.tolist()}; they reach {np.asarray(reached).tolist()}"
        )
    return alpha


def _position(data: PerturbationData, condition: str) -> int:
    label = data.space.label(condition)
    rows = np.flatnonzero((data.labels == label).all(1))
    if not rows.size:
        raise InputError(f"condition {condition!r} must be measured; {near_misses(condition, data.conditions)}")
    return int(rows[0])


class _UntestableError(InputError):
    """Fewer cells of a condition than the test needs."""


def _enough_cells(part: PerturbationData, n_folds: int) -> None:
    least, needed = int(np.argmin(part.counts)), max(n_folds, 10)
    if part.counts[least] < needed:
        name, n = part.conditions[least], part.counts[least]
        raise _UntestableError(f"{name!r} must have at least {needed} cells; it has {n}")


def _statistics(
    z: np.ndarray, eta: np.ndarray, R: np.ndarray, v: np.ndarray, n_multipliers: int, root: np.random.SeedSequence
) -> np.ndarray:
    """(n_multipliers + 1,) statistics, the observed first, then with the signs of the R flipped at random.

    The flips are centred with weights v, which makes them orthogonal to the constant of the formula.
    """
    signs = stream(root, "signs").choice([-1.0, 1.0], (len(R), n_multipliers + 1))
    signs[:, 0] = 1.0
    H = R[:, None] * signs
    H -= v[:, None] * (H.sum(0) / v.sum())
    views = {"x": z, "log ratios": standardised(eta[:, 1:-1])}
    forms = np.stack([form for name, u in views.items() for form in _forms(u, H, stream(root, name))])
    magnitude = np.full(len(forms), (2 * np.abs(R).sum()) ** 2)  # Σ |h| ≤ 2 Σ |R|, and kernels are at most 1
    return aggregated(merge_ties(forms, rounding_of_forms(len(R), magnitude)))


def _forms(u: np.ndarray, H: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """hᵀ K h by column h, for Gaussian kernels of several widths in random Fourier features."""
    width = median_distance(u[rng.permutation(len(u))[:_MEDIAN_ROWS]]) or 1.0
    for scale in _SCALES:
        phase = u @ (rng.normal(size=(u.shape[1], _FREQUENCIES)) / (scale * width))
        yield ((np.hstack([np.cos(phase), np.sin(phase)]).T @ H) ** 2).sum(0) / _FREQUENCIES


def _record(
    part: PerturbationData,
    target: str,
    w: np.ndarray,
    odds: FittedOdds,
    scores: tuple[np.ndarray, np.ndarray, np.ndarray],
    values: np.ndarray,
) -> AdditivityTest:
    R, v, z = scores
    slopes, errors = score_slopes(z, R, v)
    column = int(np.argmax(np.abs(slopes / errors)))
    share = part.counts / part.counts.sum()
    edges, observed, expected = _binned(part.x[:, column], odds.eta, part.environment)
    return AdditivityTest(
        target=target,
        conditions=part.conditions,
        weights=w,
        statistic=float(values[0]),
        p_value=upper_p_value(values),
        n_multipliers=len(values) - 1,
        null_quantiles=null_quantiles(values),
        counts=part.counts,
        effective_cells=float(np.abs(w).sum() ** 2 * v.sum()),
        cross_entropy=odds.cross_entropy,
        prior_entropy=-float(share @ np.log(share)),
        penalty=odds.penalty,
        slopes=slopes,
        slope_errors=errors,
        feature=part.features[column],
        edges=edges,
        observed_counts=observed,
        expected_counts=expected,
        of_doses=np.linalg.matrix_rank(part.labels - part.labels[part.reference]) == 1,
    )


def _binned(column: np.ndarray, eta: np.ndarray, environment: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of equally filled bins, and cells in each by environment: observed, and expected under the formula."""
    edges = np.quantile(column, np.arange(1, _BINS) / _BINS)
    member = np.eye(_BINS)[np.searchsorted(edges, column, side="right")]
    return edges, (member.T @ np.eye(eta.shape[1])[environment]).astype(int), member.T @ softmax(eta, axis=1)


def _product(weights: Sequence[float], names: Sequence[str]) -> str:
    """The right-hand side in words: ``A · B / ctrl``, powers as ``A^2``."""
    terms = [
        (f"{name}^{abs(w):.4g}" if abs(abs(w) - 1) > 1e-12 else name, w < 0)
        for w, name in zip(weights, names, strict=True)
    ]
    above, below = (listed([term for term, top in terms if top == side], between=" · ") for side in (True, False))
    return (above or "1") + (f" / ({below})" if " · " in below else f" / {below}" if below else "")
