"""Hypothesis strategies for labels, worlds and data: they construct, shrink to the simple case and plant the answer.

Property tests of a user's own estimator or reader start here. Needs the extra ``testing``; nothing else in the library
imports this package.
"""

from pdae_sim.strategies.labels import KINDS, conditions, doses, label_spaces, labels, spellings
from pdae_sim.strategies.span import SpanProblem, span_problems
from pdae_sim.strategies.worlds import (
    adjacency_matrices,
    latent_models,
    mixings,
    orthogonal_matrices,
    perturbation_data,
    simulators,
)

__all__ = [
    "KINDS",
    "SpanProblem",
    "adjacency_matrices",
    "conditions",
    "doses",
    "label_spaces",
    "labels",
    "latent_models",
    "mixings",
    "orthogonal_matrices",
    "perturbation_data",
    "simulators",
    "span_problems",
    "spellings",
]
