"""Plans of experiments against brute force over every set of candidates, and cells against their closed form."""

import json
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim.analysis.design import _singles_and_doubles, allocate_cells, plan_experiments
from pdae_sim.cli._app import run
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from theory.identifiability.span import least_gain, noise_gain, shift_gain, solve_span

ZERO, A, B, C = [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]
AB, AC, BC, ABC = [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]


def measured(plan):
    return [e.label.tolist() for e in plan.experiments]


def identifies(train, added, target):
    return solve_span([*train, *added], target, train[0]).identified


@st.composite
def problems(draw):
    """Distinct training labels, the control first, targets and candidates on three perturbations."""
    label = st.tuples(*[st.integers(-1, 2)] * 3)
    train = draw(st.lists(label.filter(any), max_size=2, unique=True))
    targets = draw(st.lists(label, min_size=1, max_size=3, unique=True))
    candidates = draw(st.lists(label, max_size=5, unique=True))
    return [(0, 0, 0), *train], targets, candidates


def brute_force(train, targets, candidates):
    """The least number of candidates that identify all the targets that can be, by the witness's exact solver."""
    reachable = [t for t in targets if identifies(train, candidates, t)]
    for size in range(len(candidates) + 1):
        sets = [s for s in combinations(candidates, size) if all(identifies(train, s, t) for t in reachable)]
        if sets:
            return reachable, size, sets
    raise AssertionError


class TestAgainstBruteForce:
    @settings(max_examples=30)
    @given(problems())
    def test_no_fewer_experiments_do_and_these_do(self, problem):
        train, targets, candidates = problem
        plan = plan_experiments(train, targets, candidates=candidates)
        reachable, size, _ = brute_force(train, targets, [c for c in candidates if c not in train])
        assert len(plan.experiments) == size
        assert plan.optimal
        assert plan.least <= size
        added = measured(plan)
        assert [t for k, t in enumerate(targets) if k not in plan.unreachable] == reachable
        assert [c.identified for c in plan.certificates] == [identifies(train, added, t) for t in targets]
        assert plan.identified == tuple(k for k, t in enumerate(targets) if identifies(train, (), t))

    @settings(max_examples=15)
    @given(problems())
    def test_of_the_smallest_sets_it_has_the_least_gain(self, problem):
        train, targets, candidates = problem
        plan = plan_experiments(train, targets, candidates=candidates)
        reachable, _, sets = brute_force(train, targets, [c for c in candidates if c not in train])
        gains = []
        for added in sets:
            rows = [*train, *added]
            gains.append(sum(float(noise_gain(least_gain(rows, t, train[0]))) for t in reachable))
        assert plan.noise_gain == pytest.approx(min(gains))

    @settings(max_examples=30)
    @given(problems())
    def test_without_search_it_is_still_enough_and_minimal_and_within_its_bound(self, problem):
        train, targets, candidates = problem
        plan = plan_experiments(train, targets, candidates=candidates, max_sets=0)
        reachable, size, _ = brute_force(train, targets, [c for c in candidates if c not in train])
        added = measured(plan)
        assert all(identifies(train, added, t) for t in reachable)
        for left_out in added:
            rest = [c for c in added if c != left_out]
            assert not all(identifies(train, rest, t) for t in reachable)
        assert size <= len(added) <= max(len(targets), 1) * size
        assert len(added) == size or not plan.optimal

    @settings(max_examples=30)
    @given(problems())
    def test_the_order_settles_what_it_says_when_it_says(self, problem):
        train, targets, candidates = problem
        plan = plan_experiments(train, targets, candidates=candidates)
        added, known = measured(plan), set(plan.identified)
        for k, experiment in enumerate(plan.experiments):
            now = {t for t, target in enumerate(targets) if identifies(train, added[: k + 1], target)}
            assert now - known == set(experiment.identifies)
            known |= now
            without = [c for c in added if c != added[k]]
            assert all(not identifies(train, without, targets[t]) for t in experiment.needed_by)


class TestByHand:
    def test_neither_single_helps_alone(self):
        plan = plan_experiments([ZERO], [AB])
        assert measured(plan) == [A, B]
        assert [e.identifies for e in plan.experiments] == [(), (0,)]
        assert (plan.least, plan.optimal) == (1, True)

    def test_a_double_and_a_single_beat_three_singles(self):
        assert len(measured(plan_experiments([ZERO], [ABC]))) == 2

    def test_of_two_targets_the_nearer_to_done_goes_first(self):
        plan = plan_experiments([ZERO, A], [BC, AB], candidates=[B, C])
        assert measured(plan) == [B, C]
        assert [e.identifies for e in plan.experiments] == [(1,), (0,)]

    def test_what_is_measured_needs_nothing(self):
        plan = plan_experiments([ZERO, A, B], [AB])
        assert (plan.experiments, plan.identified, plan.optimal, plan.method) == ((), (0,), True, "nothing to add")

    def test_less_noise_decides_between_sets_of_one_size(self):
        """B itself or twice its dose identify A+B alike; a double dose halves the weight."""
        plan = plan_experiments([ZERO, A], [AB], candidates=[B, [0, 2, 0]])
        assert measured(plan) == [[0, 2, 0]]

    def test_then_support_decides(self):
        """A+B is A + B − ctrl or A − (−B) at one gain; B lies near it in a world where B moves far."""
        minus_b, W = [0, -1, 0], np.diag([1.0, 5, 1])
        arguments = {"train_labels": [ZERO, A], "targets": [AB], "candidates": [minus_b, B]}
        blind, seeing = plan_experiments(**arguments), plan_experiments(**arguments, perturbation_matrix=W)
        assert (measured(blind), blind.distances) == ([minus_b], None)
        assert (measured(seeing), seeing.distances.tolist()) == ([B], [1.0])
        assert blind.noise_gain == seeing.noise_gain == 3

    def test_more_cells_of_the_new_conditions_less_noise(self):
        few, many = (plan_experiments([ZERO, A], [AB], counts=[100, 100], cells=n).noise_gain for n in (10, 1000))
        assert few == pytest.approx(0.01 + 0.01 + 0.1)
        assert many == pytest.approx(0.01 + 0.01 + 0.001)

    def test_the_default_candidates_leave_out_targets_and_what_is_measured(self):
        offered = _singles_and_doubles(np.array([ZERO, A]), np.array([ABC, AB])).tolist()
        assert sorted(offered) == sorted([B, C, AC, BC])

    def test_doses_of_the_target_are_those_of_the_candidates(self):
        half = Fraction(1, 2)
        assert measured(plan_experiments([ZERO, A], [[1, half, 0]])) == [[0, half, 0]]

    def test_a_target_out_of_reach_says_why_and_the_rest_is_planned(self):
        plan = plan_experiments([ZERO, A], [AB, AC], candidates=[B])
        assert (measured(plan), plan.unreachable) == ([B], (1,))
        assert plan.certificates[1].witness.tolist() == [0, 0, 1]

    def test_a_tiny_dose_is_enough_and_a_wrong_one_is_not(self):
        """The negative control of exactness: a float rank would call the first useless or the second useful."""
        assert measured(plan_experiments([ZERO, A], [AB], candidates=[[0, Fraction(1, 10**9), 0]]))
        assert plan_experiments([ZERO, A], [AB], candidates=[[0, 1, Fraction(1, 10**9)]]).unreachable == (0,)

    def test_many_perturbations_in_reasonable_time_say_what_they_guarantee(self):
        plan = plan_experiments([[0] * 9], [[1] * 9, [1, 1, 1] + [0] * 6])
        assert not plan.optimal
        assert all(c.identified for c in plan.certificates)
        assert "times the fewest" in plan.method


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"targets": []}, "targets must be labels of 3 doses, at least one"),
            ({"targets": [[1, 1]]}, "targets must be labels of 3 doses"),
            ({"candidates": [[1, 1]]}, "candidates must have 3 columns"),
            ({"targets": [[np.pi, 0, 0]]}, "must be exact doses"),
            ({"targets": [[np.nan, 0, 0]]}, "targets must hold finite numbers"),
            ({"counts": [1]}, "counts must be 2 whole numbers"),
            ({"train_labels": [ZERO, A, A]}, r"rows 1 and 2 are one condition, \[1, 0, 0\]; merge"),
            ({"perturbation_matrix": np.eye(2)}, "perturbation_matrix must have 3 columns"),
            ({"cells": 0}, "cells must be a whole number ≥ 1"),
            ({"max_sets": -1}, "max_sets must be a whole number ≥ 0"),
            ({"reference": [5, 5, 5]}, "reference must be one of the training rows"),
        ],
    )
    def test_the_argument_is_named(self, arguments, message):
        with pytest.raises(InputError, match=message):
            plan_experiments(**{"train_labels": [ZERO, A], "targets": [ABC]} | arguments)


class TestCells:
    weights = st.lists(st.integers(-4, 4), min_size=1, max_size=5)

    @given(weights, st.sampled_from([0.5, 0.1, 0.03]), st.data())
    def test_the_wanted_error_is_met_with_hardly_a_cell_to_spare(self, alpha, s, data):
        alpha = [0, *alpha]
        existing = data.draw(st.lists(st.integers(0, 5000), min_size=len(alpha), max_size=len(alpha)))
        found = allocate_cells(alpha, 0, standard_error=s, existing=existing)
        assert found.standard_error <= s * (1 + 1e-9)
        assert (found.cells == np.array(existing) + found.added).all()
        assert (found.added >= 0).all()
        used = [k for k, a in enumerate(alpha) if a and k]
        if sum(alpha) and used:
            gain = float(shift_gain([alpha[k] for k in used], [int(found.cells[k]) for k in used], int(found.cells[0])))
            assert found.standard_error**2 == pytest.approx(gain)
        if found.added.sum() > len(alpha):
            fewer = found.cells - (found.added > 0)
            c = np.abs(np.array(alpha, dtype=float))
            c[0] = abs(sum(alpha))
            short = fewer[c > 0]
            assert (short == 0).any() or (c[c > 0] ** 2 / short).sum() >= s**2 * (1 - 1e-9)

    @given(weights.filter(any), st.data())
    def test_no_other_allocation_of_as_many_cells_is_better(self, alpha, data):
        alpha = np.array([0, *alpha], dtype=float)
        c = np.abs(alpha)
        c[0] = abs(alpha.sum())
        found = allocate_cells(alpha, 0, standard_error=0.01)
        used = np.flatnonzero(c)
        other = np.array([data.draw(st.floats(0.1, 1)) for _ in used])
        other *= c.sum() ** 2 / 0.01**2 / other.sum()
        assert (c[used] ** 2 / other).sum() >= 0.01**2 * (1 - 1e-9)
        assert found.cells.sum() <= c.sum() ** 2 / 0.01**2 + len(c)

    def test_by_hand(self):
        assert allocate_cells([0, 1, 1], 0, standard_error=0.1).cells.tolist() == [800, 400, 400]
        assert allocate_cells([0, 1, -1], 0, standard_error=0.1).cells.tolist() == [0, 200, 200]
        assert allocate_cells([0, 1, 1], 0, standard_error=0.1, existing=[10**6, 0, 0]).added[1:].tolist() == [201, 201]
        assert not allocate_cells([0, 1, 1], 0, standard_error=0.1, existing=[10**4] * 3).added.any()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"standard_error": 0}, "standard_error must lie strictly between 0.0 and inf"),
            ({"coefficients": [0, np.nan]}, "coefficients must be finite"),
            ({"reference": 7}, "reference a row"),
            ({"existing": [1]}, "existing must be 2 numbers of cells"),
            ({"existing": [1, -1]}, "existing must be 2 numbers of cells"),
        ],
    )
    def test_the_argument_is_named(self, arguments, message):
        with pytest.raises(InputError, match=message):
            allocate_cells(**{"coefficients": [0, 1], "reference": 0, "standard_error": 0.1} | arguments)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Control, A and B with 50 cells each, and C in a label space of three."""
    path = tmp_path_factory.mktemp("design") / "d.h5ad"
    labels = np.repeat([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], 50, axis=0)
    PerturbationData.from_arrays(np.ones((150, 2)), labels, names=["A", "B", "C"]).write(path)
    return path


def ran(capsys, *arguments):
    capsys.readouterr()
    status = run(["design", *(str(a) for a in arguments)])
    return status, *capsys.readouterr()


class TestCommandLine:
    def test_the_plan_as_json(self, file, capsys):
        status, out, _ = ran(capsys, file, "--target", "A+C", "--target", "A+B", "--json", "--quiet")
        result = json.loads(out)
        assert status == 0
        assert [e["condition"] for e in result["experiments"]] in (["C"], ["B+C"])
        assert result["experiments"][0]["identifies"] == ["A+C"]
        assert [t["identified_before"] for t in result["targets"]] == [False, True]
        assert (result["least"], result["optimal"], result["cells_to_add"]) == (1, True, None)

    def test_cells_for_a_wanted_error(self, file, capsys):
        arguments = (file, "--target", "A+C", "--candidate", "C", "--standard-error", "0.1", "--json", "--quiet")
        assert json.loads(ran(capsys, *arguments)[1])["cells_to_add"] == {"ctrl": 750, "A": 350, "C": 400}

    def test_the_plan_in_words(self, file, capsys):
        status, out, _ = ran(capsys, file, "--target", "A+C", "--candidate", "C", "--standard-error", "0.1", "--quiet")
        assert status == 0
        assert "A+C = A + C − ctrl" in out
        assert "Cells to add" in out

    def test_out_of_reach_is_a_failed_check(self, file, capsys):
        status, out, _ = ran(capsys, file, "--target", "A+C", "--candidate", "A+B", "--json", "--quiet")
        assert status == 1
        assert json.loads(out)["targets"][0]["witness"] == {"C": 1.0}

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["{f}"], "--target"),
            (["{f}", "--target", "A+Z"], "--target: unknown perturbation 'Z'"),
            (["{f}", "--target", "A+C", "--candidate", "Z"], "--candidate: unknown perturbation 'Z'"),
            (["{f}", "--target", "A+C", "--cells", "0"], "--cells"),
            (["{f}", "--target", "A+C", "--standard-error", "-1"], "standard_error"),
            (["{f}.no", "--target", "A+C"], ".no"),
        ],
    )
    def test_bad_input_is_one_line_with_status_two(self, file, capsys, arguments, words):
        status, out, err = ran(capsys, *(a.format(f=file) for a in arguments))
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert words in err


@pytest.mark.parametrize("weight", [1e-4, 1e-6, 1e-12])
def test_a_condition_of_hardly_any_weight_has_a_cell(weight):
    found = allocate_cells([0, weight, 1], 0, standard_error=1e3)
    assert found.cells.tolist() == [1, 1, 1]
