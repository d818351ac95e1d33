"""Predictions in parts, each met or not by the numbers, and the sentences that say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Part of a prediction.

    Args:
        expected: What was predicted, a clause.
        met: Whether the numbers agree; None where they were not measured or leave it open.
        evidence: The numbers, a clause.
    """

    expected: str
    met: bool | None
    evidence: str

    def __str__(self) -> str:
        return f"{_WORDS[self.met]}: {self.expected}. {self.evidence[0].upper()}{self.evidence[1:]}."


_WORDS = {True: "Met", False: "Not met", None: "Open"}


def sentences(parts: Sequence[Part]) -> list[str]:
    """The verdict in a sentence, then every part with its evidence."""
    return [verdict(parts), *map(str, parts)]


def verdict(parts: Sequence[Part]) -> str:
    """Whether the prediction was met, in a sentence."""
    missed, open_ = ([part.expected for part in parts if part.met is met] for met in (False, None))
    if not missed and not open_:
        return f"The prediction was met in all its {len(parts)} parts."
    met = len(parts) - len(missed) - len(open_)
    named = [f"{word}: {'; '.join(those)}" for word, those in (("Not met", missed), ("Open", open_)) if those]
    return f"The prediction was met in {met} of its {len(parts)} parts. {'. '.join(named)}."
