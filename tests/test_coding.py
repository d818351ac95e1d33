"""Codes of repeated rows: against `numpy.unique`, and the same of dense, sparse and stored tables."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from pdae_sim._coding import by_appearance, factorize, factorize_rows, row_keys

TABLES = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 12), st.integers(0, 3)), elements=st.sampled_from([0.0, -0.0, 1.0, 0.5])
)


@given(TABLES)
def test_rows_are_restored_and_distinct(table):
    rows, codes = factorize_rows(table)
    assert np.array_equal(rows[codes], table)
    assert len(rows) == len(np.unique(table + 0.0, axis=0))
    assert not np.signbit(rows).any()
    assert codes.tolist() == by_appearance(codes)[1].tolist()  # codes go up in order of first appearance


@given(TABLES)
def test_sparse_rows_are_those_of_the_dense_table(table):
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        assert all(map(np.array_equal, factorize_rows(kind(table)), factorize_rows(table)))


def test_stored_zeros_and_repeated_entries_are_no_difference():
    entries = ([1.0, 0.0, 0.5, 0.5], [0, 1, 0, 0], [0, 2, 4])
    table = sparse.csr_array(entries, shape=(2, 2))
    rows, codes = factorize_rows(table)
    assert rows.tolist() == [[1.0, 0.0]]
    assert codes.tolist() == [0, 0]
    assert table.nnz == 4


def test_a_table_on_disk_is_read_block_by_block(tmp_path, monkeypatch):
    table = np.arange(12.0).reshape(6, 2)[[0, 1, 0, 5, 1, 0]]
    monkeypatch.setattr("pdae_sim._coding._BLOCK", 4)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        rows, codes = factorize_rows(file.create_dataset("t", data=table))
    assert np.array_equal(rows[codes], table)
    assert len(rows) == 3


@pytest.mark.parametrize("values", [[], ["b", "a", "b"], [(1, "x"), (1, "x")]])
def test_factorize(values):
    distinct, codes = factorize(values)
    assert [distinct[code] for code in codes] == values
    assert distinct == list(dict.fromkeys(values))


@given(TABLES)
def test_keys_are_equal_where_rows_are(table):
    keys = list(row_keys(table))
    assert factorize(keys)[1].tolist() == factorize_rows(table)[1].tolist()
    assert keys == list(row_keys(sparse.csr_array(table)))
    assert keys == list(row_keys(table.astype(np.float32)))
