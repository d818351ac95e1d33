"""Figures as files: an option that several commands share, checked before the work and written after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pdae_sim import _files as files
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = Annotated[Path | None, typer.Option("--figure", help="Where to write a picture of the result, .png.")]

_PIXELS = 192  # an inch


def check_picture(path: Path | None, *, force: bool) -> None:
    """Raise an InputError if a picture cannot be written there; nothing where none is wanted."""
    if path is None:
        return
    if path.suffix != ".png":
        raise InputError(f"{path}: --figure must end in .png; choose such a name")
    files.check_target(path, force=force)


def draw(path: Path | None, figure: Callable[[], Figure], *, force: bool) -> None:
    """Draw and write a figure, whole or not at all, where one is wanted."""
    if path is None:
        return
    from pdae_sim.report._palette import house_style

    with files.whole_file(path, force=force) as temporary, house_style():
        figure().savefig(temporary, format="png", dpi=_PIXELS, metadata={"Software": None})
