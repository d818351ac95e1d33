"""Hypothesis tests, calibrated where the answer is known: equal laws, additivity, goodness of fit.

| name | what it is |
|---|---|
| `energy_test`, `mmd_test`, `TwoSampleTest` | permutation tests of equal laws |
| `equivalence_test`, `EquivalenceTest` | test that two laws match within a margin |
| `two_sample_tests` | one two-sample test per condition, corrected for their number |
| `adjust_p_values`, `CorrectedTests` | Holm's and Benjamini and Hochberg's corrections |
| `disjoint_halves`, `refuse_shared_rows` | samples without a common cell |
| `common_law_test`, `normal_law_test`, `LawTest` | one law in every environment; that law is N(0, I) |
| `spread_tests`, `SpreadTest` | at which environments does the covariance of latents change? |
| `equal_spread` | samples with one covariance, so that other differences show |
| `energy_to_normal` | energy distance from a sample to N(0, I) in closed form |
| `additivity_test`, `additivity_tests`, `AdditivityTest` | do effects of measured combinations add? |
| `additive_relations` | what additivity can be tested at, from labels alone |
| `shared_effects_test`, `SharedEffectsTest` | are effects the same in several contexts? Equal Gram matrices |
| `MIN_OVERLAP_CELLS` | effective cells below which an additivity test cannot tell |
| `goodness_of_fit`, `GoodnessOfFit`, `PartGoodness`, `ModelPart` | which part of a model is wrong |
| `FitSamples` | what goodness of fit compares |
| `observation_fit`, `ObservationFit` | which features an observation model does not fit, and how |
| `FeatureTest`, `FeatureCheck` | one check of one feature |
| `ALL_CONDITIONS`, `MIN_CELLS_PER_CONDITION` | name of a test of all conditions; cells that goodness of fit needs |

Each name is loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
