"""Estimators of the distribution of cells under unseen perturbations. They see data and never a truth.

| name | what it is |
|---|---|
| `PDAE` | the perturbation distribution autoencoder: encode, shift, decode |
| `Architecture` | shapes of its networks |
| `Phase`, `TERMS` | a stretch of training, and the terms of the loss by name |
| `Preset`, `PRESETS` | training plans with the networks they are meant for, by name |
| `DEFAULT`, `LATENTS` | the plan of `PDAE` for cells without noise, and its part that learns encoder and Ŵ |
| `MARGINAL`, `MARGINAL_SCREEN` | its plans for cells measured with noise, of few conditions and of many |
| `ObservationChoice`, `OBSERVATION_MODELS` | the law of a cell given its latents, with the evidence; all by name |
| `Progress` | the position of a fit, as `on_step` receives it |
| `Dimension` | a number of latents with the evidence for it |
| `fit_replicates`, `fit_restarts` | many fits of one shape at once, and the best of several seeds |
| `fit_halves`, `HalfFits` | fits to halves of the cells, whose differences give intervals that count the whole fit |
| `fitted_to` | whether data are those that a model was fitted to |
| `Tilting` | weighted resampling of the cells that were seen, without a decoder |
| `AdditiveVAE` | a variational autoencoder with additive latent shifts (SAMS-VAE and sVAE+ without sparsity) |
| `AdversarialAutoencoder`, `Adversary` | an autoencoder whose basal code an adversary keeps free of labels (CPA) |
| `ConditionalGenerator` | label and noise to cells by the energy score (engression) |
| `Pool`, `Pseudobulk`, `Control` | seen cells as the prediction: all, those that share a part, the reference |
| `Additive`, `Linear` | mean shifts added up, and regression of means on labels |
| `AdditiveParts`, `LinearNear` | cells of the parts, or of the nearest condition, moved by the mean effects they lack |
| `TransportParts` | cells of each single, moved by the optimal transport maps of the others |
| `Ceiling` | cells of the very condition: what any prediction can hope for |
| `BASELINES`, `COMPOSITIONS` | the simple estimators by name, and those of them that start from measured cells |
| `random_encoder` | an encoder that has learnt nothing |
| `remeasure` | cells measured anew under a fitted observation model, to judge it by |
| `second_pdae` | a second model that fits all training data as well as the first (theory, claim 2.6) |

Every estimator has `fit(data)`, `sample(condition, n, rng=…)`, `get_params` and `set_params`. Each name is loaded on
first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
