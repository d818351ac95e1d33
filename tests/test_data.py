"""The records that flow: frozen, checked once, selected and permuted without change of meaning."""

import copy
import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from pdae_sim import strategies
from pdae_sim.data import PerturbationData, Truth
from pdae_sim.errors import InputError

X = np.arange(12.0).reshape(6, 2)
LABELS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.5]])
ENVIRONMENT = np.array([0, 0, 1, 1, 1, 2])


def made(**changes):
    fields = {
        "x": X,
        "labels": LABELS,
        "environment": ENVIRONMENT,
        "names": ("A", "B"),
        "held_out": [False, False, True],
    }
    return PerturbationData(**fields | changes)


class TestRecord:
    def test_it_answers_what_it_holds(self):
        data = made()
        assert data.conditions == ("ctrl", "A", "A+B:0.5")
        assert data.counts.tolist() == [2, 3, 1]
        assert data.reference == 0
        assert data.features == ("x0", "x1")
        assert data.samples(1).tolist() == X[2:5].tolist()

    def test_it_is_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            made().x = X

    @pytest.mark.parametrize("name", ["x", "labels", "environment", "held_out"])
    def test_its_arrays_are_read_only(self, name):
        with pytest.raises(ValueError, match="read-only"):
            getattr(made(), name)[0] = 1

    def test_the_callers_arrays_stay_writeable(self):
        x = X.copy()
        made(x=x)
        x[0] = 7

    def test_the_reference_is_the_zero_label_wherever_it_stands_else_the_first(self):
        assert made(labels=LABELS[[1, 0, 2]]).reference == 1
        assert made(labels=LABELS + np.array([0, 1])).reference == 0

    def test_a_sum_of_zero_is_not_the_reference(self):
        assert made(labels=[[1, -1], [0, 0], [1, 0]]).reference == 1

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_floats_keep_their_precision_and_integers_become_float64(self, dtype):
        assert made(x=X.astype(dtype)).x.dtype == dtype
        assert made(x=X.astype(int)).x.dtype == np.float64


class TestParts:
    def test_train_and_test_are_the_two_parts(self):
        data = made()
        assert data.train.conditions == ("ctrl", "A")
        assert data.test.conditions == ("A+B:0.5",)
        assert data.train.x.tolist() + data.test.x.tolist() == X.tolist()

    @given(st.data())
    def test_selecting_keeps_each_environments_cells_and_label(self, data):
        record = data.draw(strategies.perturbation_data())
        chosen = data.draw(st.lists(st.sampled_from(range(len(record.labels))), min_size=1, unique=True))
        part = record.select(chosen)
        assert part.conditions == tuple(record.conditions[e] for e in chosen)
        assert part.held_out.tolist() == record.held_out[chosen].tolist()
        for new, old in enumerate(chosen):
            assert np.array_equal(part.samples(new), record.samples(old))

    def test_a_mask_selects_like_its_indices(self):
        assert made().select(np.array([True, False, True])).conditions == made().select([0, 2]).conditions

    def test_nothing_held_out(self):
        assert "no environment is left, for every one is for training; mark each as train or test" in said(
            lambda: made(held_out=None).test
        )

    def test_everything_held_out(self):
        assert "every one is held out" in said(lambda: made(held_out=[True] * 3).train)


class TestSparse:
    """Sparse cells are the dense ones, and stay sparse until rows are asked for."""

    def both(self):
        x = np.where(np.arange(12) % 3 == 0, X.ravel(), 0.0).reshape(X.shape)
        return made(x=x), made(x=sparse.csc_matrix(x))

    def test_what_is_asked_for_is_dense(self):
        dense, lean = self.both()
        for rows in ([3, 0, 0], slice(1, 4), np.arange(6) % 2 == 0):
            assert np.array_equal(lean.gathered(rows), dense.gathered(rows))
        for e in range(3):
            assert np.array_equal(lean.samples(e), dense.samples(e))
        assert lean.stored.format == "csr"
        assert "x" not in vars(lean)

    def test_parts_stay_sparse(self):
        dense, lean = self.both()
        for part in ("train", "test"):
            assert getattr(lean, part).stored.format == "csr"
            assert np.array_equal(getattr(lean, part).x, getattr(dense, part).x)
        chosen = [5, 2, 0]
        assert np.array_equal(lean.rows(chosen).x, dense.rows(chosen).x)
        assert "x" not in vars(lean)

    def test_x_is_one_array_made_once(self):
        dense, lean = self.both()
        assert np.array_equal(lean.x, dense.x)
        assert lean.x is lean.x
        with pytest.raises(ValueError, match="read-only"):
            lean.x[0, 0] = 1
        assert np.array_equal(dataclasses.replace(lean, control="none").x, dense.x)

    def test_a_field_that_is_not_there_is_no_x(self):
        with pytest.raises(AttributeError, match="no attribute 'y'"):
            _ = self.both()[1].y

    def test_copies(self):
        lean = self.both()[1]
        for again in (copy.copy(lean), copy.deepcopy(lean)):
            assert np.array_equal(again.x, lean.x)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_what_is_not_finite_is_refused(self, value):
        x = sparse.csr_array(X)
        x.data[3] = value
        with pytest.raises(InputError, match="x must be finite"):
            made(x=x)


class TestFromArrays:
    @given(strategies.perturbation_data())
    def test_one_label_per_cell_gives_the_record_back(self, record):
        """Up to the order of the environments, which is that of first appearance."""
        held_out = record.held_out[record.environment]
        again = PerturbationData.from_arrays(
            record.x, record.labels[record.environment], names=record.names, held_out=held_out
        )
        assert set(again.conditions) == set(record.conditions)
        assert np.array_equal(again.labels[again.environment], record.labels[record.environment])
        assert np.array_equal(again.held_out[again.environment], held_out)
        assert list(dict.fromkeys(again.environment.tolist())) == list(range(len(again.labels)))

    @given(strategies.perturbation_data(), st.randoms(use_true_random=False))
    def test_permuting_the_cells_changes_no_environment(self, record, random):
        order = random.sample(range(len(record.x)), len(record.x))
        labels = record.labels[record.environment]
        again = PerturbationData.from_arrays(record.x[order], labels[order], names=record.names, no_control=True)
        for e, condition in enumerate(record.conditions):
            cells = again.samples(again.conditions.index(condition))
            assert sorted(cells.tolist()) == sorted(record.samples(e).tolist())

    def test_condition_strings(self):
        data = PerturbationData.from_arrays(X, ["ctrl", "A", "A+ctrl", "B:0.5+A", "A+B:0.5", "ctrl+A"])
        assert data.conditions == ("ctrl", "A", "A+B:0.5")
        assert data.counts.tolist() == [1, 3, 2]

    def test_condition_strings_in_the_order_of_given_names(self):
        data = PerturbationData.from_arrays(X[:2], ["ctrl", "A:2"], names=("B", "A"))
        assert data.labels.tolist() == [[0, 0], [0, 2]]

    def test_condition_strings_with_another_control(self):
        data = PerturbationData.from_arrays(X[:2], ["DMSO", "A"], control="DMSO")
        assert (data.names, data.conditions) == (("A",), ("DMSO", "A"))

    def test_fractions_and_default_names(self):
        data = PerturbationData.from_arrays(X[:2], np.array([[Fraction(1, 2), 0], [0, 0]], dtype=object))
        assert data.conditions == ("P0:0.5", "ctrl")

    def test_negative_zero_is_the_same_environment(self):
        assert len(PerturbationData.from_arrays(X[:2], [[0.0], [-0.0]]).labels) == 1

    def test_a_code_per_cell_is_a_label_per_cell(self):
        labels, codes = np.array([[0.5], [1.0], [0.0], [1.0], [7.0]]), [1, 0, 3, 2]
        coded = PerturbationData.from_codes(np.eye(4), codes, labels, held_out=[True, False, True, False])
        whole = PerturbationData.from_arrays(np.eye(4), labels[codes], held_out=[True, False, True, False])
        for name in ("labels", "environment", "held_out"):
            assert np.array_equal(getattr(coded, name), getattr(whole, name))
        assert coded.labels.tolist() == [[1.0], [0.5], [0.0]]  # equal rows are one, and unused ones none

    def test_sparse_labels(self):
        labels = sparse.csr_array([[0.0, 0.5], [0.0, 0.0], [0.0, 0.5]])
        data = PerturbationData.from_arrays(np.eye(3), labels)
        assert data.conditions == ("P1:0.5", "ctrl")
        assert data.counts.tolist() == [2, 1]

    @pytest.mark.parametrize("codes", [[0, 2], [-1, 0], [0], [[0, 0]]])
    def test_codes_out_of_place_are_refused(self, codes):
        with pytest.raises(InputError, match=r"codes must lie|labels must have one row per row"):
            PerturbationData.from_codes(np.eye(2), codes, [[0.0], [1.0]])

    def test_a_condition_in_train_and_test_is_refused(self):
        message = said(lambda: PerturbationData.from_arrays(X[:3], ["ctrl", "A", "A"], held_out=[False, True, False]))
        assert "both train and test samples; a test condition is unseen" in message


class TestErrors:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"x": X[0]}, "x and labels must be matrices"),
            ({"names": ("A",)}, r"labels must have one column per name \(1\); received 2"),
            ({"environment": ENVIRONMENT[:-1]}, "environment must hold 6 integers"),
            ({"environment": ENVIRONMENT.astype(float)}, "environment must hold 6 integers; received float64"),
            ({"environment": ENVIRONMENT + 1}, "environment must lie in 0 … 2; received 3"),
            ({"environment": np.minimum(ENVIRONMENT, 1)}, r"environment 2 \(A\+B:0.5\) has no sample"),
            ({"labels": LABELS[[0, 1, 1]]}, "two environments have the same label"),
            ({"labels": LABELS * np.nan}, "labels must be finite; 6 of 6 values are not"),
            ({"x": np.where(X == 5, np.nan, X)}, r"x must be finite; 1 of 12 values are not, the first at \(2, 1\)"),
            ({"held_out": [True]}, "held_out needs one value per environment"),
            ({"features": ("g",)}, "features one name per column of x"),
            ({"names": ("A", "A")}, "perturbation names must differ"),
        ],
    )
    def test_the_argument_is_named(self, changes, message):
        with pytest.raises(InputError, match=message):
            made(**changes).conditions  # noqa: B018

    def test_a_negative_environment_is_shown(self):
        assert "-1" in said(lambda: made(environment=ENVIRONMENT - 1))

    @pytest.mark.parametrize(
        ("labels", "fields", "message"),
        [
            ([[0.0]], {}, "labels must have one row per row of x"),
            ([0.0, 1.0], {}, r"labels must be conditions as texts, or doses \(n, K\)"),
            ([[0.0], [np.nan]], {}, "labels must be finite"),
            (["ctrl", "A:x"], {}, "malformed dose 'x'"),
            (["ctrl", float("nan")], {}, "labels must all be texts, or all doses; received nan among texts"),
            (["ctrl", 3], {}, "received 3 among texts"),
            ([[0.0], [1.0]], {"held_out": [True]}, "held_out"),
        ],
    )
    def test_bad_labels(self, labels, fields, message):
        with pytest.raises(InputError, match=message):
            PerturbationData.from_arrays(X[:2], labels, **fields)

    def test_an_empty_choice_is_refused(self):
        assert "no environment" in said(lambda: made().select([]))


class TestTruth:
    @given(strategies.latent_models())
    def test_the_isotropic_form_is_white_and_moves_alike(self, model):
        base = np.random.default_rng(0).normal(size=(5, model.n_latents))
        truth = Truth(base + 1, base, model.perturbation_matrix, model.covariance).isotropic()
        R = Truth(base, base, model.perturbation_matrix, model.covariance).whitening
        size = np.linalg.cond(model.covariance) * 1e-13
        assert np.allclose(R @ model.covariance @ R.T, np.eye(len(R)), atol=size)
        assert np.allclose(truth.z - truth.z_base, np.ones_like(base) @ R.T, atol=1e-9)
        assert np.allclose(truth.perturbation_matrix, R @ model.perturbation_matrix)


def said(call):
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)
