"""Estimate against truth: span certificates, alignment, support, worth. No training, no figures."""
