"""Figures as files, checked before the work and written after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pdae_sim import _files as files
from pdae_sim import report
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_figure(path: Path | None, *, force: bool) -> None:
    """Raise an InputError if a figure cannot be written there; nothing without a path."""
    if path is None:
        return
    if path.suffix != ".png":
        raise InputError(f"{path}: --figure must end in .png; choose such a name")
    files.check_target(path, force=force)


def write_figure(path: Path | None, draw: Callable[[], Figure], *, force: bool) -> None:
    """Draw and write a figure, whole or not at all; nothing without a path."""
    if path is None:
        return
    with files.whole_file(path, force=force) as temporary:
        temporary.write_bytes(report.figure_png(draw()))
