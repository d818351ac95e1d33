"""Predictions in parts, each met or not by the numbers, and the sentences that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pdae_sim.report._format import MET, format_estimate
from pdae_sim.study.expectation import Expectation, Judgement

_SHOWN = 4
"""Groups that a sentence names at most."""


@dataclass(frozen=True)
class Part:
    """Part of a prediction.

    Args:
        expected: What was predicted, a clause.
        met: Whether the numbers agree; None where they were not measured or leave it open.
        evidence: The numbers, a clause.

    Example:
        >>> str(Part("it falls", True, "from 2 to 1"))
        'Met: it falls. From 2 to 1.'
    """

    expected: str
    met: bool | None
    evidence: str

    def __str__(self) -> str:
        return f"{MET[self.met]}: {self.expected}. {self.evidence[0].upper()}{self.evidence[1:]}."


def sentences(parts: Sequence[Part]) -> list[str]:
    """The verdict in a sentence, then every part with its evidence.

    Args:
        parts: Those of one prediction, at least one.

    Example:
        >>> sentences([Part("a", True, "x"), Part("b", None, "y")])
        ['The prediction was met in 1 of its 2 parts. Open: b.', 'Met: a. X.', 'Open: b. Y.']
    """
    return [_verdict(parts), *map(str, parts)]


def _verdict(parts: Sequence[Part]) -> str:
    """Whether the prediction was met, in a sentence."""
    missed, open_ = ([part.expected for part in parts if part.met is met] for met in (False, None))
    if not missed and not open_:
        return f"The prediction was met in all its {len(parts)} parts."
    met = len(parts) - len(missed) - len(open_)
    named = [f"{word}: {'; '.join(those)}" for word, those in (("Not met", missed), ("Open", open_)) if those]
    return f"The prediction was met in {met} of its {len(parts)} parts. {'. '.join(named)}."


def judged_part(expected: Expectation, rows: Sequence[Mapping]) -> Part:
    """What the rows of a study say of an expectation.

    Args:
        expected: The expectation.
        rows: The long table.

    Example:
        >>> said = {"that": "it is large", "metric": "n_eff", "of": {}, "at_least": 10.0}
        >>> rows = [{"metric": "n_eff", "seed": s, "value": 20.0 + s, "status": "ok"} for s in range(9)]
        >>> print(judged_part(Expectation(**said), rows))
        Met: it is large. The median is 24 (21 to 27), of 9 seeds.
    """
    judgement = expected.judge(rows)
    said = [_evidence(expected, judgement)] if judgement.estimates else []
    said += [judgement.reason] if judgement.reason else []
    return Part(expected.that, judgement.met, "; ".join(said))


def _evidence(expected: Expectation, judgement: Judgement) -> str:
    """The numbers, of groups that miss first."""
    what = "median ratio" if expected.over else "median difference" if expected.minus else "median"
    order = sorted(judgement.estimates, key=lambda group: (False, None, True).index(judgement.verdicts[group]))
    shown = "; ".join(
        format_estimate(judgement.estimates[group]) + (f" at {expected.group_name(group)}" if group else "")
        for group in order[:_SHOWN]
    )
    more = f", and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
    seeds = f"{judgement.seeds} seed{'s' * (judgement.seeds != 1)}{' each' if expected.each else ''}"
    failed = f", where {judgement.failed} failed and count as misses" if judgement.failed else ""
    return f"the {what} is {shown}{more}, of {seeds}{failed}"
