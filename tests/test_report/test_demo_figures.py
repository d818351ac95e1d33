"""The figures of the demo's page: graph, support, cells, latents, shifts."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from pdae_sim.errors import InputError
from pdae_sim.report._causal_graph import causal_graph
from pdae_sim.report._cell_comparison import cell_comparison
from pdae_sim.report._latent_scatter import latent_scatter
from pdae_sim.report._projection import principal_axes
from pdae_sim.report._shift_vectors import shift_vectors
from pdae_sim.report._support_map import support_map
from pdae_sim.verdicts import NOT_IDENTIFIED, SUPPORTED
from tests.test_report.examples import sample
from tests.test_report.looks import boxes_of, overlap, words


class TestLabels:
    """Labels beside points cover neither each other nor leave the figure."""

    def test_those_of_a_crowded_map_do_not_overlap(self):
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        means = np.column_stack([np.cos(angles), np.sin(angles)]) * 1.5
        names = [f"GENE{i}" for i in range(12)]
        figure = support_map(means, names, ["train"] * 6 + [SUPPORTED] * 6)
        assert overlap(boxes_of(figure, names)) <= 0.5

    def test_those_of_coinciding_points_are_parted(self):
        figure = support_map(np.zeros((4, 2)), list("ABCD"), ["train", SUPPORTED, SUPPORTED, NOT_IDENTIFIED])
        assert overlap(boxes_of(figure, list("ABCD"))) <= 0.5


class TestCausalGraph:
    """Nodes have room, causes stand to the left of their effects."""

    @pytest.mark.parametrize("d", [1, 3, 6])
    def test_nodes_do_not_overlap(self, d):
        figure = causal_graph(np.tril(np.ones((d, d)), -1), np.eye(d))
        circles = figure.findobj(Circle)
        centres = np.array([circle.center for circle in circles])
        gaps = np.linalg.norm(centres[:, None] - centres, axis=2)[~np.eye(d, dtype=bool)]
        assert len(circles) == d
        assert gaps.min(initial=np.inf) > 2 * circles[0].radius
        inside = np.array(boxes_of(figure, [f"P{k}" for k in range(d)]))
        assert inside.min() >= 0
        assert inside[:, 2].max() <= figure.bbox.width

    def test_causes_stand_to_the_left_of_effects(self):
        A = np.zeros((3, 3))
        A[0, 2], A[1, 0] = 1.0, 1.0  # 3 → 1 → 2
        centres = [circle.center[0] for circle in causal_graph(A, np.eye(3)).findobj(Circle)]
        assert centres[2] < centres[0] < centres[1]

    def test_every_effect_and_every_shift_has_its_arrow_and_number(self, example):
        figure = example("causal graph")
        assert len(figure.findobj(FancyArrowPatch)) == 3 + 3 + 3  # to x, shifts, effects
        assert {"0.8", "−0.5", "1.2", "1"} <= set(words(figure))

    def test_a_cycle_is_refused(self):
        with pytest.raises(InputError, match="cycle"):
            causal_graph([[0, 1], [1, 0]], np.eye(2))


@pytest.mark.parametrize("d", [1, 4])
def test_latents_of_any_dimension_are_drawn(d):
    z, W = sample(d=d), sample(4, d).T
    figures = [
        latent_scatter(z, z, z),
        shift_vectors(W, W),
        support_map(W.T, list("ABCD"), ["train"] * 4),
        cell_comparison(z, z),
    ]
    assert all(isinstance(figure, Figure) for figure in figures)


def test_an_unknown_role_is_refused():
    with pytest.raises(InputError, match="role must be one of"):
        support_map([[0.0, 0.0]], ["A"], ["testing"])


def test_equal_latents_have_r2_one_and_a_constant_has_none():
    z = sample()
    assert "$R^2$ = 1.000" in words(latent_scatter(z, z, z))
    z[:, 1] = 3.0
    assert "$R^2$ = undefined" in words(latent_scatter(z, z, z))


def test_a_shift_that_is_not_identified_is_dashed():
    def dashes(figure):
        arrows = figure.findobj(FancyArrowPatch)
        return sum(arrow.get_linestyle() not in ("-", "solid") for arrow in arrows)

    W = np.eye(2)
    assert dashes(shift_vectors(W, W, identified=[True, False])) == 2 + dashes(shift_vectors(W, W))


def test_principal_axes_do_not_flip():
    x = sample(d=4) * [4, 3, 2, 1]
    for sign in (1, -1):
        axes, share = principal_axes(sign * x)
        np.testing.assert_allclose(axes, principal_axes(x)[0], atol=1e-12)
    assert np.abs(axes).argmax(axis=1).tolist() == [0, 1]
    assert share[0] > share[1] > 0


class TestCells:
    """Samples that are broken, far away, constant or tiny."""

    def test_rows_that_are_not_finite_are_counted_not_hidden(self):
        x = sample()
        broken = x.copy()
        broken[:7, 0] = np.nan
        assert any("7 not finite" in text for text in words(cell_comparison(x, broken)))
        with pytest.raises(InputError, match="at least one finite row"):
            cell_comparison(x, np.full_like(x, np.inf))

    def test_cells_beyond_the_frame_are_counted(self):
        x, far = sample(), sample(seed=1)
        far[:5] += 1e6
        assert any("outside the frame" in text for text in words(cell_comparison(x, far)))

    def test_constant_and_tiny_samples_are_drawn(self):
        assert isinstance(cell_comparison(np.zeros((5, 3)), np.ones((5, 3))), Figure)
        assert isinstance(cell_comparison(np.zeros((1, 2)), np.zeros((1, 2))), Figure)

    def test_every_cell_enters_the_key(self, example):
        assert {"true, 300 cells", "predicted, 300 cells"} <= set(words(example("cells")))
        assert matplotlib.rcParams["savefig.bbox"] is None
