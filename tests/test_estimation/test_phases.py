"""Phases: what cannot learn, what is unknown and what does not go together is refused by name."""

from __future__ import annotations

import pytest

from pdae_sim import PDAE
from pdae_sim.errors import InputError
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.phases import Phase


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "steps need a term with a weight above 0"),
        ({"weights": {"prior": 1.0}, "learns": ()}, "and a part that learns"),
        ({"weights": {"density_ratio": 1.0}, "learns": ("decoder",)}, "of which none learns"),
        ({"steps": 0, "learns": (), "whiten": True}, "whiten needs a part that learns"),
        ({"weights": {"perturbation": 1.0}, "held_out": 0.6}, "held_out must be between 0 and 0.5; received 0.6"),
    ],
)
def test_phases_that_cannot_learn_are_refused(fields, words):
    with pytest.raises(InputError, match=words):
        PDAE(2, phases=[Phase("p", **{"steps": 3, **fields})])


def test_unknown_terms_and_parts_list_near_misses():
    with pytest.raises(InputError, match="did you mean 'perturbation'"):
        Phase("p", 1, {"pertubation": 1.0})
    with pytest.raises(InputError, match="did you mean 'decoder'"):
        Phase("p", 1, {}, ("decodr",))


def test_a_plan_with_a_chart_needs_an_encoder_with_one():
    with pytest.raises(InputError, match="trains a chart; set Architecture"):
        PDAE(2, architecture=Architecture(charted=False))


def test_a_phase_by_cells_takes_as_many_and_no_more_than_some_hundreds():
    phase = Phase("p", 1, {"density_ratio": 1.0}, cells=64)
    assert [phase.by_cells(n).cells for n in (3, 1000)] == [192, 512]
    assert Phase("p", 1, {"perturbation": 1.0}, cells=64).by_cells(1000).cells == 64  # whose cost is the square
    assert phase.by_cells(3).by_cells(3).sampling == "cells"
