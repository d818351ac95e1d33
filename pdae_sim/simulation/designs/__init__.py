"""Designs of experiments: which perturbations are measured, which are held out, how many cells each gets.

| name | what it is |
|---|---|
| `Design` | labels to train on, labels held out, and the answer where it is planted |
| `singles`, `singles_and_doubles`, `all_doubles` | one or two perturbations at a time, some doubles held out |
| `one_factor_at_a_time`, `dose_grid`, `random_doses` | several doses: one by one, all combinations, random ones |
| `planted` | a given rank, with test labels inside and outside the span |
| `DESIGNS` | the kinds by the name that files use |
| `cell_counts` | cells of each environment |

Doses are dyadic (k / 2^m) unless given, so that exact arithmetic reads them. Row 0 of the training labels is the
control.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
