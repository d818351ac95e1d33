"""Span certificates: what an unseen condition is made of, or what no training environment moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from pdae_sim.analysis.span import SpanCertificate
from pdae_sim.errors import InputError
from pdae_sim.report._palette import INK, MUTED, VERDICTS, WIDE, in_house_style, is_compact, tint
from pdae_sim.report._rows import Block, Sheet, guide, key, number, ruled
from pdae_sim.verdicts import NOT_IDENTIFIED

_SHOWN = 8  # weights of a condition
_WIDE_RANGE = 20.0  # weights beyond this call for an axis that is logarithmic away from zero
_BAR = 5.5  # points
_COLOURS = {True: VERDICTS["identified"].colour, False: VERDICTS[NOT_IDENTIFIED].colour}


@in_house_style
def span_certificates(
    certificates: Sequence[SpanCertificate],
    tests: Sequence[str],
    train: Sequence[str],
    names: Sequence[str],
    *,
    width: float = WIDE,
) -> Figure:
    """The certificate of every test condition as a sentence and as bars.

    Inside the span: the weight of each training condition, the reference included, as in A+B = A + B − ctrl, with the
    noise gain. Outside: the witness, a direction of doses that no training environment moves, scaled to its largest
    entry. Of more than eight entries the largest are shown and the rest counted. Measured doses carry their margin.

    Args:
        certificates: As `check_span` gives them.
        tests: Their conditions.
        train: The training conditions, in the order of the labels.
        names: The K perturbations.
        width: In inches.

    Raises:
        InputError: If lengths disagree.

    References:
        Claims 2.4, 2.6 and 2.10.
    """
    _agree(certificates, tests, train, names)
    entries = [_entries(c, train, names) for c in certificates]
    blocks = [_block(c, test, train, names, e) for c, test, e in zip(certificates, tests, entries, strict=True)]
    sheet = ruled(blocks, width, below=0.85 if not is_compact(width) else 1.15)
    _scale(sheet.axes, [w / _unit(c, e) for c, e in zip(certificates, entries, strict=True) for _, w in e], width)
    for c, found, heights in zip(certificates, entries, sheet.heights, strict=True):
        _draw(sheet.axes, found[:_SHOWN], heights, c)
    _key(sheet, {c.identified for c in certificates}, any(c.borderline for c in certificates), width)
    return sheet.figure


def _agree(certificates, tests, train, names) -> None:
    if len(certificates) != len(tests) or not len(tests):
        raise InputError(f"tests must name the certificates, one or more; received {len(tests)}, {len(certificates)}")
    for c in certificates:
        expected, given, what = (
            (len(c.coefficients), len(train), "train") if c.identified else (len(c.witness), len(names), "names")
        )
        if expected != given:
            raise InputError(f"{what} must name {expected} entries of a certificate; received {given}")


def _entries(c: SpanCertificate, train: Sequence[str], names: Sequence[str]) -> list[tuple[str, float]]:
    """Names with non-zero weights, the reference's among them, or the entries of the witness; the largest first."""
    values = c.witness
    if c.identified:
        values = c.coefficients.copy()
        values[c.reference] = 1 - values.sum()
    pairs = zip(train if c.identified else names, values.tolist(), strict=True)
    return sorted(((str(n), w) for n, w in pairs if abs(w) > 1e-12), key=lambda pair: -abs(pair[1]))


def _block(c: SpanCertificate, test: str, train, names, entries: list[tuple[str, float]]) -> Block:
    lines = [name for name, _ in entries[:_SHOWN]]
    heading = c.in_words(test, train, names).split(" (borderline")[0]
    if len(entries) > _SHOWN:
        rest = f"and {len(entries) - _SHOWN} more of at most {number(abs(entries[_SHOWN][1]))}"
        verb = "combines" if c.identified else "is moved along"
        heading = f"{test} {verb} {len(entries)} {'conditions' if c.identified else 'perturbations'}"
        return Block(heading, (_evidence(c), rest), tuple(lines))
    return Block(heading, (_evidence(c),), tuple(lines))


def _evidence(c: SpanCertificate) -> str:
    gain = f"noise gain {number(c.noise_gain)}, {c.method}" if c.identified else "not identified: noise gain ∞"
    if not c.tolerance:
        return f"{gain}; exact arithmetic"
    side = "inside" if c.identified else "outside"
    decades = f"{abs(c.margin):.1f} decades {side}" if np.isfinite(c.margin) else f"wholly {side}"
    near = "; BORDERLINE: a tolerance a decade away says otherwise" if c.borderline else ""
    return f"{gain}; residual {c.residual:.1e}, {decades} the tolerance {c.tolerance:.0e}{near}"


def _unit(c: SpanCertificate, entries: Sequence[tuple[str, float]]) -> float:
    """What a witness is divided by."""
    return 1.0 if c.identified else max((abs(w) for _, w in entries), default=1.0)


def _scale(axes: Axes, weights: Sequence[float], width: float) -> None:
    least, most = min([*weights, 0.0]), max([*weights, 1.0])
    if max(most, -least) > _WIDE_RANGE:
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(8 * least if least < 0 else -2.0, 8 * most)
    else:
        room = (0.3 if is_compact(width) else 0.14) * (most - least)
        axes.set_xlim(least - room, most + room)
        axes.xaxis.set_major_locator(MaxNLocator(5 if is_compact(width) else 7, steps=[1, 2, 5, 10]))
    axes.set_xlabel("weight" if is_compact(width) else "weight; a witness is scaled to its largest entry")


def _draw(axes: Axes, entries: Sequence[tuple[str, float]], heights: Sequence[float], c: SpanCertificate) -> None:
    unit, colour = _unit(c, entries), _COLOURS[c.identified]
    axes.plot([0, 0], [heights[0] - 0.09, heights[-1] + 0.09], color=MUTED, linewidth=0.8, zorder=4)
    for (_, w), y in zip(entries, heights, strict=True):
        guide(axes, y)
        face = tint(colour, 0.45) if c.borderline else colour
        axes.plot([0, w / unit], [y, y], color=face, linewidth=_BAR, solid_capstyle="butt", zorder=3)
        axes.annotate(
            number(w), (w / unit, y), xytext=(4 if w > 0 else -4, 0), textcoords="offset points", va="center",
            ha="left" if w > 0 else "right", fontsize=8, color=INK, zorder=5,
        )  # fmt: skip


def _key(sheet: Sheet, identified: set[bool], borderline: bool, width: float) -> None:
    words = {True: "identified: weights", False: "not identified: witness"}
    handles = [Patch(facecolor=_COLOURS[v], label=words[v]) for v in (True, False) if v in identified]
    handles += [Patch(facecolor=tint(MUTED, 0.45), label="pale: borderline")] * borderline
    key(sheet.figure, handles, columns=1 if is_compact(width) else 3)


@in_house_style
def span_margins(certificates: Sequence[SpanCertificate], tests: Sequence[str], *, width: float = WIDE) -> Figure:
    """How far the residual of each measured label lies from the tolerance, and the decade on either side of it.

    Args:
        certificates: In float arithmetic; exact ones have no margin.
        tests: Their conditions.
        width: In inches.

    Raises:
        InputError: If lengths disagree or a certificate is exact.
    """
    if len(certificates) != len(tests) or not len(tests):
        raise InputError(f"tests must name the certificates, one or more; received {len(tests)}, {len(certificates)}")
    if exact := [test for test, c in zip(tests, certificates, strict=True) if not c.tolerance]:
        raise InputError(f"{exact[0]!r} is exact and has no margin; leave it out, or judge it with rtol")
    sheet = ruled([Block("", (), tuple(str(test) for test in tests))], width, below=1.0)
    axes = sheet.axes
    floor = min(-3.0, *(c.margin for c in certificates if np.isfinite(c.margin))) - 1.0
    axes.axvspan(-1.0, 1.0, color=tint(MUTED, 0.14), linewidth=0, zorder=0)
    axes.axvline(0.0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)), zorder=2)
    for c, y in zip(certificates, sheet.heights[0], strict=True):
        guide(axes, y)
        look = {"marker": "o" if np.isfinite(c.margin) else "<", "color": _COLOURS[c.identified]}
        axes.plot(max(c.margin, floor), y, markersize=6, linestyle="none", clip_on=False, zorder=4, **look)
    axes.set_xlim(floor, max(3.0, *(c.margin + 0.5 for c in certificates)))
    axes.set_xlabel("inside < 0 < outside" if is_compact(width) else "decades from the tolerance: inside < 0 < outside")
    _key_of_margins(sheet, certificates, width)
    return sheet.figure


def _key_of_margins(sheet: Sheet, certificates: Sequence[SpanCertificate], width: float) -> None:
    band = Patch(facecolor=tint(MUTED, 0.14), label="borderline by the residual")
    none = Line2D([], [], linestyle="none", marker="<", color=_COLOURS[True], label="no residual")
    bare = any(not np.isfinite(c.margin) for c in certificates)
    key(sheet.figure, [band] + [none] * bare, columns=1 if is_compact(width) else 2)
