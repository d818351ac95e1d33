"""The claims about the additive-shift model as executable records, independent of the library that relies on them.

A claim has assumptions, a proof whose steps are checked symbolically or stated as lemmas, a numerical check on random
instances, and for each assumption a model in which its absence breaks the claim. Everything is computed from sympy,
numpy and scipy alone, so that agreement with the library is news.

    python -m theory list
    python -m theory check [NAME ...] [--json]

| part | what it holds |
|---|---|
| `theory.claims` | all claims in the order of their numbers, and `select` by name or number |
| `theory.assumptions`, `theory.symbols` | the assumptions and the letters that claims share |
| `theory.causal` | claims 1 to 1.2: linear latent causal models |
| `theory.identifiability` | claims 2.1 to 2.6, 2.8, 2.11, 2.12, 2.14, 2.16 to 2.18: what the laws determine |
| `theory.prediction` | claims 2.7, 2.9, 2.10, 2.13 and 2.15: unseen laws, their support and precision |
| `theory.energy` | claims 3.1 to 3.4: the energy distance |
| `theory.training` | claims 3.5 to 3.9: the losses |
| `theory.engine` | the engine: records, the checker, matrix rewriting, random instances |
| `theory.typesetting` | records as LaTeX, text and README |

Exact answers to compare a library with:

| name | what it gives |
|---|---|
| `solve_span` | coefficients of a label in the span of the training shifts, or a witness that it is outside |
| `noise_gain`, `shift_gain` | variance of a predicted mean, and of a predicted shift |
| `least_gain`, `least_squares_weights` | coefficients and weights of least variance |
| `second_model` | a model that fits the training laws and moves the test law |
| `exact_verdict` | the verdict on a label |
| `perturbation_matrix`, `covariance` | W and Σ of a linear latent causal model |
| `read_adjacency` | the causal graph from W, where targets are atomic |
| `gaussian_information` | Fisher information of a cell of a linear Gaussian assay |
| `pooled_worth`, `expected_worth` | effective cells by importance sampling, and the worth of an efficient prediction |
"""

from importlib import import_module

_HOME = {
    "solve_span": "identifiability.span",
    "noise_gain": "identifiability.span",
    "shift_gain": "identifiability.span",
    "least_gain": "identifiability.span",
    "least_squares_weights": "prediction.noise_gain",
    "second_model": "identifiability.converse",
    "exact_verdict": "prediction.verdicts",
    "perturbation_matrix": "causal.latent_causal",
    "covariance": "causal.latent_causal",
    "read_adjacency": "causal.graph_targets",
    "pooled_worth": "prediction.support",
    "expected_worth": "prediction.efficiency",
    "gaussian_information": "prediction.posterior_variance",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    """Load a chapter when one of its names is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'theory' has no attribute {name!r}")
    return getattr(import_module(f"theory.{_HOME[name]}"), name)
