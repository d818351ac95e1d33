"""Changes of features: intervals that hold, predictions that stand beside them."""

import numpy as np
import pytest
from scipy import stats

from pdae_sim import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation import BASELINES
from pdae_sim.study import feature_effects

CONDITIONS = np.repeat(["ctrl", "A", "B", "A+B"], 60)
EFFECTS = np.array([[0, 0, 0], [1, 0, 0], [0, 0.5, 0], [1, 0.5, 0]])


def world(seed: int, held_out: str = "A+B") -> PerturbationData:
    x = np.random.default_rng(seed).normal(size=(240, 3)) * [1, 2, 3] + np.repeat(EFFECTS, 60, axis=0)
    return PerturbationData.from_arrays(x, CONDITIONS, held_out=held_out == CONDITIONS)


def by_feature(rows: list[dict]) -> dict[str, dict]:
    return {row["feature"]: row for row in rows}


def test_intervals_are_those_of_welch():
    data = world(0)
    rows = by_feature(feature_effects(BASELINES["additive"]().fit(data), data, "A+B", rng=0))
    x = {c: data.samples(data.conditions.index(c)) for c in ("A+B", "ctrl")}
    for j, name in enumerate(data.features):
        expected = stats.ttest_ind(x["A+B"][:, j], x["ctrl"][:, j], equal_var=False).confidence_interval(0.95)
        assert (rows[name]["low"], rows[name]["high"]) == pytest.approx(tuple(expected))


def test_intervals_hold_in_95_of_100_worlds_and_right_predictions_are_seldom_far():
    covered, far = [], []
    for seed in range(300):
        data = world(seed)
        rows = by_feature(feature_effects(Truth(), data, "A+B", n_samples=400, rng=seed))
        covered += [rows[f"x{j}"]["low"] <= EFFECTS[3, j] <= rows[f"x{j}"]["high"] for j in range(3)]
        far += [abs(rows[f"x{j}"]["apart"]) > 1.96 for j in range(3)]
    assert 0.92 < np.mean(covered) < 0.975
    # the prediction is of the true law, but changes count from one control that both share
    assert 0.02 < np.mean(far) < 0.08


class Truth:
    """Predicts the law that cells of A+B have."""

    def sample(self, condition, n, *, rng):
        return np.random.default_rng(rng).normal(size=(n, 3)) * [1, 2, 3] + EFFECTS[3]


def test_a_wrong_prediction_is_far_at_its_feature_alone():
    data = world(1)

    class Wrong(Truth):
        def sample(self, condition, n, *, rng):
            return super().sample(condition, n, rng=rng) + np.array([0, 3, 0])

    rows = by_feature(feature_effects(Wrong(), data, "A+B", rng=0))
    assert rows["x1"]["apart"] > 5
    assert abs(rows["x0"]["apart"]) < 4


def test_features_that_change_most_come_first():
    data = world(2)
    assert feature_effects(Truth(), data, "A+B", rng=0)[0]["feature"] == "x0"


def test_what_is_not_measured_is_refused():
    with pytest.raises(InputError, match=r"data must hold cells of 'A:2'"):
        feature_effects(Truth(), world(0), "A:2", rng=0)
    no_control = PerturbationData.from_arrays(np.eye(4), ["A", "A", "B", "B"], no_control=True)
    with pytest.raises(InputError, match="changes are from the control; no control condition of 'A' is in training"):
        feature_effects(Truth(), no_control, "A", rng=0)


def test_a_change_without_any_spread_is_the_clearest():
    x = np.random.default_rng(0).normal(size=(240, 3))
    x[:, 1] = np.where(np.arange(240) < 180, 0.1, 0.3)  # A+B alone has another value
    x[:, 2] = 0.1
    data = PerturbationData.from_arrays(x, CONDITIONS, held_out=CONDITIONS == "A+B")
    rows = feature_effects(BASELINES["additive"]().fit(data), data, "A+B", rng=0)
    assert [rows[0]["feature"], rows[-1]["feature"]] == ["x1", "x2"]
