"""Numbers and names as text."""

from __future__ import annotations

import numpy as np
import pytest

from pdae_sim.report import format_value
from pdae_sim.report._format import as_float, truncated


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (np.nan, "–"),
        (np.inf, "∞"),
        (-np.inf, "−∞"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.012345, "0.0123"),
        (-1.5, "−1.50"),
        (1234.6, "1,235"),
        (9.999, "10.0"),
        (0.99999, "1.00"),
        (1234567, "1,234,567"),
        (-3, "−3"),
        (np.int64(5), "5"),
        (np.float32(0.5), "0.500"),
        (np.bool_(True), "yes"),
        (False, "no"),
        (0.00012, "0.000120"),
        (999_999.9, "1.00 × 10⁶"),
        (1.234e-7, "1.23 × 10⁻⁷"),
        (-2.5e9, "−2.50 × 10⁹"),
        ("A-B", "A-B"),
    ],
)
def test_numbers_read_as_they_should(value, text):
    assert format_value(value) == text


def test_long_names_end_in_an_ellipsis():
    assert [truncated("abcdef", n) for n in (6, 4)] == ["abcdef", "abc…"]


def test_what_is_no_number_is_nan():
    assert [as_float(value) for value in (1, 2.5, np.float32(3))] == [1.0, 2.5, 3.0]
    assert all(np.isnan(as_float(value)) for value in (None, "1", np.nan))
