"""The three verdicts on an unseen perturbation, in words, and the threshold of support that they share."""

from __future__ import annotations

SUPPORTED, OFF_SUPPORT, NOT_IDENTIFIED = "identified and supported", "identified, off support", "not identified"

NO_GUARANTEE = "in the span, no guarantee"
"""In place of ``identified``: of a world that breaks an assumption, or a model whose noise may have any law."""

MIN_EFFECTIVE_CELLS = 100.0
"""A label is supported if importance sampling from each training environment by itself is worth, added up, this many
of its cells; pooled they are worth no less."""


def in_words(identified: bool, supported: bool | None) -> str:
    """The verdict; ``identified`` where support is unknown."""
    if not identified:
        return NOT_IDENTIFIED
    return {True: SUPPORTED, False: OFF_SUPPORT, None: "identified"}[supported]
