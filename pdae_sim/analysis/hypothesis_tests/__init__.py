"""Tests of hypotheses: two samples, additivity, goodness of fit, laws of latents; corrections for many tests."""
