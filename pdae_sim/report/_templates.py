"""HTML from templates: escaped, strict about names, with values and figures as filters."""

from __future__ import annotations

import base64
from functools import cache

import jinja2
from matplotlib.figure import Figure

from pdae_sim.report._format import format_value
from pdae_sim.report._palette import figure_png


def render_template(name: str, **values: object) -> str:
    """The template of this name in this folder, filled in."""
    return _environment().get_template(name).render(**values)


def _png(figure: Figure, dpi: float) -> str:
    """PNG in base64."""
    return base64.b64encode(figure_png(figure, dpi=dpi)).decode("ascii")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pdae_sim.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"png": _png, "value": format_value}
    return environment
