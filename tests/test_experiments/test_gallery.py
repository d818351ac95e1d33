"""The picture of the zoo is drawn, and what it writes above a panel is what was measured."""

from experiments import gallery


def test_every_family_has_a_panel():
    panels = gallery.picture(cells=20).axes
    titles = [panel.get_title() for panel in panels]
    assert len(panels) == len(gallery.PLANES) + 1
    assert all(any(title.startswith(kind) for title in titles) for kind in gallery.PLANES)
    assert sum("not injective" in title for title in titles) == 2
    assert all(len(panel.collections) == len(gallery.SHIFTS) for panel in panels)


def test_a_linear_mixing_has_no_difficulty():
    assert gallery.difficulty(gallery.mixing_of("linear", 2, 0)) == "condition 1.0, nonlinearity 0.00"


def test_the_grid_is_bent_by_what_bends():
    line = gallery.grid()[0]
    assert gallery.mixing_of("coupling", 2, 3)(line).shape == line.shape
