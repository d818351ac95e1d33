"""Likelihoods: laws of a measured cell given what a decoder says, learnt with it.

| name | what it is |
|---|---|
| `GaussianLikelihood` | additive noise: one σ, one by feature, or growing with the mean; centred log-ratios |
| `PoissonLikelihood`, `NegativeBinomialLikelihood` | counts given the total of their cell |
| `DropoutLikelihood` | entries that read zero, beside Gaussian noise |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
