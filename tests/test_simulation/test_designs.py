"""Designs: the rank and the span that are planted against sympy, distinct labels, refusals; cells per environment."""

import json
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import strategies
from pdae_sim.analysis.span import check_span
from pdae_sim.errors import InputError
from pdae_sim.labels import LabelSpace
from pdae_sim.simulation.designs import (
    DESIGNS,
    Design,
    all_doubles,
    cell_counts,
    dose_grid,
    one_factor_at_a_time,
    planted,
    random_doses,
    singles,
    singles_and_doubles,
)
from pdae_sim.simulation.worlds import world

seeds = st.integers(0, 2**32 - 1)


def rank(rows):
    """Exactly, over the rationals."""
    table = [[sympy.Rational(Fraction(float(dose))) for dose in row] for row in rows]
    return sympy.Matrix(table).rank() if table else 0


def in_span(design):
    """(T,) whether each test label adds nothing to the rank, by sympy."""
    return [rank([*design.train, label]) == rank(design.train) for label in design.test]


class TestEveryDesign:
    @given(strategies.designs())
    def test_the_control_is_first_and_labels_differ(self, design):
        assert not design.train[0].any()
        assert len({tuple(label) for label in design.labels}) == len(design.labels)

    @given(strategies.designs())
    def test_train_comes_before_what_is_held_out(self, design):
        assert np.array_equal(design.labels[design.held_out], design.test)
        assert np.array_equal(design.labels[~design.held_out], design.train)

    @given(strategies.designs())
    def test_conditions_read_back_exactly(self, design):
        space = LabelSpace(tuple("ABCDEF"[: design.train.shape[1]]))
        conditions = design.conditions(space)
        assert conditions[0] == "ctrl"
        assert np.array_equal([space.vector(condition) for condition in conditions], design.labels)

    @given(strategies.designs())
    def test_doses_are_read_in_exact_arithmetic(self, design):
        assert all(c.arithmetic == "exact" for c in check_span(design.train, design.test))

    @given(strategies.designs())
    def test_what_is_planted_is_true(self, design):
        if design.planted is not None:
            assert design.planted.tolist() == in_span(design)

    @pytest.mark.parametrize(
        ("kind", "settings"),
        [
            ("random_doses", {"n_environments": 5, "n_test": 3}),
            ("planted", {"n_environments": 5, "rank": 2}),
            ("singles_and_doubles", {"n_doubles": 3, "n_held_out": 1}),
        ],
    )
    def test_chance_is_the_seed(self, kind, settings):
        first, again, other = (DESIGNS.make(kind, settings, n_perturbations=4, rng=seed).labels for seed in (0, 0, 1))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


class TestPlanted:
    @given(strategies.planted_designs())
    def test_the_rank_is_exact(self, design):
        assert rank(design.train) == design.rank

    @given(strategies.planted_designs())
    def test_the_span_is_as_planted_and_check_span_agrees(self, design):
        assert design.planted.tolist() == in_span(design)
        if len(design.test):
            assert [c.identified for c in check_span(design.train, design.test)] == in_span(design)

    @given(strategies.planted_designs())
    def test_a_flipped_plant_is_noticed(self, design):
        if len(design.test):
            assert (~design.planted).tolist() != in_span(design)

    @settings(max_examples=25)
    @given(strategies.planted_designs(max_in_span=1))
    def test_labels_in_the_span_are_integer_combinations(self, design):
        """Adding them does not refine the lattice of the training labels: the determinantal divisors stay."""
        r = design.rank
        for label in design.test[design.planted]:
            assert _divisor(design.train, r) == _divisor(np.vstack([design.train, label]), r)

    @pytest.mark.parametrize(("K", "M", "r"), [(1, 300, 1), (2, 400, 1), (100, 130, 90), (30, 200, 30)])
    def test_large_designs(self, K, M, r):
        design = planted(K, M, rank=r, n_in_span=20, n_out_of_span=20 * (r < K), rng=0)
        assert np.linalg.matrix_rank(design.train) == r
        assert np.abs(design.labels).max() <= 4
        if design.planted.any() and K <= 30:
            found = check_span(design.train, design.test)
            assert [c.identified for c in found] == design.planted.tolist()
            assert all(c.arithmetic == "exact" for c in found)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"rank": 4}, "rank must be at most min.* = 3; received 4"),
            ({"rank": 3}, "rank must be below n_perturbations = 3 for labels out of the span"),
            ({"rank": 0}, "rank 0 leaves the control alone"),
            ({"rank": -1}, "rank must be a whole number ≥ 0"),
            ({"rank": 1, "n_in_span": 10**5}, "too few different labels"),
        ],
    )
    def test_what_cannot_be_is_refused(self, arguments, message):
        with pytest.raises(InputError, match=message):
            planted(3, 5, **arguments)

    def test_nothing_but_the_control(self):
        design = planted(2, 0, rank=0, n_in_span=0, n_out_of_span=3, rng=0)
        assert design.train.tolist() == [[0.0, 0.0]]
        assert design.planted.tolist() == in_span(design) == [False] * 3


def _divisor(rows, r):
    """The greatest common divisor of all r × r minors, in units of 2^-10."""
    table = sympy.Matrix((2**10 * rows).astype(int).tolist())
    places = (combinations(range(size), r) for size in table.shape)
    return sympy.gcd_list([table[list(i), list(j)].det() for i, j in product(*places)])


class TestCombinations:
    def test_singles(self):
        design = singles(3)
        assert np.array_equal(design.train, np.vstack([np.zeros(3), np.eye(3)]))
        assert design.test.shape == (0, 3)

    @given(strategies.designs_of_doubles())
    def test_held_out_doubles_are_the_sum_of_trained_singles(self, design):
        assert design.planted.all()
        assert set(design.test.sum(1)) <= {2.0}
        assert rank(design.train) == design.train.shape[1]

    def test_given_pairs_are_kept(self):
        design = singles_and_doubles(4, pairs=[(0, 3), (2, 1)])
        assert design.train[5:].tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]

    def test_all_doubles(self):
        design = all_doubles(5, n_held_out=4, rng=0)
        assert (len(design.train), len(design.test)) == (1 + 5 + 10 - 4, 4)

    @given(seeds, st.integers(1, 4), st.integers(0, 3))
    def test_random_doses_are_of_the_orders_and_in_the_range(self, seed, least, more):
        orders = least, min(5, least + more)
        design = random_doses(5, 9, n_test=4, per_environment=orders, low=-0.5, high=0.75, step=0.25, rng=seed)
        counts = (design.labels[1:] != 0).sum(1)
        assert orders[0] <= counts.min() <= counts.max() <= orders[1]
        assert set(design.labels.ravel()) <= {-0.5, -0.25, 0.0, 0.25, 0.5, 0.75}
        assert (len(design.train), len(design.test)) == (10, 4)

    @pytest.mark.parametrize(
        "draw",
        [
            lambda taken: random_doses(3, 2, per_environment=2, low=1, high=1, step=1.0, taken=taken, rng=0),
            lambda taken: singles_and_doubles(3, n_doubles=2, taken=taken, rng=0),
        ],
    )
    def test_nothing_is_drawn_that_is_held_out_elsewhere(self, draw):
        out = [[1.0, 1.0, 0.0], [0.0, 0.0, 5.0]]
        assert {tuple(row) for row in draw(out).train[-2:]} == {(1.0, 0.0, 1.0), (0.0, 1.0, 1.0)}
        with pytest.raises(InputError, match="received 2"):
            draw([*out, [0.0, 1.0, 1.0]])
        with pytest.raises(InputError, match=r"taken must have shape \(M, 3\)"):
            draw([[1.0, 1.0]])

    @pytest.mark.parametrize(
        "kind",
        [
            'kind="random_doses", n_environments=2, per_environment=2, low=1, high=1, step=1.0',
            'kind="singles_and_doubles", n_doubles=2',
        ],
    )
    @pytest.mark.parametrize("seed", range(4))
    def test_a_world_draws_no_condition_that_it_holds_out(self, kind, seed):
        told = f'design={{{kind}, names=["A", "B", "C"], test=["A+B"], cells=5}}'
        data = world("doses", [told, "latent.n_perturbations=3"], seed=seed).simulate().data
        assert set(data.train.conditions[-2:]) == {"A+C", "B+C"}
        assert data.test.conditions == ("A+B",)

    def test_every_environment_that_exists_can_be_asked_for(self):
        design = random_doses(3, 3 * 4 + 8, n_test=6, per_environment=[1, 3], low=1, high=2, step=1.0, rng=0)
        assert len(design.labels) == 3**3

    def test_all_orders_occur(self):
        design = random_doses(6, 200, per_environment=(1, 6), rng=0)
        assert set((design.train != 0).sum(1)) == set(range(7))

    def test_one_factor_at_a_time(self):
        design = one_factor_at_a_time(2, levels=[0.5, -1])
        assert design.train.tolist() == [[0, 0], [0.5, 0], [0, 0.5], [-1, 0], [0, -1]]
        assert not np.signbit(design.train[design.train == 0]).any()

    def test_dose_grid(self):
        assert dose_grid(2, levels=[1]).train.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: singles(0), "n_perturbations must be a whole number ≥ 1"),
            (lambda: singles_and_doubles(3), "exactly one of pairs and n_doubles"),
            (lambda: singles_and_doubles(3, pairs=[], n_doubles=0), "exactly one of pairs and n_doubles"),
            (lambda: singles_and_doubles(3, n_doubles=4), "n_doubles must be at most .* = 3; received 4"),
            (lambda: singles_and_doubles(3, n_doubles=2, n_held_out=3), "n_held_out must be at most the 2 doubles"),
            (lambda: singles_and_doubles(3, pairs=[(0, 1), (1, 0)]), r"labels must differ; \[1.0, 1.0, 0.0\] occurs 2"),
            (lambda: singles_and_doubles(3, pairs=[(0, 3)]), r"two different indices below 3; received \(0, 3\)"),
            (lambda: singles_and_doubles(3, pairs=[(1, 1)]), "two different indices"),
            (lambda: one_factor_at_a_time(2, levels=[1.0, 0.0]), "levels must be different doses, none of them 0"),
            (lambda: one_factor_at_a_time(2, levels=[]), "levels must be different doses"),
            (lambda: dose_grid(60, levels=[1.0]), "the most is"),
            (lambda: random_doses(2, 5, per_environment=2, low=1, high=2, step=1.0), "only 4 different environments"),
            (lambda: random_doses(2, 1, per_environment=3), "up to K = 2"),
            (lambda: random_doses(2, 1, step=0.1), "step must be 2\\^-m"),
            (lambda: random_doses(2, 1, low=0.3, high=0.3), "no multiple of 0.125 but 0"),
            (lambda: random_doses(2, 1, low=np.nan), "low must be finite"),
        ],
    )
    def test_what_cannot_be_is_refused(self, make, message):
        with pytest.raises(InputError, match=message) as refusal:
            make()
        assert "\n" not in str(refusal.value)


class TestDesign:
    @pytest.mark.parametrize(
        ("train", "test", "planted", "message"),
        [
            ([], [], None, "train must hold at least one label"),
            ([[0.0], [1.0]], [[1.0]], None, "labels must differ"),
            ([[0.0], [0.0]], [], None, "labels must differ"),
            ([[0.0]], [[1.0, 2.0]], None, "test must have 1 columns"),
            ([[0.0]], [[1.0]], [True, False], r"planted must have shape \(1,\)"),
            ([[0.0], [np.nan]], [], None, "train must be finite"),
            ([0.0], [], None, "train must have shape"),
        ],
    )
    def test_bad_tables_are_refused(self, train, test, planted, message):
        with pytest.raises(InputError, match=message):
            Design(train, test, planted)

    def test_its_arrays_are_read_only(self):
        with pytest.raises(ValueError, match="read-only"):
            singles(2).train[0, 0] = 1.0


class TestMaking:
    def test_every_kind_from_plain_settings(self):
        given_settings = {
            "singles_and_doubles": {"pairs": [[0, 1]]},
            "one_factor_at_a_time": {"levels": [1, 2]},
            "dose_grid": {"levels": [1]},
            "random_doses": {"n_environments": 3, "per_environment": [1, 2]},
            "planted": {"n_environments": 3, "rank": 2},
        }
        for kind in DESIGNS:
            plain = json.loads(json.dumps(given_settings.get(kind, {})))
            assert DESIGNS.make(kind, plain, n_perturbations=3, rng=0).train.shape[1] == 3

    @pytest.mark.parametrize(
        ("kind", "settings", "message"),
        [
            ("single", {}, "design must be one of singles"),
            ("planted", {"n_environments": 3, "rnk": 1}, "planted: unknown setting 'rnk'; did you mean 'rank'"),
            ("planted", {"n_environments": 3}, "planted: the setting rank is required"),
            ("random_doses", {}, "random_doses: the setting n_environments is required"),
        ],
    )
    def test_bad_settings_are_refused(self, kind, settings, message):
        with pytest.raises(InputError, match=message):
            DESIGNS.make(kind, settings, n_perturbations=3)


class TestCellCounts:
    @given(st.integers(2, 30), st.integers(0, 4), st.integers(0, 500), st.floats(0, 5), seeds)
    def test_they_sum_to_the_total_and_none_is_below_the_least(self, E, least, more, spread, seed):
        total = E * (least + 1) + more
        counts = cell_counts(E, total=total, spread=spread, least=least, rng=seed)
        assert counts.sum() == total
        assert counts.min() >= least
        assert counts[0] == round(total / E)

    @given(st.integers(2, 30), st.integers(1, 1000))
    def test_without_spread_they_are_level(self, E, more):
        counts = cell_counts(E, total=E + more)
        assert counts[1:].max() - counts[1:].min() <= 1

    def test_the_control_gets_its_excess(self):
        assert cell_counts(10, total=1000, control_excess=4.0)[0] == 400
        assert cell_counts(1, total=7).tolist() == [7]

    @pytest.mark.statistical
    def test_the_logarithms_have_the_spread(self):
        n, spread = 2001, 0.7
        logs = np.log(cell_counts(n, total=10**8, spread=spread, rng=0)[1:])
        error = 5 * spread / np.sqrt(2 * (n - 1))
        assert abs(logs.std() - spread) < error < abs(logs.std() - 0.9)

    def test_a_tight_floor_is_met_exactly(self):
        assert cell_counts(5, total=50, spread=3.0, least=10, rng=0).tolist() == [10] * 5

    def test_those_above_the_floor_keep_their_proportions(self):
        free, lifted = (cell_counts(6, total=10**6, spread=1.0, least=least, rng=3)[1:] for least in (0, 90_000))
        above = lifted > 90_000
        assert 2 <= above.sum() < 5
        assert np.allclose(lifted[above] / lifted[above].sum(), free[above] / free[above].sum(), atol=1e-4)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"total": 3}, "every environment must get at least 1; total = 3 leaves 1 for the control and 2"),
            ({"total": 100, "control_excess": 5.0}, "leaves 125 for the control and -25"),
            ({"total": 100, "least": 26}, "at least 26"),
            ({"total": 100, "control_excess": 0.0}, "control_excess must lie strictly between"),
            ({"total": 100, "spread": 1e300}, "spread must be at most 100"),
            ({"total": 2.5}, "total must be a whole number"),
        ],
    )
    def test_what_cannot_be_is_refused(self, arguments, message):
        with pytest.raises(InputError, match=message):
            cell_counts(4, **arguments)

    def test_a_lone_control_has_no_excess(self):
        with pytest.raises(InputError, match="for the other 0"):
            cell_counts(1, total=10, control_excess=0.5)
