"""Identifiability: estimated against true latents, up to the maps that theory leaves open.

| name | what it is |
|---|---|
| `align`, `Alignment` | affine and orthogonal R², the rotation and the singular values of the affine map |
| `alignment_intervals`, `AlignmentIntervals` | intervals over cells of these |
| `gram_matrix`, `gram_error` | (W L)ᵀ (W L) of a perturbation matrix, and its relative error |
| `r2` | share of a sum of squares that a fit explains |
| `fit_nested_maps`, `NestedMaps`, `MapClass`, `MAP_CLASSES` | classes of maps, from identity to nonlinear |
| `least_squares_maps` | the best map of every class |
| `classify_identifiability`, `IdentifiabilityClass` | the smallest class that does as well |
| `estimate_effects`, `Effects` | effect sizes, Gram matrix and angles from latents, with intervals |
| `effect_angles` | angles between known shifts |
| `joint_procrustes`, `JointProcrustes`, `LatentEstimate` | one rotation for latents, perturbation matrix and base law |

Each name is loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
