"""Medians and slopes over worlds, with their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.studies.intervals import curve, medians, slope
from pdae_sim.intervals import Estimate, Interval
from pdae_sim.study.medians import NO_INTERVAL, median


def test_the_interval_of_a_median_is_between_order_statistics():
    assert median([3, 1, 2]) == Estimate(2.0, NO_INTERVAL)
    assert median([5, 1, 2, 4, 3, 6]) == Estimate(3.5, Interval(1, 6))
    assert median(range(9)) == Estimate(4.0, Interval(1, 7))
    assert median([1, 2, math.inf, math.inf, 3, 4]).interval.high == math.inf
    assert math.isfinite(median([1, 2, math.inf, math.inf, 3, 4]).value)


@pytest.mark.statistical
def test_the_interval_of_a_median_covers_as_often_as_it_says():
    samples = np.random.default_rng(0).exponential(size=(4000, 9))
    covered = np.mean([math.log(2) in median(x).interval for x in samples])
    exact = 1 - 2 * 10 / 512
    assert abs(covered - exact) < 4 * math.sqrt(exact * (1 - exact) / 4000)


def test_the_slope_is_that_of_a_power_law():
    x = np.array([1.0, 10.0, 100.0])
    worlds = np.array([0.9, 1.0, 1.2])[:, None] * x**-0.5
    estimate = slope(x, worlds)
    assert estimate.value == pytest.approx(-0.5)
    assert estimate.interval.low == pytest.approx(-0.5)
    assert math.isnan(slope(x, -worlds).value)


def test_medians_are_by_keys_and_a_curve_is_by_the_last_of_them():
    about = {"metric": "m", "status": "ok"}
    rows = [{**about, "kind": kind, "n": n, "value": n + i} for kind in "ab" for n in (2, 1) for i in range(3)]
    rows += [
        {**about, "kind": "a", "n": 1, "value": None},
        {**about, "kind": "a", "n": 1, "value": 9, "status": "failed"},
    ]
    assert curve(medians(rows, "m", "kind", "n"), kind="a") == {
        1: Estimate(2.0, NO_INTERVAL),
        2: Estimate(3.0, NO_INTERVAL),
    }
