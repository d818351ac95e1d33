"""Estimators: anything with `fit(data)` and `sample(label, n, rng=…)`. They see `PerturbationData` and never a truth."""
