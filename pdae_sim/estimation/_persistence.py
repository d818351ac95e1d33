"""Fitted models as directories: safetensors and JSON, written whole, no pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from pdae_sim._files import refuse_existing, set_aside, whole_folder
from pdae_sim._seals import SEAL, read_json, sealed, undamaged, unsealed
from pdae_sim.errors import InputError

SCHEMA_VERSION = 4
_UNSEALED = 3
"""The version before there was a checksum."""
_WEIGHTS, _HISTORY, _CONFIG = "weights.safetensors", "history.json", "config.json"
AGAIN = "fit it again, or copy it again from where it is whole"


def save(directory: Path, config: dict, tensors: dict[str, torch.Tensor], history: list[dict], *, force: bool) -> None:
    """Write a model directory beside its final place, then rename it there."""
    check_place(directory, force=force)
    with whole_folder(directory) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary / _WEIGHTS)
        (temporary / _HISTORY).write_text(json.dumps(history))
        mode = (temporary / _HISTORY).stat().st_mode  # as the umask says; weights are written for nobody else
        (temporary / _WEIGHTS).chmod(mode)
        seal(temporary, {"schema_version": SCHEMA_VERSION, **config})


def check_place(directory: Path, *, force: bool) -> None:
    """Raise an InputError if a model cannot be saved there; worth asking before a long fit."""
    refuse_existing(directory, force=force)
    parent = directory.absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(f"{directory}: cannot write in folder {parent}; make it or choose another")
    if directory.exists() and not (directory / "config.json").is_file():
        raise InputError(f"{directory}: exists and is not a model; choose another name")


def seal(directory: Path, config: dict) -> None:
    """Write config.json with a checksum of all that a model directory holds."""
    whole = sealed(config, directory / _HISTORY, directory / _WEIGHTS)
    (directory / _CONFIG).write_text(json.dumps(whole, indent=1))


def digest(directory: Path) -> str | None:
    """The checksum that a model directory was sealed with; None where there is none, or it was written before."""
    config = read_json(directory / _CONFIG, fix=AGAIN) if (directory / _CONFIG).is_file() else None
    return config.get(SEAL) if isinstance(config, dict) else None


def load(directory: Path) -> tuple[dict, dict[str, torch.Tensor], list[dict]]:
    """Config, tensors and history of a model directory.

    Raises:
        InputError: If it is not whole, not as it was written, or of another version.
    """
    if directory.is_file():
        raise InputError(f"{directory}: a file, where a model directory is expected; name the one that fit wrote")
    try:
        with undamaged(directory, AGAIN):
            config = read_json(directory / _CONFIG, fix=AGAIN)
            written = config.get("schema_version", 0) if isinstance(config, dict) else 0
            _check_version(directory, written)
            parts = directory / _HISTORY, directory / _WEIGHTS
            config = unsealed(config, *parts, where=directory, fix=AGAIN, required=written != _UNSEALED)
            history = read_json(directory / _HISTORY, fix=AGAIN, finite=False)
            if not (isinstance(history, list) and all(isinstance(row, dict) for row in history)):
                raise TypeError("history.json holds no list of rows")
            return config, load_file(directory / _WEIGHTS), history
    except FileNotFoundError as error:
        aside = set_aside(directory)
        fix = f"the model that was there is in {aside}, rename it back" if aside.is_dir() else AGAIN
        why = error if directory.is_dir() else "there is no such directory"
        raise InputError(f"{directory}: not a complete model directory ({why}); {fix}") from None


def _check_version(directory: Path, written: object) -> None:
    if written not in (SCHEMA_VERSION, _UNSEALED):
        newer = isinstance(written, int) and written > SCHEMA_VERSION
        fix = "update pdae_sim" if newer else "fit the model again, the networks have changed"
        raise InputError(f"{directory}: config.json has schema_version {written!r}, this is {SCHEMA_VERSION}; {fix}")
