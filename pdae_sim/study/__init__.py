"""Studies and evaluations: where simulation, estimation and analysis meet.

| name | what it is |
|---|---|
| `evaluate`, `fitted_estimators`, `PREDICTION_METRICS` | every estimator judged alike at held-out conditions, beside the noise ceiling |
| `summarise`, `EstimatorSummary`, `LESS_IS_BETTER` | estimators compared over conditions: mean, median, wins, rank |
| `feature_effects` | changes of single features at one condition, measured with intervals and predicted |
| `effect_cells` | measured and predicted cells for scorers of other packages |
| `worth_of` | n_eff of an estimator at one condition |
| `identify`, `Identification`, `NullResults` | a fitted model's latents and Ŵ against the truth of a simulation |
| `identification_rows`, `oracle_rows`, `IDENTIFICATION_METRICS` | the same in rows, and those of an oracle that sees the latents |
| `training_shifts` | shifts of the training labels from the reference |
| `check_fit`, `check_observation` | goodness of fit on fresh cells: part by part, and of the observation model by feature |
| `keep_fresh`, `choose_fresh` | a seeded share of training cells kept out of fits, for goodness; which they are |
| `fresh_cells` | cells that no fit has seen, from the world of a simulation in the features of its data |
| `fit_samples`, `refuse_cells_of_fit` | what that compares, and that no cell of the fit is among it |
| `stability`, `Stability`, `StablePrediction`, `shuffled_conditions` | what fits to halves of the cells agree in |
| `count_fit`, `feature_intervals` | verdicts, and predicted means and quantiles, with intervals that count the whole fit |
| `find_counterexample`, `Counterexample`, `most_visible_move` | a second model that no training condition tells from the first |
| `compare_models`, `ModelComparison`, `sample_pair`, `PairedSamples` | two models compared by their cells |
| `run_demo`, `DemoResult` | simulate, fit, judge, identify on the demo world |
| `Declaration`, `EstimatorDeclaration`, `Scenario`, `MeasuredTable`, `Dataset` | worlds × estimators × metrics × seeds, in TOML or Python |
| `Expectation`, `Judgement` | a part of a prediction that the rows decide, and what they say of it |
| `median`, `NO_INTERVAL` | a median over worlds with its exact interval, and what too few leave open |
| `Study`, `Cost`, `seeds_of`, `task_root`, `timed` | a study as tasks that are pure functions of their descriptions |
| `plan_study`, `StudyPlan` | tasks, time and memory before anything runs |
| `run_study`, `merge_stores`, `Store`, `Tally` | run what is not finished; join shards; results on disk |
| `Backend`, `WorkerPool`, `Serial`, `Loky`, `Dask`, `Slurm`, `read_cluster` | where tasks run |
| `StudyRegistry`, `StudyModule`, `StudyPresentation` | studies known by name to a command line |

Each name is loaded on first use.
"""  # noqa: E501

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
