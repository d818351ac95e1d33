"""Simulate, fit and judge perturbation models with additive latent shifts and unknown nonlinear mixing.

| name | what it is |
|---|---|
| `LabelSpace` | perturbation names and the grammar of conditions such as ``A:0.5+B`` |
| `PerturbationData` | cells under environments with known labels: what an estimator sees |
| `Simulation`, `Truth` | simulated data beside the truth that no estimator sees |
| `LinearLatentModel` | linear latent causal models with shift interventions |
| `Simulator` | a latent model, a mixing and an assay: data with exact oracles |
| `PDAE` | the perturbation distribution autoencoder |
| `energy_distance`, `energy_score` | distances between samples |
| `check_span` | is an unseen condition identified? A certificate for each |
| `align` | estimated against true latents, up to affine and orthogonal maps |
| `InputError` | what every refusal raises |
| `simulation`, `estimation`, `analysis`, `study`, `report`, `io` | the rooms, each with a table of what it offers |
| `testing`, `strategies` | hypothesis strategies for property tests (extra ``testing``) |

Data flows one way: ``simulator.sample(labels, n, rng=…)`` → ``PDAE(…).fit(data)`` → ``.sample(label, n, rng=…)`` →
``check_span``, ``align``, ``energy_distance``. Each name is loaded on first use.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)
_ROOMS = {"analysis", "estimation", "io", "report", "simulation", "strategies", "study", "testing"}
__all__ = [name for name in _names if name not in _ROOMS]  # rooms are loaded when named, not by `import *`
