"""The report room: figures that are only returned, and a page that is whole, safe and the same every time."""

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from matplotlib import _pylab_helpers
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from pdae_sim.errors import InputError
from pdae_sim.report import figures
from pdae_sim.report._palette import ENVIRONMENTS, NARROW, PREDICTED, TRUE, VERDICTS, WIDE
from pdae_sim.report._projection import principal_axes
from pdae_sim.report.page import (
    Callout,
    Fact,
    Illustration,
    Page,
    Section,
    Table,
    figure_to_png_base64,
    format_value,
    render,
)
from pdae_sim.verdicts import NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED

HOSTILE = '<script>alert("x")</script>$a_{$ & \'"'


def latents(n=300, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def result(condition, estimator, value, low=None, high=None, metric="energy_distance"):
    return {
        "condition": condition,
        "estimator": estimator,
        "metric": metric,
        "value": value,
        "low": low,
        "high": high,
    }


RESULTS = [
    result(HOSTILE, "pdae", 0.002, 0.0, 0.004),
    result(HOSTILE, "pool", 0.5, 0.4, 0.6),
    result(HOSTILE, "linear", float("nan")),
    result(HOSTILE, "ceiling", -0.001, 0.0, 0.001),
    result("A+B", "pdae", -0.003, 0.0, 0.001),
    result("A+B", "pool", None),
    result("A+B", "pdae", 900.0, 100.0, None, metric="n_eff"),
]

HISTORY = [
    {"phase": "ratios", "step": step, "density_ratio": 2.0 / (1 + step), "moments": float("nan") if step == 40 else 0.1}
    for step in range(0, 400, 10)
] + [
    {"phase": HOSTILE, "step": step, "perturbation": -0.5 + 1 / (1 + step), "note": "text"} for step in range(0, 100, 5)
]


def draw_causal_graph(width=WIDE):
    A = np.array([[0, 0, 0], [0.8, 0, 0], [-0.5, 1.2, 0]])
    return figures.causal_graph(A, np.eye(3), ("A", "B", HOSTILE), width=width)


def draw_support_map(width=WIDE):
    means = [[0, 0], [1, 0], [1.5, 1.5], [4, 4], [0.5, 0]]
    roles = ["train", "train", OFF_SUPPORT, NOT_IDENTIFIED, SUPPORTED]
    return figures.support_map(means, ["ctrl", "A", "A+B", HOSTILE, "A:0.5"], roles, 1.0, width=width)


def draw_samples(width=WIDE):
    names = [HOSTILE, "x1", "x2"]
    return figures.compare_samples(latents(d=3), latents(d=3, seed=1) + 0.2, title=HOSTILE, features=names, width=width)


def draw_latents(width=WIDE):
    z = latents()
    return figures.latents(z[:, ::-1], z + 0.1 * latents(seed=1), z, width=width)


def draw_shifts(width=WIDE):
    W = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, -1.0]])
    return figures.shift_vectors(W, W + 0.1, ("A", "B", HOSTILE), identified=[True, True, False], width=width)


def draw_curves(width=WIDE):
    return figures.training_curves(HISTORY, width=width)


def draw_bars(width=WIDE):
    return figures.estimator_bars(RESULTS, width=width)


DRAWINGS = [draw_causal_graph, draw_support_map, draw_samples, draw_latents, draw_shifts, draw_curves, draw_bars]
every_drawing = pytest.mark.parametrize("draw", DRAWINGS)


def words(figure):
    """All text of a figure, those of its axes included."""
    return [text.get_text().strip() for text in figure.findobj(matplotlib.text.Text)]


# Figures


@every_drawing
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_figure_is_returned_at_the_width_asked_for(draw, width):
    figure = draw(width)
    assert type(figure) is Figure
    assert figure.get_figwidth() == width


@every_drawing
def test_drawing_leaves_pyplot_and_settings_alone(draw):
    before = dict(matplotlib.rcParams)
    figure_to_png_base64(draw())
    assert not _pylab_helpers.Gcf.figs
    assert dict(matplotlib.rcParams) == before


def test_the_room_never_loads_pyplot():
    code = "import sys, pdae_sim.report.figures, pdae_sim.report.page; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@every_drawing
def test_the_same_input_gives_the_same_bytes(draw):
    figure = draw()
    assert figure_to_png_base64(figure) == figure_to_png_base64(figure) == figure_to_png_base64(draw())


def test_a_users_settings_do_not_change_a_figure():
    plain = figure_to_png_base64(draw_shifts())
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.bbox": "tight"}):
        assert figure_to_png_base64(draw_shifts()) == plain


def test_png_carries_no_date_and_no_version():
    png = base64.b64decode(figure_to_png_base64(draw_causal_graph()))
    assert png.startswith(b"\x89PNG")
    assert not any(chunk in png for chunk in (b"tEXt", b"iTXt", b"tIME"))


def overlap(boxes):
    """The largest overlap between two boxes (left, bottom, right, top), as the shorter side of their intersection."""
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    return max(min(min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])) for a, b in pairs)


def boxes_of(figure, texts):
    drawn = [t for t in figure.findobj(matplotlib.text.Text) if t.get_text() in texts]
    assert sorted(t.get_text() for t in drawn) == sorted(texts)
    return [t.get_window_extent(figure.canvas.get_renderer()).extents for t in drawn]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_labels_of_a_crowded_map_do_not_overlap(width):
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    means = np.column_stack([np.cos(angles), np.sin(angles)]) * 1.5
    names = [f"GENE{i}" for i in range(12)]
    figure = figures.support_map(means, names, ["train"] * 6 + [SUPPORTED] * 6, width=width)
    assert overlap(boxes_of(figure, names)) <= 0.5


def test_labels_of_coinciding_points_are_parted():
    figure = figures.support_map(np.zeros((4, 2)), list("ABCD"), ["train", SUPPORTED, SUPPORTED, NOT_IDENTIFIED])
    assert overlap(boxes_of(figure, list("ABCD"))) <= 0.5


@pytest.mark.parametrize("d", range(1, 7))
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nodes_of_the_causal_graph_do_not_overlap(d, width):
    figure = figures.causal_graph(np.tril(np.ones((d, d)), -1), np.eye(d), width=width)
    circles = figure.findobj(matplotlib.patches.Circle)
    centres = np.array([circle.center for circle in circles])
    gaps = np.linalg.norm(centres[:, None] - centres, axis=2)[~np.eye(d, dtype=bool)]
    assert len(circles) == d
    assert gaps.min(initial=np.inf) > 2 * circles[0].radius
    names = [f"P{k}" for k in range(d)]
    inside = np.array(boxes_of(figure, names))
    assert inside.min() >= 0
    assert inside[:, 2].max() <= figure.bbox.width


def test_causes_stand_to_the_left_of_effects():
    A = np.zeros((3, 3))
    A[0, 2], A[1, 0] = 1.0, 1.0  # 3 → 1 → 2
    centres = [circle.center[0] for circle in figures.causal_graph(A, np.eye(3)).findobj(matplotlib.patches.Circle)]
    assert centres[2] < centres[0] < centres[1]


def test_a_cycle_is_refused():
    with pytest.raises(InputError, match="cycle"):
        figures.causal_graph([[0, 1], [1, 0]], np.eye(2))


def test_an_unknown_role_is_refused():
    with pytest.raises(InputError, match="role must be one of"):
        figures.support_map([[0.0, 0.0]], ["A"], ["testing"])


@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_latent_figures_take_any_dimension(d):
    z, W = latents(d=d), latents(4, d).T
    drawn = [
        figures.latents(z, z, z),
        figures.shift_vectors(W, W),
        figures.support_map(W.T, list("ABCD"), ["train"] * 4),
        figures.compare_samples(z, z),
    ]
    assert all(isinstance(figure, Figure) for figure in drawn)


def test_equal_latents_have_r2_one_and_a_constant_has_none():
    z = latents()
    assert "$R^2$ = 1.000" in words(figures.latents(z, z, z))
    z[:, 1] = 3.0
    assert "$R^2$ = undefined" in words(figures.latents(z, z, z))


def test_a_shift_that_is_not_identified_is_dashed():
    def dashes(figure):
        arrows = figure.findobj(matplotlib.patches.FancyArrowPatch)
        return sum(arrow.get_linestyle() not in ("-", "solid") for arrow in arrows if arrow.get_arrowstyle())

    W = np.eye(2)
    assert dashes(figures.shift_vectors(W, W, identified=[True, False])) == 2 + dashes(figures.shift_vectors(W, W))


def test_principal_axes_do_not_flip():
    x = latents(d=4) * [4, 3, 2, 1]
    for sign in (1, -1):
        axes, share = principal_axes(sign * x)
        np.testing.assert_allclose(axes, principal_axes(x)[0], atol=1e-12)
    assert np.abs(axes).argmax(axis=1).tolist() == [0, 1]
    assert share[0] > share[1] > 0


def test_rows_that_are_not_finite_are_counted_not_hidden():
    x = latents()
    broken = x.copy()
    broken[:7, 0] = np.nan
    assert any("7 not finite" in word for word in words(figures.compare_samples(x, broken)))
    with pytest.raises(InputError, match="at least one finite row"):
        figures.compare_samples(x, np.full_like(x, np.inf))


def test_cells_beyond_the_frame_are_counted():
    x, far = latents(), latents(seed=1)
    far[:5] += 1e6
    assert any("5 outside the frame" in word or "outside" in word for word in words(figures.compare_samples(x, far)))


def test_constant_and_tiny_samples_are_drawn():
    assert isinstance(figures.compare_samples(np.zeros((5, 3)), np.ones((5, 3))), Figure)
    assert isinstance(figures.compare_samples(np.zeros((1, 2)), np.zeros((1, 2))), Figure)


def test_distances_that_are_not_positive_are_marked_at_the_floor():
    figure = draw_bars()
    assert words(figure).count("≤ noise") == 1
    assert words(figure).count("failed") == 2
    (axes,) = figure.axes
    low = axes.get_xlim()[0]
    markers = [line for line in axes.lines if line.get_marker() == "<"]
    assert len(markers) == 1
    assert markers[0].get_xdata()[0] == low > 0


@pytest.mark.parametrize("rows", [[], [result("A", "pdae", -1.0, 0.0, None)], [result("A", "pdae", float("nan"))]])
def test_bars_without_a_positive_value_are_drawn(rows):
    assert figure_to_png_base64(figures.estimator_bars(rows))


def test_training_curves_take_what_histories_hold():
    for history in ([], [{"phase": "a", "step": 0}], [{"phase": "a", "step": 0, "loss": float("nan")}], HISTORY):
        assert figure_to_png_base64(figures.training_curves(history))
    assert any("never finite" in word for word in words(figures.training_curves([{"step": 0, "loss": np.nan}])))
    assert [axes.get_yscale() for axes in draw_curves().axes] == ["log", "linear"]


def test_end_labels_are_parted():
    rows = [{"phase": "a", "step": s, **{f"term{k}": 1.0 + 1e-3 * k for k in range(6)}} for s in range(3)]
    figure = figures.training_curves(rows)
    labels = [t.get_text() for t in figure.findobj(Annotation)]
    assert len(labels) == 6
    assert overlap(boxes_of(figure, labels)) <= 0.5


# Page


class Reader(HTMLParser):
    """Tags, attributes and text of a page, and whether every element is closed."""

    VOID = frozenset({"meta", "link", "img", "path", "circle", "rect", "br"})

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def full_page():
    table = Table(
        ("condition", "verdict", HOSTILE, "value"),
        [(HOSTILE, SUPPORTED, "x" * 40, 1.0), ("B", NOT_IDENTIFIED, None, -np.inf), ("C", OFF_SUPPORT, "y", np.nan)],
        note=HOSTILE,
        title=HOSTILE,
    )
    section = Section(
        HOSTILE,
        [HOSTILE],
        [Illustration.of(draw_shifts, caption=HOSTILE), Illustration(draw_bars(), HOSTILE, HOSTILE)],
        [table],
        [Callout(kind, HOSTILE, HOSTILE) for kind in VERDICTS] + [Callout("note", HOSTILE)],
    )
    return Page(HOSTILE, HOSTILE, [section, Section("Empty"), Section("")], [Fact(0.5, HOSTILE, HOSTILE)], HOSTILE)


@pytest.fixture(scope="module")
def html():
    return render(full_page())


def test_a_page_is_well_formed_and_reaches_for_nothing_outside_itself(html):
    page = Reader(html)
    assert not page.open
    links = [value for name, value in page.attributes if name in {"src", "href", "srcset", "action", "data"}]
    assert links
    assert all(value.startswith(("data:", "#")) for value in links)
    assert not re.search(r"(https?:)?//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", html))
    assert not {"script", "iframe", "object", "embed", "form"} & set(page.tags)
    assert "default-src 'none'" in html


def test_hostile_names_stay_text(html):
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 15
    assert HOSTILE in "".join(Reader(html).text)
    assert not any(name.startswith("on") for name, _ in Reader(html).attributes)


def test_every_image_has_a_description_and_a_size(html):
    images = re.findall(r"<img ([^>]*)>", html)
    assert len(images) == 3
    assert all(re.search(r'alt="[^"]+" width="\d+" height="\d+"', image) for image in images)


def test_a_page_is_the_same_byte_for_byte(html):
    assert render(full_page()) == html


@pytest.mark.parametrize(
    "page", [Page(""), Page("T", sections=[Section("S")]), Page("T", sections=[Section("S", tables=[Table(())])])]
)
def test_empty_pages_sections_and_tables_render(page):
    assert not Reader(render(page)).open


def test_verdicts_are_told_apart_without_colour(html):
    for verdict in VERDICTS:
        assert f'<span class="name">{verdict}</span>' in html
    looks = [(look.marker, look.filled) for look in VERDICTS.values()]
    assert len(set(looks)) == len(looks)
    with pytest.raises(InputError, match="kind"):
        Callout("certainly", "text")


def luminance(colour):
    channels = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_colours_are_distinct_and_verdicts_readable_on_white():
    used = [TRUE, PREDICTED, *ENVIRONMENTS, *(look.colour for look in VERDICTS.values())]
    assert len(set(used)) == len(used)
    contrast = [1.05 / (luminance(look.colour) + 0.05) for look in VERDICTS.values()]
    assert min(contrast) >= 4.5  # WCAG AA for text


def test_tables_scroll_in_a_container_of_their_own(html):
    assert re.search(r'<div class="scroll" tabindex="0"[^>]*>\s*<table>', html)
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", html)


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(InputError, match="row 1 has 1"):
        Table(("a", "b"), [(1, 2), (1,)])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (np.nan, "–"),
        (np.inf, "∞"),
        (-np.inf, "−∞"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.012345, "0.0123"),
        (-1.5, "−1.50"),
        (1234.6, "1,235"),
        (9.999, "10.0"),
        (0.99999, "1.00"),
        (1234567, "1,234,567"),
        (-3, "−3"),
        (np.int64(5), "5"),
        (np.float32(0.5), "0.500"),
        (np.bool_(True), "yes"),
        (False, "no"),
        (0.00012, "0.000120"),
        (999_999.9, "1.00 × 10⁶"),
        (1.234e-7, "1.23 × 10⁻⁷"),
        (-2.5e9, "−2.50 × 10⁹"),
        ("A-B", "A-B"),
    ],
)
def test_numbers_read_as_they_should(value, text):
    assert format_value(value) == text
