"""Worlds whose every law is known: linear latent causal models, mixings, assays, designs, and the simulator.

| name | what it is |
|---|---|
| `LinearLatentModel` | z = A z + u + S l: a linear structural causal model with shift interventions |
| `Simulator` | a latent model, a mixing and an assay: samples with their truth, and exact laws |
| `Assumptions`, `TrueVerdict` | which assumptions of the theory hold; the truth about an unseen label |
| `WorldConfig` | a simulator and a design as a TOML file |
| `WORLDS`, `world` | the named worlds |
| `second_simulator` | the second model of a label that is not identified (theory, claim 2.6) |
| `GRAPHS`, `random_dag` | random graphs over the latents |
| `Law`, `LAWS` | what a noise law offers, and the kinds by name |
| `Gaussian`, `StudentT`, `Laplace`, `Skewed`, `Bimodal` | the noise laws |
| `Departure`, `DEPARTURES` | what a departure from additive shifts offers, and the kinds by name |
| `Epistasis`, `Saturation`, `Do`, `VarianceIntervention`, `MechanismChange` | the departures |

Mixings, observation laws and designs have rooms of their own: `mixings`, `observation`, `designs`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
