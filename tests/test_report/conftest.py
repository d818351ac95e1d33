"""Every figure is drawn once; its picture is made once; many laws look at them."""

from __future__ import annotations

from functools import cache

import pytest

from pdae_sim.report import figure_png
from tests.test_report.examples import FIGURES


@cache
def drawn(name):
    figure = FIGURES[name]()
    return figure, figure_png(figure, dpi=96)  # the figure's own resolution: places in pixels stay as they are


@pytest.fixture(params=FIGURES)
def each(request):
    """Name, figure and PNG of an example."""
    return request.param, *drawn(request.param)


@pytest.fixture
def example():
    """A figure by its name in `FIGURES`."""
    return lambda name: drawn(name)[0]
