"""Fitted models as directories, fits under way as checkpoints: safetensors and JSON, written whole, no pickle."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from pdae_sim._files import refuse_existing, whole_file
from pdae_sim.errors import InputError
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._early_stopping import Best
from pdae_sim.estimation.networks import Network
from pdae_sim.estimation.training import Phase, Progress

SCHEMA_VERSION = 2
CHECKPOINT_SECONDS = 10.0

log = logging.getLogger(__name__)


def save(directory: Path, config: dict, tensors: dict[str, torch.Tensor], history: list[dict], *, force: bool) -> None:
    """Write a model directory beside its final place, then rename it there."""
    check_place(directory, force=force)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.absolute().parent))
    except OSError as error:
        raise InputError(f"{directory}: cannot write beside it ({error.strerror}); make the folder first") from None
    try:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary / "weights.safetensors")
        (temporary / "config.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION, **config}, indent=1))
        (temporary / "history.json").write_text(json.dumps(history))
        temporary.chmod(0o755)
        _replace_directory(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_place(directory: Path, *, force: bool) -> None:
    """Raise an InputError if a model cannot be saved there; worth asking before a long fit."""
    refuse_existing(directory, force=force)
    parent = directory.absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(f"{directory}: cannot write in folder {parent}; make it or choose another")
    if directory.exists() and not (directory / "config.json").is_file():
        raise InputError(f"{directory}: exists and is not a model; choose another name")


def load(directory: Path) -> tuple[dict, dict[str, torch.Tensor], list[dict]]:
    """Config, tensors and history of a model directory."""
    try:
        config = json.loads((directory / "config.json").read_text())
        history = json.loads((directory / "history.json").read_text())
        tensors = load_file(directory / "weights.safetensors")
    except (OSError, json.JSONDecodeError, SafetensorError) as error:
        raise InputError(f"{directory}: not a complete model directory ({error}); fit it again") from None
    written = config.pop("schema_version", 0)
    if written != SCHEMA_VERSION:
        fix = "update pdae_sim" if written > SCHEMA_VERSION else "fit the model again, the networks have changed"
        raise InputError(f"{directory}: config.json has schema_version {written}, this is {SCHEMA_VERSION}; {fix}")
    return config, tensors, history


def resumable(
    train: Callable,
    network: Network,
    cells: Cells,
    phases: tuple[Phase, ...],
    *,
    beta: float,
    checkpoint: str | os.PathLike | None,
    on_step: Callable[[Progress], None] | None,
    identity: dict,
) -> list[list[dict]]:
    """Run `train`, from its checkpoint where there is one that belongs to this very fit; return its histories."""
    path = Path(checkpoint) if checkpoint is not None else None
    mark = fingerprint(cells, identity) if path else ""
    progress, optimiser_state = restore(path, network, mark) if path and path.is_file() else (Progress(), None)
    last = time.monotonic()

    def after_step(progress: Progress, optimiser: torch.optim.Optimizer) -> None:
        nonlocal last
        if on_step:
            on_step(progress)
        done = progress.phase + 1 == len(phases) and progress.step == phases[-1].steps
        if path and (done or time.monotonic() - last > CHECKPOINT_SECONDS):
            write_checkpoint(path, network, optimiser, progress, mark)
            last = time.monotonic()

    return train(
        network, cells, [phases], beta=beta, progress=progress, optimiser_state=optimiser_state, after_step=after_step
    )


def fingerprint(cells: Cells, identity: dict) -> str:
    """A hash of the data and the settings of a fit."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    for array in (cells.x.cpu().numpy(), cells.labels.cpu().numpy(), *cells.rows[0]):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def write_checkpoint(
    path: Path, network: Network, optimiser: torch.optim.Optimizer, progress: Progress, mark: str
) -> None:
    """Parameters, optimiser state and position in one safetensors file."""
    tensors = {f"network.{k}": v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    for index, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v).cpu().contiguous() for k, v in slots.items()}
    if progress.best is not None:
        kept = {"best.losses": progress.best.losses}
        kept |= {f"best.{i}": parameter for i, parameter in enumerate(progress.best.parameters)}
        tensors |= {k: v.cpu().contiguous() for k, v in kept.items()}
    where = json.dumps({"phase": progress.phase, "step": progress.step, "histories": progress.histories})
    with whole_file(path, force=True) as temporary:
        save_file(tensors, temporary, metadata={"progress": where, "fingerprint": mark})


def restore(path: Path, network: Network, mark: str) -> tuple[Progress, dict | None]:
    """The position and optimiser state of a checkpoint, its parameters loaded; a fresh start if it is another fit's."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable checkpoint ({error}); delete it to start afresh") from None
    if metadata.get("fingerprint") != mark:
        log.warning("%s belongs to a fit with other data or settings; starting afresh", path)
        return Progress(), None
    state = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    network.load_state_dict(state)
    progress = Progress(**json.loads(metadata["progress"]), best=_best(tensors, network.shift.device))
    log.info("resuming from %s at phase %d, step %d", path, progress.phase + 1, progress.step)
    return progress, _optimiser_state(tensors)


def _best(tensors: dict[str, torch.Tensor], device: torch.device) -> Best | None:
    kept = {k.removeprefix("best."): v.to(device) for k, v in tensors.items() if k.startswith("best.")}
    if not kept:
        return None
    losses = kept.pop("losses")
    return Best(losses, [kept[str(i)] for i in range(len(kept))])


def _optimiser_state(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            slots.setdefault(int(index), {})[name] = value
    return slots


def _replace_directory(new: Path, final: Path) -> None:
    if final.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{final.name}.old.", dir=final.absolute().parent))
        os.replace(final, old / final.name)
        os.replace(new, final)
        shutil.rmtree(old)
    else:
        os.replace(new, final)
