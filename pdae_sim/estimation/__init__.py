"""Estimators: anything with `fit(data)` and `sample(label, n, rng=…)`. They see data and never a truth."""
