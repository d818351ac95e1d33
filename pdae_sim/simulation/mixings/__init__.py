"""Mixings f from latents to noiseless observations, the injective ones with an exact inverse on their image.

| name | what it is |
|---|---|
| `Mixing` | a composition of layers, with inverse, Jacobian and volume |
| `random_mixing` | a random member of a family, with a difficulty that is met where it is asked for |
| `FAMILIES`, `EMBEDDINGS` | what `random_mixing` draws, by name, with the settings of each |
| `condition_numbers`, `linear_r2` | how ill-conditioned and how far from affine a mixing is |
| `reference_latents` | the fixed sample of N(0, Σ) over which that is calibrated |
| `Layer`, `LAYERS` | one map with its inverse, and the kinds by name |
| `Orthonormal`, `Affine` | scaled isometries; full column rank |
| `LinearTanh`, `SmoothLeaky`, `SinhArcsinh`, `Spline` | increasing functions of every coordinate |
| `AffineCoupling`, `QuadraticShear` | some coordinates scale and shift the others |
| `Curved` | a graph over a linear subspace |
| `Fold`, `Periodic` | not injective: the controls |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
