"""Predictions in parts, and what is said of them."""

from __future__ import annotations

from experiments.studies.predictions import Part, sentences, verdict


def test_a_verdict_counts_and_names():
    parts = [Part("a", True, "x"), Part("b", False, "y"), Part("c", None, "z")]
    assert verdict(parts) == "The prediction was met in 1 of its 3 parts. Not met: b. Open: c."
    assert verdict(parts[:1]) == "The prediction was met in all its 1 parts."
    assert sentences(parts)[1:] == ["Met: a. X.", "Not met: b. Y.", "Open: c. Z."]
