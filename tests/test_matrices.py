"""Cells that are dense or sparse: what is held, what is copied, what is refused."""

import numpy as np
import pytest
from scipy import sparse

from pdae_sim._matrices import as_matrix, checked_matrix, dense, finite_matrix, freeze
from pdae_sim.errors import InputError

X = np.array([[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]])
KINDS = (sparse.csr_array, sparse.csc_matrix, sparse.coo_array, sparse.csr_matrix)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_sparse_of_any_kind_is_compressed_rows(kind, dtype):
    x = as_matrix(kind(X.astype(dtype)))
    assert x.format == "csr"
    assert x.dtype == (dtype if dtype != np.int64 else np.float64)
    assert np.array_equal(dense(x), X)


def test_what_is_in_order_is_not_copied():
    rows = sparse.csr_array(X)
    assert np.shares_memory(as_matrix(rows).data, rows.data)
    assert as_matrix(X) is X


def test_stored_zeros_and_repeats_are_gone_and_the_callers_matrix_is_as_it_was():
    rows = sparse.csr_array(([1.0, 0.0, 2.0, 3.0], [0, 1, 2, 2], [0, 2, 4]), shape=(2, 3))
    x = as_matrix(rows)
    assert (x.nnz, rows.nnz) == (2, 4)
    assert dense(x).tolist() == [[1, 0, 0], [0, 0, 5]]


def test_frozen_rows_are_read_only_and_the_callers_are_not():
    rows = sparse.csr_array(X)
    with pytest.raises(ValueError, match="read-only"):
        freeze(rows).data[0] = 1
    rows.data[0] = 7.0
    assert dense(freeze(rows))[0, 1] == 7.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_place_of_a_value_that_is_not_finite_is_told_as_of_an_array(value):
    bad = X.copy()
    bad[1, 2] = value
    said = []
    for x in (bad, sparse.csr_array(bad)):
        with pytest.raises(InputError) as error:
            finite_matrix("x", x)
        said.append(str(error.value))
    assert said[0] == said[1] == "x must be finite; 1 of 6 values are not, the first at (1, 2)"


@pytest.mark.parametrize("x", [X, X.astype(np.float32), sparse.csr_array(X), sparse.csc_array(X)])
def test_columns_are_counted(x):
    assert np.array_equal(dense(checked_matrix("x", x, names="abc")), X)
    with pytest.raises(InputError, match="x must have 2 columns; received 3"):
        checked_matrix("x", x, names="ab")
