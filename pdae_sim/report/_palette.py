"""One colour per role, one look for every figure, whatever the user's own matplotlib settings are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pdae_sim.verdicts import NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED

P = ParamSpec("P")

INK, MUTED, RULE, PAPER = "#1f2733", "#667080", "#d8dce2", "#ffffff"
TRUE, PREDICTED = "#1f5f99", "#d9661f"
ENVIRONMENTS = ("#7d93ab", "#8fa583", "#b39b78", "#a48aa8", "#7fa6a3", "#b58a88", "#9a9a80", "#8a8fb8")
"""Training environments in order; more than eight begin again."""

WIDE, NARROW = 7.5, 3.6
"""Widths in inches: a column of the page, and a phone."""

_COMPACT = 5.0  # narrower figures drop what a caption can say

_SETTINGS = {
    "figure.dpi": 96,
    "figure.constrained_layout.use": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titlepad": 7.0,
    "axes.labelsize": 9.2,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#aab1bb",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.6,
    "ytick.labelsize": 8.6,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "grid.color": "#eceef1",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.8,
    "legend.handletextpad": 0.5,
    "mathtext.fontset": "dejavusans",
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Look:
    """How a verdict looks: a colour, a marker that tells it apart without colour, and whether the marker is filled."""

    colour: str
    marker: str
    filled: bool


VERDICTS = {
    SUPPORTED: Look("#12755f", "o", True),
    OFF_SUPPORT: Look("#946a00", "D", True),
    NOT_IDENTIFIED: Look("#8e2a63", "X", False),
    "identified": Look("#4a5a78", "s", True),
}
"""The three verdicts, and the one given where support is unknown."""


def house_style() -> object:
    """A context in which figures are built and drawn; the settings outside it are left as they were."""
    return style.context(["default", _SETTINGS])


def in_house_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """The same figure in the house style and with its layout settled: drawn twice it looks the same."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with house_style():
            figure = draw(*args, **kwargs)
            settle(figure)
        return figure

    return drawn


def blank(width: float, height: float) -> Figure:
    """An empty figure of this size in inches that belongs to no window and no pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.05, hspace=0.06)
    return figure


def settle(figure: Figure) -> None:
    """Let the layout engine place the axes, then dismiss it: from here on positions in points are final."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def is_compact(width: float) -> bool:
    """Whether a figure of this width in inches is meant for a phone."""
    return width < _COMPACT


def tint(colour: str, share: float) -> tuple[float, float, float]:
    """`colour` mixed with white: share 1 is the colour, 0 is white."""
    return tuple(1 - share * (1 - channel) for channel in to_rgb(colour))


def environment_colour(position: int) -> str:
    """The muted colour of the training environment at this position."""
    return ENVIRONMENTS[position % len(ENVIRONMENTS)]


def bare(axes: Axes) -> None:
    """Remove ticks, labels and frame."""
    axes.set_axis_off()


def frame_only(axes: Axes) -> None:
    """Keep a pale frame, without ticks: for pictures whose scale is shared or of no interest."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE)
