"""One colour per role and one look for every figure, whatever the user's own matplotlib settings are."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

from matplotlib import style
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator

from pdae_sim.verdicts import NO_GUARANTEE, NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED

P = ParamSpec("P")
Dashes = tuple[float, tuple[float, ...]]

INK, MUTED, RULE, PAPER = "#1f2733", "#667080", "#d8dce2", "#ffffff"
TRUE, PREDICTED = "#1f5f99", "#d9661f"
ENVIRONMENTS = ("#7d93ab", "#8fa583", "#b39b78", "#a48aa8", "#7fa6a3", "#b58a88", "#9a9a80", "#8a8fb8")
"""Training environments in order; more than eight begin again."""

WIDTH = 7.5  # inches: a column of the page
DASHED: Dashes = (0.0, (4.0, 2.0))
DOTTED: Dashes = (0.0, (1.0, 2.0))

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
class VerdictLook:
    """Appearance of a verdict: a colour, a marker that tells it apart without colour, and whether it is filled."""

    colour: str
    marker: str
    filled: bool


VERDICT_LOOKS = {
    SUPPORTED: VerdictLook("#12755f", "o", True),
    OFF_SUPPORT: VerdictLook("#946a00", "D", True),
    NOT_IDENTIFIED: VerdictLook("#8e2a63", "X", False),
    "identified": VerdictLook("#4a5a78", "s", True),
    NO_GUARANTEE: VerdictLook("#5b5570", "v", False),
}
"""The three verdicts, and those given where support is unknown and where the model class identifies nothing."""


def style_context() -> AbstractContextManager[None]:
    """A context in which figures are built and drawn; the settings outside it are left as they were."""
    return style.context(["default", _SETTINGS])


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorator of a function that returns a figure: the house style, and a layout that is settled.

    Args:
        draw: Builds a figure on `new_figure`.

    Returns:
        The same function; its figure looks the same whatever the user's matplotlib settings are, and every time.

    Example:
        >>> import matplotlib
        >>> with matplotlib.rc_context({"font.size": 40.0}):
        ...     figure = styled(lambda: new_figure(2.0))()
        >>> figure.get_size_inches().tolist()
        [7.5, 2.0]
    """

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with style_context():
            figure = draw(*args, **kwargs)
            settle_layout(figure)
        return figure

    return drawn


def new_figure(height: float, *, width: float = WIDTH, side: float = 0.06) -> Figure:
    """An empty figure that belongs to no window and no pyplot.

    Args:
        height: In inches.
        width: In inches; a column of the page by default.
        side: Inches kept free at the left and the right of every axes.

    Returns:
        A matplotlib figure with a constrained layout.

    Example:
        >>> new_figure(3.0).get_size_inches().tolist()
        [7.5, 3.0]
    """
    engine = ConstrainedLayoutEngine(w_pad=side, h_pad=0.06, wspace=0.05, hspace=0.06)
    figure = Figure(figsize=(width, height), layout=engine, facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def plain_decades(axis: Axis, low: float, high: float) -> None:
    """Plain numbers on a logarithmic axis, at 1, 2 and 5 where it spans less than two decades."""
    axis.set_minor_locator(LogLocator(subs=(2.0, 5.0) if high < 100 * low else ()))
    for place in (axis.set_major_formatter, axis.set_minor_formatter):
        place(lambda value, _: f"{value:,g}")


def settle_layout(figure: Figure) -> None:
    """Let the layout engine place the axes, then dismiss it: from here on positions in points are final."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def figure_png(figure: Figure, *, dpi: float = 192) -> bytes:
    """PNG of a figure in the house style, without a date or a version: the same figure gives the same bytes.

    Args:
        figure: From any function of `pdae_sim.report`.
        dpi: Pixels per inch.

    Returns:
        The bytes of the file.

    Example:
        >>> figure_png(new_figure(1.0))[1:4]
        b'PNG'
    """
    buffer = io.BytesIO()
    with style_context():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def tint(colour: str, share: float) -> tuple[float, float, float]:
    """`colour` mixed with white: share 1 is the colour, 0 is white."""
    red, green, blue = (1 - share * (1 - channel) for channel in to_rgb(colour))
    return red, green, blue


def environment_colour(position: int) -> str:
    """The muted colour of the training environment at this position."""
    return ENVIRONMENTS[position % len(ENVIRONMENTS)]
