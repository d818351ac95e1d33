"""Hypothesis strategies for labels, worlds and data: they construct, shrink to the simple case and plant the answer.

| name | what it draws |
|---|---|
| `label_spaces`, `conditions`, `spellings` | label spaces, and the strings that spell their labels |
| `doses`, `labels`, `NUMBER_KINDS` | doses and labels of one kind of number |
| `span_problems`, `SpanProblem` | training labels and a test label with a planted certificate or witness |
| `designs`, `designs_of_doubles`, `planted_designs` | designs of experiments |
| `orthogonal_matrices`, `covariances`, `adjacency_matrices` | matrices |
| `noise_laws`, `departures`, `latent_models` | latent models and their parts |
| `observations`, `OBSERVATION_KINDS` | laws of x given f(z): noise, lost entries, counts |
| `mixings`, `family_mixings`, `simulators` | mixings and whole simulators |
| `simulations` | cells with their truth: noiseless, noisy or counted, doubles held out |
| `perturbation_data`, `contextual_data` | small datasets, of one context or several |
| `reorderings` | one dataset in other orders of its cells, environments and perturbations |

Property tests of a user's own estimator or reader start here. Needs the extra ``testing``; nothing else in the library
but `pdae_sim.testing` imports this package.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
