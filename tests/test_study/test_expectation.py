"""Parts of a prediction that rows decide: medians, ratios and differences against bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.intervals import Interval
from pdae_sim.study import Declaration, Expectation, evaluate, median

WORLDS = range(9)


def rows(values, *, metric="n_eff", status="ok", **columns):
    """A row for each world."""
    return [
        {"metric": metric, "seed": seed, "condition": None, "value": float(value), "status": status, **columns}
        for seed, value in zip(WORLDS, values, strict=False)
    ]


def expecting(**said):
    """An expectation of n_eff unless told otherwise."""
    return Expectation(**{"that": "it is so", "metric": "n_eff", "of": {}, **said})


@pytest.mark.parametrize(
    ("bounds", "met"),
    [
        ({"at_least": 1.5}, True),
        ({"at_least": 9.0}, False),
        ({"at_least": 5.0}, None),
        ({"at_most": 8.5}, True),
        ({"at_least": 1.5, "at_most": 8.5}, True),
        ({"at_least": 1.5, "at_most": 6.0}, None),
        ({"at_most": 1.0}, False),
    ],
)
def test_the_interval_of_the_median_decides(bounds, met):
    found = expecting(**bounds).judge(rows(range(1, 10)))
    assert found.met is met
    assert found.estimates[()] == median(range(1, 10))
    assert found.estimates[()].interval == Interval(2.0, 8.0)
    assert found.seeds == 9


def test_few_worlds_leave_it_open_with_their_median():
    found = expecting(at_least=1.0).judge(rows([100.0] * 5))
    assert found.met is None
    assert found.estimates[()].value == 100.0


def test_a_ratio_is_taken_in_each_world():
    """The worlds differ by far more than the estimators do in any of them."""
    scale = [10.0**seed for seed in WORLDS]
    table = rows([3 * s for s in scale], estimator="a") + rows(scale, estimator="b")
    found = expecting(of={"estimator": "a"}, over={"estimator": "b"}, at_least=2.9, at_most=3.1).judge(table)
    assert found.met is True
    assert found.estimates[()].value == pytest.approx(3.0)


def test_a_difference_is_taken_at_each_condition():
    table = [
        row
        for condition, level in (("A+B", 1.0), ("A+C", 100.0))
        for name, extra in (("a", -0.5), ("b", 0.0))
        for row in rows([level + extra] * 9, estimator=name, condition=condition)
    ]
    expected = expecting(of={"estimator": "a"}, minus={"estimator": "b"}, at_most=0.0)
    assert expected.judge(table).met is True
    assert expected.judge(table).estimates[()].value == -0.5
    assert expecting(of={"estimator": "b"}, minus={"estimator": "a"}, at_most=0.0).judge(table).met is False


def test_worlds_with_other_conditions_are_compared_by_their_medians():
    """Held-out doubles are drawn anew in a world of another size."""
    table = rows([2.0] * 9, n=1, condition="A+B") + rows([4.0] * 9, n=1, condition="A+C")
    table += rows([12.0] * 9, n=2, condition="C+D") + rows([6.0] * 9, n=2, condition="A+B")
    found = expecting(of={"n": 2}, over={"n": 1}, at_least=1.0).judge(table)
    assert found.estimates[()].value == 3.0


def test_worlds_that_are_pooled_are_each_compared_with_themselves():
    table = [
        row
        for scenario, a, b in (("x", 9.0, 1.0), ("y", 90.0, 10.0), ("z", 50.0, 100.0))
        for name, value in (("a", a), ("b", b))
        for row in rows([value] * 9, estimator=name, scenario=scenario)
    ]
    expected = expecting(of={"estimator": "a"}, over={"estimator": "b"}, at_least=8.0)
    assert expected.judge(table).estimates[()].value == 9.0
    moved = [{**row, "scenario": "x", "design.cells": row["scenario"]} for row in table]
    assert expected.judge(moved).estimates[()].value == 9.0


@pytest.mark.parametrize("varied", ["together", "apart"])
def test_settings_that_vary_together_are_changed_together(varied):
    small, large = {"design.cells": 40, "latent.n_latents": 2}, {"design.cells": 80, "latent.n_latents": 5}
    told = rows([1.0] * 9, **small) + rows([3.0] * 9, **large)
    if varied == "apart":
        told += rows([2.0] * 9, **(large | {"latent.n_latents": 2})) + rows(
            [9.0] * 9, **(small | {"latent.n_latents": 5})
        )
    found = expecting(of={"design.cells": 80}, each=["latent.n_latents"], over={"design.cells": 40}, at_least=0.0)
    ratios = {group: estimate.value for group, estimate in found.judge(told).estimates.items()}
    assert ratios == ({(5,): 3.0} if varied == "together" else {(2,): 2.0, (5,): 3.0 / 9})


def test_another_scenario_is_compared_with_at_each_value_of_each_alone():
    table = [
        row
        for scenario, factor in (("x", 1.0), ("y", 3.0))
        for snr in (1.0, 10.0)
        for row in rows([factor * snr] * 9, scenario=scenario, **{"observation.snr": snr})
    ]
    expected = expecting(each=["scenario", "observation.snr"], over={"scenario": "x"}, at_least=1.0)
    found = expected.judge(table)
    assert {group: estimate.value for group, estimate in found.estimates.items()} == {("y", 1.0): 3.0, ("y", 10.0): 3.0}
    assert found.met is True


def test_a_worth_that_is_only_bounded_may_be_anything_above():
    table = [{**row, "high": None} for row in rows([150.0] * 9)]
    assert expecting(at_most=170.0).judge(table).met is None
    assert expecting(at_least=100.0).judge(table).met is True
    assert expecting(at_most=170.0).judge([{**row, "high": 160.0} for row in table]).met is True
    both = [{**row, "estimator": "a"} for row in table] + rows([100.0] * 9, estimator="b", high=120.0)
    assert expecting(of={"estimator": "a"}, over={"estimator": "b"}, at_most=2.0).judge(both).met is None
    assert expecting(of={"estimator": "b"}, over={"estimator": "a"}, at_most=0.7).judge(both).met is True


def test_another_condition_can_be_compared_with():
    table = rows([8.0] * 9, condition="A:3") + rows([2.0] * 9, condition="A")
    found = expecting(of={"condition": "A:3"}, over={"condition": "A"}, at_least=3.9).judge(table)
    assert found.estimates[()].value == 4.0


def test_another_metric_can_be_compared_with():
    table = rows([8.0] * 9) + rows([2.0] * 9, metric="mse")
    assert expecting(over={"metric": "mse"}, at_least=1.0).judge(table).estimates[()].value == 4.0


def test_every_group_must_be_as_expected_and_the_one_compared_with_is_none_of_them():
    table = [row for n, x in ((1, 1.0), (2, 2.0), (3, 6.0)) for row in rows([x] * 9, n=n)]
    expected = expecting(each=["n"], over={"n": 1}, at_least=1.5, at_most=3.0)
    found = expected.judge(table)
    assert found.verdicts == {(2,): True, (3,): False}
    assert found.met is False
    assert expected.judge(table[:-9]).met is True


def test_what_was_not_measured_is_open_with_a_reason():
    assert expecting(at_least=1.0).judge([]).reason == "it was not measured"
    table = rows([1.0] * 9, n=1)
    assert expecting(of={"n": 1}, minus={"n": 3}, at_least=1.0).judge(table).reason == "it was not measured"
    half = expecting(of={"n": [1, 2]}, each=["n"], at_least=0.5).judge(table)
    assert (half.met, half.reason) == (None, "n 2 was not measured")
    assert expecting(of={"n": [1, 2]}, each=["n"], at_least=2.0).judge(table).met is False


def test_one_zero_to_divide_by_leaves_the_other_groups_their_verdicts():
    about = {"metric": "mse"}
    table = rows([1.0] * 9, estimator="a", n=1, **about) + rows([1.0] * 8 + [0.0], estimator="b", n=1, **about)
    table += rows([1.0] * 9, estimator="a", n=2, **about) + rows([9.0] * 9, estimator="b", n=2, **about)
    asked = {"metric": "mse", "of": {"estimator": "a"}, "each": ["n"], "over": {"estimator": "b"}}
    found = expecting(**asked, at_least=1.0).judge(table)
    assert (found.met, found.verdicts) == (False, {(2,): False})
    assert found.reason == "1 is divided by what is not positive"
    assert expecting(**asked, at_most=1.0).judge(table).met is None


@pytest.mark.parametrize("bounds", [{"at_least": 1.0}, {"at_most": 3.0}])
def test_a_world_that_failed_counts_as_a_miss(bounds):
    good, bad = rows([2.0] * 9), rows([2.0] * 9, status="failed")
    assert expecting(**bounds).judge(good).met is True
    assert expecting(**bounds).judge(bad).met is False
    half = expecting(**bounds).judge(good[:5] + bad[5:])
    assert half.met is None
    assert half.estimates[()].value == 2.0
    assert any(map(math.isinf, half.estimates[()].interval))


@pytest.mark.parametrize(("bounds", "value"), [({"at_least": 100}, -math.inf), ({"at_most": 100}, math.inf)])
@pytest.mark.parametrize("whole", [True, False])
def test_a_failure_beside_a_worth_that_is_only_bounded_has_both_ends(bounds, value, whole):
    """Of the two conditions of a world one has no upper end and the other failed, alone or with its fit."""
    open_end = [{**row, "condition": "A+B", "high": None} for row in rows([200.0] * 9)]
    failed = [{**row, "condition": "A+C", "value": None, "status": "failed"} for row in rows([0.0] * 9)]
    failed = [{**row, "metric": None, "condition": None} for row in failed] if whole else failed
    found = expecting(**bounds).judge(open_end + failed)
    assert found.estimates[()].value == value
    assert found.estimates[()].interval == Interval(value, math.inf)
    one = expecting(**bounds).judge(open_end + failed[:1])
    assert one.estimates[()].value == 200.0
    assert one.verdicts[()] is ("at_least" in bounds)


def test_a_reference_that_failed_is_a_miss_too():
    table = rows([2.0] * 9, estimator="a") + rows([1.0] * 9, estimator="b", status="failed")
    assert expecting(of={"estimator": "a"}, over={"estimator": "b"}, at_most=3.0).judge(table).met is False


def failure(seed, **known):
    """The row of a fit or a world that failed as a whole."""
    return {"metric": None, "seed": seed, "value": None, "status": "failed", **known}


def test_a_fit_that_failed_is_a_miss_of_its_estimator_alone():
    table = rows([2.0] * 9, estimator="a") + rows([2.0] * 4, estimator="b")
    table += [failure(seed, estimator="b") for seed in range(4, 9)]
    assert expecting(of={"estimator": "a"}, at_least=1.0).judge(table).met is True
    assert expecting(of={"estimator": "b"}, at_least=1.0).judge(table).met is None
    assert expecting(of={"estimator": "a"}, over={"estimator": "b"}, at_most=3.0).judge(table).met is None
    assert expecting(of={"estimator": "b"}, at_least=1.0).judge(table).seeds == 9


def test_a_world_that_died_is_a_miss_of_its_group_even_where_nothing_of_it_is_left():
    table = rows([2.0] * 9, estimator="a", n=1) + [failure(seed, n=2) for seed in range(9)]
    expected = expecting(of={"estimator": "a"}, each=["n"], at_least=1.0)
    assert expected.judge(table).verdicts == {(1,): True, (2,): False}
    compared = expecting(of={"estimator": "a"}, each=["n"], over={"n": 2}, at_most=1.0)
    assert compared.judge(table).verdicts == {(1,): False}


def test_a_failure_of_what_was_not_asked_for_is_no_miss():
    table = [row for name in "abc" for row in rows([2.0] * 9, estimator=name)]
    table += [failure(seed, estimator="c") for seed in range(9)]
    expected = expecting(of={"estimator": ["a", "b"]}, each=["estimator"], at_least=1.0)
    assert expected.judge(table).verdicts == {("a",): True, ("b",): True}
    table = rows([2.0] * 9, n=1) + [failure(seed, scenario="another") for seed in range(9)]
    assert expecting(of={"n": 1}, at_least=1.0).judge(table).met is True


def test_failures_without_a_condition_are_misses_at_each():
    table = rows([2.0] * 9, estimator="a", condition="A+B")
    table += [failure(seed, estimator="b") for seed in range(9)]
    expected = expecting(of={"estimator": ["a", "b"]}, each=["estimator", "condition"], at_least=1.0)
    assert expected.judge(table).verdicts == {("a", "A+B"): True, ("b", "A+B"): False}
    dead = expecting(of={"estimator": ["a", "b"]}, each=["estimator"], at_least=1.0).judge(
        [failure(s) for s in range(9)]
    )
    assert (dead.verdicts, dead.failed) == ({("a",): False, ("b",): False}, 18)


def test_one_world_of_several_that_failed_is_one_miss_and_not_a_seed():
    table = [row for k in range(12) for row in rows([2.0] * 9, scenario=f"s{k}")]
    table += [failure(seed, scenario=f"t{seed}") for seed in range(9)]
    assert expecting(at_least=1.0).judge(table).met is True


def test_an_estimator_that_fails_to_predict_has_a_row_of_every_metric():
    class Broken:
        def fit(self, data):
            return self

        def sample(self, condition, n, *, rng=None):
            raise RuntimeError("no")

    x = np.random.default_rng(0).normal(size=(60, 2))
    data = PerturbationData.from_arrays(x, ["ctrl", "A", "B"] * 20, held_out=[False, False, True] * 20)
    found = evaluate({"broken": Broken()}, data, metrics=["energy_distance", "n_eff"], rng=0)
    failed = [(row["metric"], row["status"]) for row in found if row["estimator"] == "broken"]
    assert failed == [("energy_distance", "failed"), ("n_eff", "failed")]


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(random):
    table = [row for n in (1, 2) for row in rows(np.arange(9.0) * n + 1, n=n)]
    expected = expecting(each=["n"], at_least=2.0)
    first = expected.judge(table)
    random.shuffle(table)
    assert dict(expected.judge(table).verdicts) == dict(first.verdicts)
    assert dict(expected.judge(table).estimates) == dict(first.estimates)


SAID = {"name": "small", "question": "Does it?", "claim": "2.4", "prediction": "It does.", "estimators": ["additive"]}
SAID |= {"worlds": [{"base": "three-singles", "vary": {"design.cells": [40, 80]}}], "metrics": ["n_eff"]}


def declared(**said):
    return Declaration.parse({**SAID, "expect": [{"that": "it is", "metric": "n_eff", "of": {}, **said}]})


@pytest.mark.parametrize("expect", ["it is", [1], [None]])
def test_what_is_no_expectation_is_refused_in_a_line(expect):
    with pytest.raises(InputError) as refused:
        Declaration.parse({**SAID, "expect": expect})
    assert str(refused.value).startswith("expect")
    assert "\n" not in str(refused.value)


def test_a_ratio_of_what_may_be_negative_is_refused():
    with pytest.raises(InputError, match="energy_distance may be zero or below, so that it has no ratios; take"):
        Expectation.parse_all([{**PART, "metric": "energy_distance", "over": {"estimator": "b"}}])


def test_a_column_of_lists_is_refused():
    worlds = [{"base": "three-singles", "vary": {"design.train": [["ctrl", "A"], ["ctrl", "B"]]}}]
    with pytest.raises(InputError, match="takes lists"):
        Declaration.parse({**SAID, "worlds": worlds, "expect": [{**PART, "each": ["design.train"]}]})


PART = {"that": "it is", "metric": "n_eff", "of": {}, "at_least": 1}


def test_two_parts_of_one_name_are_refused():
    with pytest.raises(InputError, match="'it is' is expected twice"):
        Declaration.parse({**SAID, "expect": [PART, {**PART, "at_least": 2}]})


def test_a_declaration_carries_what_it_expects():
    declaration = declared(of={"design.cells": 40, "estimator": "additive"}, at_least=1.0)
    assert declaration.study().expect == declaration.expect
    assert declaration.study().ids == Declaration.parse(SAID).study().ids


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "give at_least, at_most or both"),
        ({"at_least": 2.0, "at_most": 1.0}, "at_least 2 is above at_most 1"),
        ({"at_least": float("nan")}, "expect.0: at_least: input should be a finite number"),
        ({"at_least": True}, "expect.0: at_least: input should be a valid number"),
        ({"at_leas": 1.0}, "expect.0: unknown key 'at_leas'; did you mean 'at_least'"),
        ({"at_least": 1.0, "of": {"condition": []}}, "condition must be a text or a number"),
        ({"at_least": 1.0, "of": {"condition": {"A": 1}}}, "condition must be a text or a number"),
        ({"at_least": 1.0, "over": {"condition": ["A"]}}, "or in `of` a list of them"),
        ({"at_least": 1.0, "of": {"seed": 99}}, "no row has seed 99"),
        ({"at_least": 1.0, "of": {"distance": float("inf")}}, "distance must be a text or a number"),
        (
            {"at_least": 1.0, "of": {"estimator": "additive"}, "over": {"estimator": "additive"}},
            "must change something",
        ),
        ({"at_least": 1.0, "over": {"metric": "n_eff"}}, "must change something"),
        ({"at_least": 1.0, "each": ["seed"]}, "each cannot hold seed"),
        ({"at_least": 1.0, "of": {"verdict": "suported"}}, "no row has verdict 'suported'"),
        ({"at_least": 1.0, "of": {"design.cells": True}}, "no row has design.cells True"),
        ({"at_least": 1.0, "over": {"seed": 1}, "minus": {"seed": 1}}, "one of the two"),
        ({"at_least": 1.0, "metric": "mmd"}, "the study does not measure 'mmd'; known: n_eff"),
        ({"at_least": 1.0, "of": {"estimator": "aditive"}}, "no row has estimator 'aditive'; did you mean 'additive'"),
        ({"at_least": 1.0, "of": {"design.cells": 60}}, "no row has design.cells 60"),
        ({"at_least": 1.0, "each": ["cells"]}, "rows have no column 'cells'"),
        ({"at_least": 1.0, "over": {"scenario": "four"}}, "no row has scenario 'four'"),
        ({"at_least": 1.0, "over": {"metric": "mse"}}, "the study does not measure 'mse'"),
    ],
)
def test_what_no_row_can_answer_is_refused_in_a_line(said, reason):
    with pytest.raises(InputError) as refused:
        declared(**said)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
