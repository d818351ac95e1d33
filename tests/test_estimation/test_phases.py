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


@pytest.mark.parametrize("term", ["density_ratio", "prior", "moments"])
def test_terms_of_whole_environments_are_refused_where_cells_are_drawn_one_by_one(term):
    with pytest.raises(InputError, match=f"'{term}' needs the cells of an environment together"):
        Phase("p", 1, {term: 1.0}, sampling="cells")
