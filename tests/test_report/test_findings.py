"""Predictions in parts, and what is said of them."""

from __future__ import annotations

from pdae_sim.intervals import Estimate, Interval
from pdae_sim.report import Part, format_estimate, judged_part, sentences
from pdae_sim.study import NO_INTERVAL, Expectation


def test_a_verdict_counts_and_names():
    parts = [Part("a", True, "x"), Part("b", False, "y"), Part("c", None, "z")]
    said = ["The prediction was met in 1 of its 3 parts. Not met: b. Open: c.", "Met: a. X.", "Not met: b. Y."]
    assert sentences(parts) == [*said, "Open: c. Z."]
    assert sentences(parts[:1])[0] == "The prediction was met in all its 1 parts."


def test_an_estimate_is_said_with_its_interval():
    assert format_estimate(Estimate(1.234, NO_INTERVAL)) == "1.2"
    assert format_estimate(Estimate(1.234, Interval(0.5, 1000.0))) == "1.2 (0.50 to 1,000)"


def judged(values, **said):
    rows = [
        {"metric": "n_eff", "seed": seed, "value": value, "status": "ok", "design.cells": n}
        for n, value in enumerate(values)
        for seed in range(6)
    ]
    return judged_part(Expectation(**{"that": "it is so", "metric": "n_eff", "of": {}, "at_least": 3.0, **said}), rows)


def test_the_evidence_names_groups_that_miss_first_and_counts_the_rest():
    part = judged([9.0, 8.0, 7.0, 6.0, 1.0], each=["design.cells"])
    assert part.met is False
    assert part.evidence == (
        "the median is 1.0 (1.0 to 1.0) at design.cells 4; 9.0 (9.0 to 9.0) at design.cells 0; "
        "8.0 (8.0 to 8.0) at design.cells 1; 7.0 (7.0 to 7.0) at design.cells 2, and 1 more, of 6 seeds each"
    )


def test_a_ratio_and_a_difference_are_called_so():
    ratio = judged([9.0, 3.0], of={"design.cells": 0}, over={"design.cells": 1})
    assert str(ratio) == "Met: it is so. The median ratio is 3.0 (3.0 to 3.0), of 6 seeds."
    difference = judged([9.0, 3.0], of={"design.cells": 0}, minus={"design.cells": 1})
    assert "the median difference is 6.0" in difference.evidence
    assert judged([]).evidence == "it was not measured"
