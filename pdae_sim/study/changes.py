"""Changes of single features at one condition: measured with their intervals, and as a model predicts them."""

from __future__ import annotations

import numpy as np
from scipy import stats

from pdae_sim import _random
from pdae_sim._checks import near_misses, whole
from pdae_sim._random import SeedLike
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.labels import Condition
from pdae_sim.protocols import Estimator
from pdae_sim.study._effects import ExpressionScale, Origin


def feature_effects(
    estimator: Estimator,
    data: PerturbationData,
    condition: Condition,
    *,
    n_samples: int = 2000,
    rng: SeedLike = None,
) -> list[dict]:
    """Changes of the mean of every feature from control, measured and predicted, those first that stand out most.

    Counts are scaled to one total and logarithms taken, as for the metrics of effects.

    Args:
        estimator: A fitted estimator: anything with `sample(label, n, rng=…)`.
        data: Holds the control in training and cells of the condition.
        condition: A measured condition.
        n_samples: Draws from the predicted law.
        rng: Seed or generator of the draws.

    Returns:
        One row a feature: `feature`; `measured` with `low` and `high`, its 95 % interval (Welch's t, which counts the
        cells of the condition and those of the control); `predicted` with `predicted_low` and `predicted_high`, which
        count the draws; and `apart`, their difference in its own standard errors, in which the control has no part.

    Raises:
        InputError: If the condition or its control is not measured, or either has fewer than two cells.

    Example:
        >>> from pdae_sim.estimation import BASELINES
        >>> means = np.repeat([[0, 0], [2, 0], [0, 1], [2, 1]], 100, axis=0)
        >>> x = np.random.default_rng(0).normal(size=(400, 2)) + means
        >>> conditions = np.repeat(["ctrl", "A", "B", "A+B"], 100)
        >>> data = PerturbationData.from_arrays(x, conditions, held_out=conditions == "A+B")
        >>> rows = feature_effects(BASELINES["additive"]().fit(data), data, "A+B", rng=0)
        >>> rows[0]["feature"], rows[0]["low"] < 2 < rows[0]["high"], abs(rows[0]["apart"]) < 3
        ('x0', True, True)
    """
    whole("n_samples", n_samples, at_least=2)
    canonical = data.space.condition(data.space.label(condition))
    if canonical not in data.conditions:
        raise InputError(f"data must hold cells of {condition!r}; {near_misses(canonical, data.conditions)}")
    e, scale = data.conditions.index(canonical), ExpressionScale.of(data.train.stored)
    origin = Origin.of(data.train, data.labels[e], scale).control
    if origin is None:
        raise InputError(f"changes are from the control; no control condition of {canonical!r} is in training")
    control, measured = origin.x, scale(data.samples(e))
    if min(len(control), len(measured)) < 2:
        raise InputError(f"{canonical!r} and its control must have at least 2 cells each")
    drawn = scale(estimator.sample(canonical, n_samples, rng=_random.seed_sequence(rng)))
    columns, clearest = _columns(control, measured, drawn)
    return [
        {"feature": data.features[j]} | {name: float(values[j]) for name, values in columns.items()}
        for j in clearest.tolist()
    ]


def _columns(control: np.ndarray, measured: np.ndarray, drawn: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What is told of every feature, and the features in the order of |change| over its error."""
    change, reach = _welch(measured, control)
    predicted, error = drawn.mean(0) - control.mean(0), drawn.std(0, ddof=1) / np.sqrt(len(drawn))
    spread = np.hypot(error, measured.std(0, ddof=1) / np.sqrt(len(measured)))
    unmoved = np.isclose(measured.mean(0), control.mean(0))
    strength = np.divide(np.abs(change), reach, out=np.where(unmoved, 0.0, np.inf), where=reach > 0)
    columns = {
        "measured": change,
        "low": change - reach,
        "high": change + reach,
        "predicted": predicted,
        "predicted_low": predicted - stats.norm.ppf(0.975) * error,
        "predicted_high": predicted + stats.norm.ppf(0.975) * error,
        "apart": np.divide(predicted - change, spread, out=np.zeros_like(spread), where=spread > 0),
    }
    return columns, np.argsort(-strength, kind="stable")


def _welch(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The difference of two means by column, and half the length of its 95 % interval (Welch 1947)."""
    a, b = (each.var(0, ddof=1) / len(each) for each in (first, second))
    variance = a + b
    below = a**2 / (len(first) - 1) + b**2 / (len(second) - 1)
    freedom = np.divide(variance**2, below, out=np.ones_like(variance), where=below > 0)
    return first.mean(0) - second.mean(0), stats.t.ppf(0.975, freedom) * np.sqrt(variance)
