"""Analysis of what can be predicted, what was learnt and how good it is: numpy, without any model's internals.

| name | what it is |
|---|---|
| `check_span`, `SpanCertificate` | is a condition in the span of the measured ones? Coefficients, or a witness |
| `judge`, `Verdict` | the three verdicts: identified and supported, identified off support, not identified |
| `supports`, `Support`, `ShiftError` | distances to the training conditions and what their cells are worth there |
| `pooling_gain` | what importance sampling gains from all training conditions together |
| `plan_experiments`, `ExperimentPlan`, `PlannedExperiment` | which conditions to add to identify targets |
| `allocate_cells`, `CellAllocation` | how many cells of each condition a wanted precision takes |
| `efficient_limit`, `EfficientLimit` | the least errors of a Gram matrix that anyone can have who must learn f |
| `environment_geometry`, `EnvironmentGeometry` | squared latent distances from cells alone, rank, tests of the model |
| `scale_doses`, `log_scale`, `hill_scale`, `learn_dose_scale`, `DoseScale` | doses on the scale in which effects add |
| `energy_estimate`, `EnergyEstimate`, `EnergyReference` | energy distance of a prediction, unbiased, with an interval |
| `worth`, `Worth` | n_eff: the number of measured cells that a prediction is as good as |
| `mmd`, `mean_difference`, `mean_r2` | further distances between predicted and measured cells |
| `pearson_delta`, `discrimination_score` | changes of means, by correlation and by rank among perturbations |
| `ControlCells`, `DifferentialExpression` | features that differ from control cells, by Mann–Whitney tests |
| `direction_match`, `overlap_at_n` | agreement of predicted with measured differential expression |

Two packages stand beside these: `pdae_sim.analysis.identifiability` compares estimated with true latents, and
`pdae_sim.analysis.hypothesis_tests` tests laws, additivity and goodness of fit. Each name is loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
