"""Fitted models as directories: safetensors and JSON, written whole, no pickle."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pdae_sim._files import refuse_existing
from pdae_sim.errors import InputError

SCHEMA_VERSION = 3


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


def _replace_directory(new: Path, final: Path) -> None:
    if final.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{final.name}.old.", dir=final.absolute().parent))
        os.replace(final, old / final.name)
        os.replace(new, final)
        shutil.rmtree(old)
    else:
        os.replace(new, final)
