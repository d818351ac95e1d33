"""Pictures that say more than a line of a proof, as SVG with nothing to fetch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from theory.prediction.unknown_mixing import share_left

INK, SEEN, MARK, SOFT = "#1d2733", "#7b8796", "#a3471f", "#d9c9b5"
WIDTH, HEIGHT = 640, 300


def slices() -> str:
    """Claim 2.8: slices along the unseen direction go to slices, each by the identity or by a reflection."""
    body = [_text(150, 26, "latents of one model"), _text(490, 26, "latents of a rival")]
    heights = np.linspace(60, 250, 6)
    for left, right in ((40, 260), (380, 600)):
        body += [_line(left, y, right, y, SOFT) for y in heights]
        body += [_line(left, 270, left, 50, SEEN, arrow=True), _text(left - 4, 44, "seen", anchor="start")]
    points = np.array([-1.2, -0.3, 0.5, 1.1])
    for y in heights:
        body += [_dot(150 + 70 * t, y, SEEN if t < 0 else MARK) for t in points]
        body += [_dot(490 - 70 * t, y, SEEN if t < 0 else MARK) for t in points]
    body += [_line(285, 150, 355, 150, INK, arrow=True), _text(320, 140, "h"), _text(320, 172, "t ↦ −t")]
    return _figure(
        body,
        "Slices along the one direction that no shift has. The seen coordinate is kept, and each slice goes to"
        " itself by t"
        " or −t, the only continuous injections that keep N(0, 1); all slices by the same one, as a jump would tear the"
        " image.",
    )


def discs() -> str:
    """Claim 2.9: where the cells of the training environments are worth more than ten."""
    centre, scale = np.array([120.0, 190.0]), 38.0
    places = {"control": (0, 0), "A": (2.2, 0.2), "B": (0.3, 1.9), "A+B": (2.5, 2.1), "3 A": (6.6, 0.6)}
    radius = scale * np.sqrt(np.log(4000 / 10))
    xy = {name: (centre[0] + scale * x, centre[1] - scale * y) for name, (x, y) in places.items()}
    body = [
        f'<circle cx="{xy[name][0]:.0f}" cy="{xy[name][1]:.0f}" r="{radius:.0f}" fill="{SOFT}" fill-opacity="0.45"/>'
        for name in ("control", "A", "B")
    ]
    for name, (x, y) in xy.items():
        tested = name in ("A+B", "3 A")
        body += [_dot(x, y, MARK if tested else INK, 5), _text(x + 9, y - 8, name, anchor="start")]
    worth = {
        name: sum(4000 * np.exp(-np.square(np.subtract(places[name], places[e])).sum()) for e in ("control", "A", "B"))
        for name in ("A+B", "3 A")
    }
    body += [
        _text(430, 60 + 22 * k, f"{name}: worth {value:.2g} cells", anchor="start")
        for k, (name, value) in enumerate(worth.items())
    ]
    return _figure(
        body,
        "Latent means of three training conditions with 4000 cells each. Within a disc of radius √log 400 their"
        " cells are"
        " worth ten or more at a label. Both labels are in the span: one is supported, the other identified and off the"
        " support.",
    )


def ball() -> str:
    """Claim 2.16: the means that fit a label outside the span, and the least radius at which a decision changes."""
    x, y = 250, 170
    body = [
        f'<circle cx="{x}" cy="{y}" r="95" fill="{SOFT}" fill-opacity="0.45" stroke="{MARK}"/>',
        f'<circle cx="{x}" cy="{y}" r="62" fill="none" stroke="{MARK}" stroke-dasharray="4 4"/>',
        _line(312, 30, 312, 285, INK),
        _text(322, 44, "kᵀ z = τ: the decision changes", anchor="start"),
        _dot(60, 250, INK, 5),
        _text(70, 268, "control", anchor="start"),
        _line(60, 250, x - 6, y + 3, SEEN, arrow=True),
        _text(96, 196, "W L α, seen"),
        _dot(x, y, INK, 5),
        _text(x - 10, y - 12, "c"),
        _line(x, y, x + 66, y + 66, MARK, arrow=True),
        _text(x + 18, y + 46, "η"),
        _text(430, 150, "solid: |η| ≤ ρ, all means that fit", anchor="start"),
        _text(430, 174, "dashed: the least ρ that", anchor="start"),
        _text(430, 192, "reaches the threshold", anchor="start"),
    ]
    return _figure(
        body,
        "A label outside the span. The seen part of its shift leads to c; the unseen part η is any vector of length"
        " at most"
        " ρ, and every one is that of an equivalent model.",
    )


def efficiency() -> str:
    """Claim 2.10e: the share of information that is left if the mixing is unknown."""
    effects = np.linspace(0.05, 4, 60)
    left = [share_left(effect, points=4001) for effect in effects]
    limit = 8 / (8 + effects**2)
    body = [_line(60, 260, 600, 260, INK), _line(60, 260, 60, 30, INK)]
    body += [_text(60 + 130 * k, 280, str(k)) for k in range(5)]
    body += [_text(44, 265 - 220 * s, f"{s:g}", anchor="end") for s in (0, 0.5, 1)]
    body += [
        _path(60 + 130 * effects, 260 - 220 * limit, SEEN),
        _path(60 + 130 * effects, 260 - 220 * np.array(left), MARK),
    ]
    body += [_text(590, 295, "δ"), _text(560, 150, "8/(8 + δ²)"), _text(430, 215, "f unknown")]
    return _figure(
        body,
        "Share of the information about an effect δ that is left if f is unknown, of that with z seen. Above it the"
        " limit"
        " for f known up to a unit and an origin.",
    )


FIGURES: dict[str, Callable[[], str]] = {
    "diversity": slices,
    "support": discs,
    "bounds": ball,
    "unknown_mixing": efficiency,
}
"""By the name of the claim."""


def _figure(body: Sequence[str], caption: str) -> str:
    head = f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{caption.split(".")[0]}">'
    return f"{head}{''.join(body)}</svg><figcaption>{caption}</figcaption></figure>"


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, *, arrow: bool = False) -> str:
    line = f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{to_x:.0f}" y2="{to_y:.0f}" stroke="{colour}" stroke-width="1.5"/>'
    return line + _tip(x, y, to_x, to_y, colour) if arrow else line


def _tip(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    along = np.array([to_x - x, to_y - y]) / np.hypot(to_x - x, to_y - y)
    across, end = np.array([-along[1], along[0]]), np.array([to_x, to_y])
    corners = (end + 3 * along, end - 6 * along + 4 * across, end - 6 * along - 4 * across)
    return f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}" fill="{colour}"/>'


def _path(x: np.ndarray, y: np.ndarray, colour: str) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _dot(x: float, y: float, colour: str, radius: float = 3.5) -> str:
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius}" fill="{colour}"/>'


def _text(x: float, y: float, words: str, *, anchor: str = "middle") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{words}</text>'
