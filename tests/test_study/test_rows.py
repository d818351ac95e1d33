"""Rows of failures: the same bytes from run to run, whatever object a message names."""

from __future__ import annotations

import pytest

from pdae_sim.study._rows import failed_row, measured_row, traceback_text


class Broken:
    """A thing whose text names its address in memory."""

    def measure(self):
        raise ArithmeticError(f"{object()!r} is broken")


@pytest.mark.parametrize("text", [lambda e: failed_row("mmd", e)["error"], traceback_text], ids=["row", "traceback"])
def test_errors_name_no_address(text):
    messages = set()
    kept = []  # objects that live at once have different addresses
    for _ in range(3):
        kept.append(object())
        messages.add(text(ValueError(f"{kept[-1]!r} is broken")))
    assert len(messages) == 1
    assert "0x…" in messages.pop()


def test_a_metric_that_fails_is_a_row():
    row = measured_row("mmd", Broken().measure)
    assert (row["metric"], row["status"], row["value"]) == ("mmd", "failed", None)
    assert row["error"] == "ArithmeticError: <object object at 0x…> is broken"
