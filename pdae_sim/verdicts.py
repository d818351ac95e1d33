"""The three verdicts on an unseen perturbation, in words, and the threshold of support that they share."""

from __future__ import annotations

SUPPORTED, OFF_SUPPORT, NOT_IDENTIFIED = "identified and supported", "identified, off support", "not identified"

MIN_EFFECTIVE_CELLS = 100.0
"""A label is supported if importance sampling from the training environments would be worth this many of its cells."""


def in_words(identified: bool, supported: bool | None) -> str:
    """The verdict; ``identified`` where support is unknown."""
    if not identified:
        return NOT_IDENTIFIED
    return {True: SUPPORTED, False: OFF_SUPPORT, None: "identified"}[supported]
