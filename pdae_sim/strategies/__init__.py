"""Hypothesis strategies for labels, worlds and data: they construct, shrink to the simple case and plant the answer.

Property tests of a user's own estimator or reader start here. Needs the extra ``testing``; nothing else in the library
imports this package.
"""

from pdae_sim.strategies.designs import designs, designs_of_doubles, planted_designs
from pdae_sim.strategies.labels import KINDS, conditions, doses, label_spaces, labels, spellings
from pdae_sim.strategies.models import (
    adjacency_matrices,
    covariances,
    departures,
    latent_models,
    noise_laws,
    orthogonal_matrices,
)
from pdae_sim.strategies.span import SpanProblem, span_problems
from pdae_sim.strategies.worlds import family_mixings, mixings, perturbation_data, simulators

__all__ = [
    "KINDS",
    "SpanProblem",
    "adjacency_matrices",
    "conditions",
    "covariances",
    "departures",
    "designs",
    "designs_of_doubles",
    "doses",
    "family_mixings",
    "label_spaces",
    "labels",
    "latent_models",
    "mixings",
    "noise_laws",
    "orthogonal_matrices",
    "perturbation_data",
    "planted_designs",
    "simulators",
    "span_problems",
    "spellings",
]
