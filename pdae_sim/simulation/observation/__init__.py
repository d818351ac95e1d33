"""What the instrument adds: laws of x given noiseless f(z), and the transforms that analysts apply afterwards.

| name | what it is |
|---|---|
| `Observation` | what a law of x given f(z) offers |
| `OBSERVATIONS` | the kinds by the name that files use |
| `random_observation` | a law of a kind with features drawn to suit a reference sample |
| `Noiseless`, `GaussianNoise`, `Heteroscedastic` | no noise; alike everywhere; growing with the signal |
| `Dropout`, `SignalDropout` | entries lost at random, or where the signal is weak |
| `NegativeBinomial`, `LogNormal` | counts of molecules; positive intensities |
| `Log1p`, `LogNormalise`, `CentredLogRatio` | transforms, cell by cell |
| `Chain` | laws one after another |

A law draws from named streams, one call per name and block with a fixed cost in order per entry: cells drawn block by
block are the cells drawn at once.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
