"""Laws of all figures: returned and not shown, the same every time, nothing cut, nothing covered."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
from matplotlib import _pylab_helpers
from matplotlib.figure import Figure

from pdae_sim.report import figure_png
from tests.test_report.examples import FIGURES
from tests.test_report.looks import overlap, visible_texts

MAY_TOUCH = {"causal graph", "latents"}  # numbers stand on their arrows, R² beside its panel


def test_a_figure_is_returned_at_the_width_of_the_page(each):
    _, figure, _ = each
    assert type(figure) is Figure
    assert figure.get_figwidth() == 7.5


def test_nothing_is_cut_and_nothing_overlaps(each):
    name, figure, _ = each
    texts = visible_texts(figure)
    assert texts
    for text, (left, bottom, right, top) in texts:
        assert min(left, bottom) >= 0, text
        assert right <= figure.bbox.width, text
        assert top <= figure.bbox.height + 1, text
    if name not in MAY_TOUCH:
        assert overlap([box for _, box in texts]) <= 2.0  # pixels; boxes of lines of text touch


def test_a_cut_text_is_noticed():
    """The negative control of the law above."""
    figure = FIGURES["evaluation"]()
    figure.text(0.95, 0.5, "far too long for its place")
    assert any(box[2] > figure.bbox.width for _, box in visible_texts(figure))


def test_drawn_twice_it_has_the_same_bytes_and_leaves_no_trace(each):
    name, _, png = each
    settings = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.bbox": "tight"}):
        assert figure_png(FIGURES[name](), dpi=96) == png
    assert dict(matplotlib.rcParams) == settings
    assert not _pylab_helpers.Gcf.figs


def test_a_png_carries_no_date_and_no_version(each):
    _, _, png = each
    assert png.startswith(b"\x89PNG")
    assert not any(chunk in png for chunk in (b"tEXt", b"iTXt", b"tIME"))


def test_importing_figures_never_loads_pyplot():
    names = ", ".join(f"pdae_sim.report.{name}" for name in ("page", "evaluation", "verdicts", "_support_map"))
    code = f"import sys, {names}; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
