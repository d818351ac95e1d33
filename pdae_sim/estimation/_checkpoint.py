"""Checkpoints of a fit under way: parameters, optimisers and position in one safetensors file, written whole."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from pdae_sim._files import folder_beside, whole_file
from pdae_sim._seals import DamagedError, rebuilt, undamaged
from pdae_sim.errors import InputError
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._scaling import blocks
from pdae_sim.estimation.phases import Progress

CHECKPOINT_SECONDS = 10.0

_log = logging.getLogger(__name__)

Slots = dict[int, dict[str, torch.Tensor]]
"""State of an optimiser by parameter."""


@dataclass
class Position:
    """The position of a fit, with all that a resumed fit needs beside the parameters.

    Args:
        progress: Phase, step and histories.
        optimisers: Slots of the optimisers of the phase under way; empty at its start.
        best: State of its early stopping; empty at its start.
    """

    progress: Progress = field(default_factory=Progress)
    optimisers: list[Slots] = field(default_factory=list)
    best: list[torch.Tensor] = field(default_factory=list)


class Checkpoint:
    """The file that a fit saves its position to, and resumes from if it is there and belongs to this very fit.

    Args:
        path: The file.
        cells: The training cells.
        settings: All settings of the fit, as plain JSON values.
    """

    def __init__(self, path: str | PathLike, cells: Cells, settings: Mapping) -> None:
        self._path, self._mark = Path(path), _fingerprint(cells, settings)
        self._written, self._warned = time.monotonic(), False

    def restore(self, network: torch.nn.Module) -> Position:
        """The position saved, its parameters loaded; a fresh start without a file, or with that of another fit.

        Raises:
            InputError: If the file cannot be read.
        """
        if not self._path.is_file():
            return Position()
        fix = "delete it to start afresh"
        with undamaged(self._path, fix):
            with safe_open(self._path, "pt") as file:
                metadata = file.metadata() or {}
            tensors = load_file(self._path)
            if metadata.get("fingerprint") != self._mark or "content" not in metadata:
                _log.warning("%s belongs to a fit with other data or settings; starting afresh", self._path)
                return Position()
            if metadata["content"] != _content(tensors, metadata["progress"]):
                raise DamagedError(f"{self._path}: is not as it was written, its checksum says; {fix}")
            progress = rebuilt(Progress, json.loads(metadata["progress"]))
            slots, best = _slots(tensors), _under("best", tensors)
            network.load_state_dict(_under("network", tensors))
        _log.info("resuming from %s at phase %d, step %d", self._path, progress.phase + 1, progress.step)
        device = next(network.parameters()).device
        return Position(progress, slots, [best[str(i)].to(device) for i in range(len(best))])

    def save(
        self,
        network: torch.nn.Module,
        optimisers: Sequence[torch.optim.Optimizer],
        progress: Progress,
        best: Sequence[torch.Tensor],
        *,
        last: bool,
    ) -> None:
        """Write the position, if some seconds have passed or it is the `last` one."""
        if not last and time.monotonic() - self._written <= CHECKPOINT_SECONDS:
            return
        tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
        tensors |= {f"best.{i}": value for i, value in enumerate(best)}
        for i, optimiser in enumerate(optimisers):
            for parameter, slots in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{i}.{parameter}.{k}": torch.as_tensor(v) for k, v in slots.items()}
        held = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        position = json.dumps(vars(progress))
        metadata = {"progress": position, "fingerprint": self._mark, "content": _content(held, position)}
        try:
            # in a hidden folder, which is swept: safetensors begins files under a name of its own beside their place
            with whole_file(self._path, force=True) as temporary, folder_beside(self._path) as folder:
                save_file(held, folder / temporary.name, metadata=metadata)
                os.replace(folder / temporary.name, temporary)
        except (OSError, SafetensorError, InputError) as error:
            self._cannot_be_written(error)
        self._written = time.monotonic()

    def _cannot_be_written(self, error: Exception) -> None:
        """Say so once; a fit needs no checkpoint to go on."""
        if not self._warned:
            _log.warning("%s cannot be written (%s); the fit goes on without a checkpoint", self._path, error)
        self._warned = True


def _fingerprint(cells: Cells, settings: Mapping) -> str:
    """A hash of the data and the settings of a fit."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(str(tuple(cells.x.shape)).encode())
    for part in blocks(*cells.x.shape):
        digest.update(cells.x[torch.arange(part.start, part.stop)].cpu().numpy().data)
    for array in (cells.labels.cpu().numpy(), *cells.rows[0]):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _content(tensors: Mapping[str, torch.Tensor], progress: str) -> str:
    """A checksum of what a checkpoint holds."""
    digest = hashlib.sha256(progress.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.view(torch.uint8).numpy().data if tensor.ndim else str(tensor.item()).encode())
    return digest.hexdigest()


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")}


def _slots(tensors: Mapping[str, torch.Tensor]) -> list[Slots]:
    found: dict[int, Slots] = {}
    for key, value in _under("optimiser", tensors).items():
        optimiser, parameter, name = key.split(".", 2)
        found.setdefault(int(optimiser), {}).setdefault(int(parameter), {})[name] = value
    return [found[i] for i in sorted(found)]
