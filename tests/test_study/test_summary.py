"""Estimators compared over conditions: against tables of the distributions, and how often intervals hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pdae_sim.errors import InputError
from pdae_sim.study import summarise


def rows(metric="energy_distance", **values):
    return [
        {"condition": f"c{k}", "estimator": name, "metric": metric, "value": value}
        for name, own in values.items()
        for k, value in enumerate(own)
    ]


def by_name(table, metric="energy_distance"):
    return {each.estimator: each for each in summarise(table, metric)}


def test_numbers_are_those_of_the_tables():
    ours, other = by_name(rows(pdae=range(1, 11), pool=[5.5] * 10)).values()
    assert (ours.mean.value, ours.median.value) == (5.5, 5.5)
    error = 2.262157 * np.std(range(1, 11), ddof=1) / math.sqrt(10)  # Student, nine degrees of freedom
    assert ours.mean.interval == pytest.approx((5.5 - error, 5.5 + error), rel=1e-6)
    assert ours.median.interval == (2.0, 9.0)  # second of ten to the last but one: 97.9 %
    assert ours.wins.value == 5
    assert ours.wins.interval == pytest.approx((1.8709, 8.1291), rel=1e-4)  # Clopper and Pearson, 5 of 10
    assert (ours.mean_rank.value, other.mean_rank.value) == (1.5, 1.5)


def test_a_failure_is_last_and_counts_in_ranks_alone():
    table = by_name(rows(pdae=[0.1, None, 0.1], pool=[0.2, 0.2, 0.1], control=[None] * 3))
    assert list(table) == ["pool", "pdae"] or list(table) == ["pdae", "pool"]
    assert (table["pdae"].n_measured, table["pdae"].n_conditions, table["pdae"].mean.value) == (2, 3, 0.1)
    assert (table["pdae"].wins.value, table["pool"].wins.value) == (2, 2)  # both win a tie
    assert table["pdae"].mean_rank.value == pytest.approx((1 + 2.5 + 1.5) / 3)


def test_the_ceiling_is_no_rival_and_more_is_better_of_other_metrics():
    table = by_name(rows("pearson_delta", pdae=[0.5, 0.9], pool=[0.1, 0.2], ceiling=[1.0, 1.0]), "pearson_delta")
    assert list(table) == ["pdae", "pool", "ceiling"]
    assert (table["pdae"].wins.value, table["ceiling"].wins, table["ceiling"].mean_rank) == (2, None, None)


def test_two_conditions_have_no_interval_of_a_mean_and_ranks_end_where_they_end():
    assert by_name(rows(pdae=[0.3, 0.4]))["pdae"].mean.interval == (-math.inf, math.inf)
    three = by_name(rows(pdae=[0.1, 0.1, 0.9], pool=[0.2, 0.2, 0.2], control=[0.3, 0.3, 0.3]))["pdae"].mean_rank
    assert three.value == pytest.approx(5 / 3)
    assert three.interval == (1.0, 3.0)


def test_one_condition_has_no_interval_and_two_rows_of_one_are_refused():
    (only,) = summarise(rows(pdae=[0.3]))
    assert only.mean.interval == only.median.interval == (-math.inf, math.inf)
    assert summarise(rows(pdae=[0.3]), "mmd") == summarise([]) == []
    with pytest.raises(InputError, match="once at a condition"):
        summarise(rows(pdae=[0.3]) * 2)


@pytest.mark.statistical
def test_intervals_hold_what_they_are_of():
    rng, n, held = np.random.default_rng(0), 12, []
    for _ in range(500):
        ours, other = rng.normal(size=(2, n))
        summary = by_name(rows(pdae=ours, pool=other))["pdae"]
        truths = {"mean": 0.0, "median": 0.0, "wins": n / 2, "mean_rank": 1.5}
        held.append([value in getattr(summary, name).interval for name, value in truths.items()])
    assert (np.mean(held, axis=0) > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 500)).all()
