"""Models saved after a long fit: kept elsewhere where they cannot be written in their place."""

from __future__ import annotations

import shlex
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pdae_sim import _files as files
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PDAE


def save_or_keep(model: PDAE, out: Path, *, force: bool, checkpoint: Path) -> None:
    """Save a model; where that cannot be done keep it in the folder of temporary files, or in that of the user.

    Args:
        model: The fitted model.
        out: Its folder.
        force: Overwrite one that is there.
        checkpoint: File that the fit was saved to, removed once the model is saved.

    Raises:
        InputError: If it cannot be written to `out`; the line says where it is, or how to get it.
    """
    try:
        model.save(out, force=force)
    except (OSError, InputError) as error:
        kept = _kept(model, out.name)
        way = "no other place could be written either"
        way += f"; the same command goes on from {checkpoint}" if checkpoint.is_file() else ""
        raise InputError(f"{error}; {way if kept is None else _moved(kept, out, force=force)}") from None
    checkpoint.unlink(missing_ok=True)


def _moved(kept: Path, out: Path, *, force: bool) -> str:
    """How a model that is kept gets to its folder; `mv` alone would put it inside one that is there."""
    if out.exists() and not force:
        return f"the model is kept in {kept}"
    place = shlex.quote(str(out))
    return f"the model is kept, {f'rm -r {place} && ' if out.exists() else ''}mv {shlex.quote(str(kept))} {place}"


def _kept(model: PDAE, name: str) -> Path | None:
    """A place that a model could be written to instead; None if there is none."""
    for parent in (tempfile.gettempdir(), Path.home()):
        with suppress(OSError, InputError):
            folder = Path(tempfile.mkdtemp(prefix="pdae-sim-", dir=parent))
            try:
                model.save(folder / name)
                return folder / name
            except (OSError, InputError):
                files.remove(folder)
    return None
