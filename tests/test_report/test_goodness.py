"""The figure of `evaluate --goodness`: what is told apart is marked, in its part and at its condition."""

from __future__ import annotations

import pytest

from pdae_sim.analysis.hypothesis_tests.goodness import ModelPart
from pdae_sim.errors import InputError
from pdae_sim.report import PREDICTED, goodness_figure
from tests.test_report.examples import GOODNESS
from tests.test_report.looks import lines


def test_what_is_told_apart_is_marked(example):
    figure = example("goodness")
    (cross,) = lines(figure, marker="X")
    assert cross.get_color() == PREDICTED
    assert cross.get_xdata()[0] == GOODNESS.parts[ModelPart.TRANSPORT].tests.p_values["A"]
    colours = {text.get_text().split(":")[0]: text.get_color() for text in figure.axes[0].texts}
    assert set(colours) == set(ModelPart)
    assert [part for part, colour in colours.items() if colour == PREDICTED] == [ModelPart.TRANSPORT]


def test_thresholds_are_where_holms_method_stops(example):
    drawn = [line.get_xdata()[0] for line in lines(example("goodness"), linestyle="--", linewidth=1.0)[:4]]
    assert drawn == [GOODNESS.threshold(part) for part in ModelPart]


def test_features_fitted_worst_are_captioned_with_their_faults(example):
    figure = example("goodness and observation")
    captions = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert [caption.split("\n")[1] for caption in captions] == [
        "too many zeros", "under-dispersed", "over-dispersed", "above the model's mean",
    ]  # fmt: skip
    assert not any(feature in caption for caption in captions for feature in ("CD8", "CD4"))


def test_a_level_is_a_probability():
    with pytest.raises(InputError, match="level must lie strictly"):
        goodness_figure(GOODNESS, level=1.0)
