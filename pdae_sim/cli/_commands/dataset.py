"""`simulate`, `worlds` and `convert`: datasets made and brought in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

import pdae_sim
from pdae_sim import _files as files
from pdae_sim import analysis, io, simulation, study
from pdae_sim._checks import naming, near_misses
from pdae_sim.cli._options import DatasetOptions, Force, HoldOut, OutFile, Seed, command, on_command_line
from pdae_sim.cli._output import Output
from pdae_sim.cli._tables import Table
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PerturbationData, Simulation

_log = logging.getLogger(__name__)

_ROUNDED, _LOST = 200, 0.01  # cells that are tried, and standard deviations of latents that are told

_LISTED = 60
"""Conditions that are listed; of more those of test, and those of most cells, come first."""


@command
def simulate(
    output: Output,
    config: Annotated[str, typer.Argument(help="A TOML file, or the name of a world such as demo.")],
    out: OutFile,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, for example design.cells=100.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Overrides the configuration's seed.")] = None,
    force: Force = False,
) -> None:
    """Simulate a dataset with its truth."""
    files.check_target(out, force=force, suffix=".h5ad")
    overrides = (*(set_ or ()), *(() if seed is None else (f"seed={seed}",)))
    with naming(config):
        result = _configured(config, overrides).simulate()
    result.write(out, force=force)
    _tell_rounding(result)
    _describe(output, out, result.data, _Truth.of(result))


@command
def worlds(output: Output, seed: Seed = 0) -> None:
    """List the named worlds and the assumptions they break."""
    rows = [
        {"name": name, "breaks": simulation.world(name, seed=seed).breaks, "difficulty": entry.difficulty}
        for name, entry in simulation.WORLDS.items()
    ]
    lines = [(row["name"], ", ".join(row["breaks"]), row["difficulty"]) for row in rows]
    columns, prose = ("name", "breaks", "difficulty"), ("breaks", "difficulty")
    output.result({"worlds": rows}, Table("Named worlds", columns, lines, prose))


@command
def convert(
    output: Output,
    source: Annotated[Path, typer.Argument(metavar="TABLE", help=".csv, .tsv, .parquet, .h5ad, .zarr or .h5mu.")],
    out: OutFile,
    options: DatasetOptions,
    test: Annotated[list[str] | None, typer.Option(help="A condition to hold out; repeat for more.")] = None,
    transform: Annotated[str, typer.Option(help="none, log1p or log, applied to every numeric column.")] = "none",
    dose_scale: Annotated[
        list[str] | None,
        typer.Option(help="NAME=log:UNIT, NAME=hill:HALF or NAME=learn: labels are doses on that scale; repeat."),
    ] = None,
    hold_out: HoldOut = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Convert a table or a file of another tool. Its problems are listed all at once."""
    files.check_target(out, force=force, suffix=".h5ad")
    result = io.convert_file(source, test=test or (), transform=transform, **options)
    with naming("--dose-scale"):
        scales: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
        for name, scale in (_dose_scale(text, result.data, seed) for text in dose_scale or ()):
            if name in scales:
                raise InputError(f"{name!r} is given two scales; give one")
            scales[name] = _rounded(scale)
        data = analysis.scale_doses(result.data, scales) if scales else result.data
    with naming(f"{source}: --hold-out"):
        fresh = None if hold_out is None else study.choose_fresh(data, hold_out, seed)
    if fresh is None:
        data.write(out, force=force)
    else:
        output.say(f"{out}: {int(fresh.sum()):,} training cells are marked fresh: no fit reads them")
        io.write_data(out, data, split=_split(data, fresh), force=force)
    for name, scale in scales.items():
        output.say(f"{out}: labels of {_scaled(name, scale, result.data)}")
    _describe(output, out, data, conversion=result)


def _split(data: PerturbationData, fresh: np.ndarray) -> np.ndarray:
    """(n,) words of the split with cells that no fit reads."""
    return np.where(fresh, "fresh", np.where(data.held_out, "test", "train")[data.environment])


def _dose_scale(text: str, data: PerturbationData, seed: int) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """The perturbation and the scale that an option names."""
    from pdae_sim.labels import read_dose

    name, _, rule = text.rpartition("=")
    kind, _, number = rule.partition(":")
    if not name or kind not in ("log", "hill", "learn") or (kind == "learn") == bool(number):
        raise InputError(f"write NAME=log:UNIT, NAME=hill:HALF or NAME=learn; received {text!r}")
    if kind == "learn":
        return name, analysis.learn_dose_scale(data, name, rng=seed)
    unit = float(read_dose(number, where=repr(text)))
    return name, analysis.log_scale(unit) if kind == "log" else analysis.hill_scale(unit)


def _rounded(scale: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """The scale to four digits, so that its labels can be written."""
    return lambda doses: np.array([float(f"{value:.4g}") for value in scale(doses)])


def _scaled(name: str, scale: Callable[[np.ndarray], np.ndarray], data: PerturbationData) -> str:
    """What the doses of a perturbation became."""
    doses = np.unique(data.labels[:, data.names.index(name)])
    pairs = zip(doses[doses != 0], scale(doses[doses != 0]), strict=True)
    return f"{name}: " + ", ".join(f"{dose:g} is now {value:.4g}" for dose, value in pairs)


def _configured(config: str, overrides: tuple[str, ...]) -> simulation.WorldConfig:
    if config in simulation.WORLDS and not Path(config).exists():
        return simulation.world(config, overrides)
    if Path(config).suffix != ".toml":
        raise InputError(f"neither a .toml file nor a named world; {near_misses(config, simulation.WORLDS)}")
    return simulation.WorldConfig.read(Path(config), overrides)


@dataclass(frozen=True)
class _Truth:
    """What the simulator knows of the held-out conditions."""

    breaks: tuple[str, ...]
    recovery: str
    verdicts: dict[str, str]

    @classmethod
    def of(cls, result: Simulation) -> _Truth:
        simulator, data = pdae_sim.Simulator.from_state(result.simulator), result.data
        held_out = data.held_out
        judged = simulator.verdicts(data.labels[held_out], data.labels[~held_out], data.counts[~held_out])
        names = [name for name, apart in zip(data.conditions, held_out, strict=True) if apart]
        verdicts = {name: verdict.name for name, verdict in zip(names, judged, strict=True)}
        broken = simulator.assumptions(data.labels[~held_out]).broken
        return cls(broken, simulator.observation.recovery, verdicts)


def _tell_rounding(result: Simulation) -> None:
    """Say in a line where float32, in which cells are written, loses latents that f determines."""
    simulator = pdae_sim.Simulator.from_state(result.simulator)
    if simulator.assumptions().broken:
        return
    some = slice(_ROUNDED)
    z, x = result.truth.z[some], result.data.stored[some].astype(np.float32)
    off = float(np.abs(simulator.encode(x) - z).max() / z.std())
    if off > _LOST:
        told = "as they are written, in float32, cells tell latents to %.2g standard deviations; lower mixing.condition"
        _log.warning(told, off)


def _describe(
    output: Output,
    out: Path,
    data: PerturbationData,
    truth: _Truth | None = None,
    conversion: io.Conversion | None = None,
) -> None:
    split = ["test" if held_out else "train" for held_out in data.held_out]
    rows: list[dict] = [
        {"condition": c, "cells": n, "split": s}
        for c, n, s in zip(data.conditions, data.counts.tolist(), split, strict=True)
    ]
    payload = {"file": out, "cells": len(data.environment), "features": len(data.features), "conditions": rows}
    title = f"{out}: {len(data.environment)} cells, {len(data.features)} features"
    if truth is not None:
        rows = [row | {"verdict": truth.verdicts.get(row["condition"])} for row in rows]
        payload |= {"conditions": rows, "breaks": truth.breaks, "recovery": truth.recovery}
        title += f"; breaks {', '.join(truth.breaks)}" if truth.breaks else "; every assumption of the theory holds"
        title += f"; {truth.recovery}" if truth.recovery else ""
    text: list[str | Table] = []
    if conversion is not None:
        payload |= {"left_out": dict(conversion.left_out)}
        text = [_features(data), *filter(None, [on_command_line(conversion.in_words())])]
    shown = rows if len(rows) <= _LISTED else sorted(rows, key=lambda row: (row["split"] == "train", -row["cells"]))
    lines = [tuple(value or "" for value in row.values()) for row in shown[:_LISTED]]
    text = [f"and {len(rows) - _LISTED:,} more; --json lists all", *text] if rows[_LISTED:] else text
    output.result(payload, [Table(title, tuple(rows[0]), lines, prose=("verdict",)), *text])


def _features(data: PerturbationData) -> str:
    names = data.features
    return f"features: {', '.join(names[:8])}{f' and {len(names) - 8:,} more' if len(names) > 8 else ''}"
