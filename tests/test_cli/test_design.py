"""`design`: figures, and one line for bad input."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_cli.calls import PNG, answer, ran, refusal, write_table


def test_pictures_of_the_plan_and_of_the_cells(singles, tmp_path, capsys):
    place = tmp_path / "plan.png"
    arguments = ("design", singles, "--target", "A+B", "--figure", place)
    assert answer(capsys, *arguments)["figures"] == [str(place)]
    found = answer(capsys, *arguments, "--standard-error", "0.2", "--force")
    assert found["figures"] == [str(place)]
    assert all(Path(path).read_bytes().startswith(PNG) for path in found["figures"])
    assert found["cells_to_add"] == {"ctrl": 120, "A": 20, "B": 100}


def test_without_a_picture_none_is_drawn(singles, capsys):
    assert answer(capsys, "design", singles, "--target", "A+B")["figures"] == []


def test_a_target_that_nothing_offered_identifies_has_two_ways_out(tmp_path, capsys):
    file = write_table(tmp_path / "a.h5ad", 0.0, labels=((0, 0), (1, 0)))
    status, out, _ = ran(capsys, "design", file, "--target", "B")
    assert status == 1
    assert "no candidates identify B: measure it, or offer others with --candidate" in out
    status, out, _ = ran(capsys, "design", file, "--target", "B", "--candidate", "A+B")
    assert status == 0
    assert "no candidates" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{s}", "--target", "A+B", "--standard-error", "-1"], ["singles.h5ad: --standard-error: ", "-1.0"]),
        (["{s}", "--target", "A:x"], ["singles.h5ad: --target: malformed dose 'x'", "write a finite number"]),
        (["{s}", "--target", "A+B", "--figure", "p.svg"], ["p.svg: --figure must end in .png"]),
        (["{s}", "--target", "A+B", "--figure", "{s}.d/p.png"], ["cannot write in folder"]),
        (["{s}", "--target", "A+B", "--model", "{s}.d"], ["singles.h5ad", "not a complete model directory"]),
        (["{t}", "--target", "A+B"], ["thirds.h5ad: ", "must be exact doses; round them to 12 digits"]),
    ],
)
def test_bad_input_is_one_line_with_status_two(tmp_path, singles, capsys, arguments, words):
    thirds = write_table(tmp_path / "thirds.h5ad", 0.0, labels=((0, 0), (1 / 3, 0)))
    err = refusal(capsys, "design", *(a.format(s=singles, t=thirds) for a in arguments))
    assert all(word in err for word in words)
