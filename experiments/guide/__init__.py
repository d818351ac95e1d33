"""Guides: short scripts to read from top to bottom, each run by a test and shown on the pages of `make docs`.

A guide is a module whose `guide` function is prose (comments in Markdown) and code in turn; its arguments are sizes.
Run one with `python -m experiments.guide.first_fit`, and write the pages with `python -m experiments.guide`.
"""

GUIDES: dict[str, dict] = {
    "first_fit": {"cells": 60, "steps": 3},
    "own_table": {"cells": 60, "steps": 3},
    "verify_claim": {"cells": 60, "steps": 3},
    "property_tests": {"examples": 5},
    "claim_tests": {"examples": 20},
    "reader_tests": {"examples": 10},
    "cluster_study": {"seeds": 1, "steps": 3, "workers": 1, "dask": False},
    "add_world": {"cells": 60},
}
"""The guides in the order in which a reader meets them, with sizes that take a second."""
