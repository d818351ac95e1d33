"""The figure of `twins`: every condition and p-value, an arrow between the means, many conditions thinned."""

from __future__ import annotations

import numpy as np
import pytest

from pdae_sim.errors import InputError
from pdae_sim.report import counterexample_figure
from tests.test_report.examples import TWINS
from tests.test_report.looks import words


def test_conditions_and_p_values_are_written(example):
    assert {*TWINS, "p = 0.4", "p = 0.001"} <= set(words(example("counterexample")))


def test_the_arrow_leads_from_mean_to_mean():
    x, shift = TWINS["A"][0], np.array([3.0, 0, 0, 0, 4.0])
    panel = counterexample_figure({"A": (x, x), "B": (x, x + shift)}).axes[-1]
    ends = [(note.xyann, note.xy) for note in panel.texts if note.get_text() == ""]
    assert ends
    assert all(np.allclose(np.subtract(end, start), [5.0, 0.0]) for start, end in ends)


def test_many_conditions_are_thinned_and_counted():
    cells = {f"P{i}": TWINS["A"] for i in range(30)} | {"A+C": TWINS["A+C"]}
    figure = counterexample_figure(cells)
    assert sum(axes.axison for axes in figure.axes) == 10
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert titles == ["9 of 30 training conditions: one law", "Unseen: two answers"]


def test_one_dimension_and_one_condition_are_enough():
    x = TWINS["A"][0][:, :1]
    figure = counterexample_figure({"ctrl": (x, x), "A+C": (x, x + 2)})
    assert figure.subfigs[0].get_suptitle() == "Training condition: one law"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"A+C": TWINS["A+C"]}, "training condition and the test"),
        ({"ctrl": (np.zeros((5, 2)), np.zeros((5, 3))), "A+C": TWINS["A+C"]}, "same columns"),
    ],
)
def test_what_cannot_be_drawn_is_refused(cells, message):
    with pytest.raises(InputError, match=message):
        counterexample_figure(cells)
