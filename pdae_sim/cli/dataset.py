"""`simulate` and `convert`: datasets made and brought in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pdae_sim import io, tables
from pdae_sim._checks import InputError, naming, near_misses
from pdae_sim.cli.options import Force, Json, Out, Quiet, Seed
from pdae_sim.cli.output import Output, table
from pdae_sim.data import PerturbationData


def simulate(
    config: Annotated[str, typer.Argument(help="A TOML file, or the name of a world such as demo.")],
    out: Out,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, for example design.cells=100.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Overrides the configuration's seed.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Simulate a dataset with its truth."""
    from pdae_sim.simulation.config import WorldConfig
    from pdae_sim.simulation.worlds import WORLDS, world

    output = Output.started(as_json, quiet)
    io.refuse_existing(out, force=force)
    overrides = [*(set_ or []), *([] if seed is None else [f"seed={seed}"])]
    if config in WORLDS and not Path(config).exists():
        simulation = world(config, tuple(overrides)).simulate()
    elif Path(config).suffix != ".toml":
        raise InputError(f"CONFIG {config!r} is neither a .toml file nor a named world; {near_misses(config, WORLDS)}")
    else:
        with naming(config):
            simulation = WorldConfig.read(Path(config), overrides).simulate()
    simulation.write(out, force=force)
    _describe(output, out, simulation.data)


def convert(
    source: Annotated[Path, typer.Argument(metavar="TABLE", help="A .csv or .parquet table.")],
    out: Out,
    condition_column: Annotated[str, typer.Option(help="Name of the condition column.")] = "condition",
    split_column: Annotated[str, typer.Option(help="Name of the column with train or test, if any.")] = "split",
    control: Annotated[str, typer.Option(help="The control's name.")] = "ctrl",
    separator: Annotated[str, typer.Option(help="Joins the parts of a condition.")] = "+",
    test: Annotated[list[str] | None, typer.Option(help="A condition to hold out; repeat for more.")] = None,
    transform: Annotated[str, typer.Option(help="none, log1p or log, applied to every numeric column.")] = "none",
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Convert a CSV or Parquet table to the dataset format; problems are listed all at once."""
    output = Output.started(as_json, quiet)
    data = tables.convert(
        source,
        out,
        condition=condition_column,
        split=split_column,
        control=control,
        separator=separator,
        test=test or (),
        transform=transform,
        force=force,
    )
    _describe(output, out, data)


def _describe(output: Output, out: Path, data: PerturbationData) -> None:
    split = ["test" if held_out else "train" for held_out in data.held_out]
    rows = list(zip(data.conditions, data.counts.tolist(), split, strict=True))
    payload = {
        "file": str(out),
        "cells": len(data.x),
        "features": data.x.shape[1],
        "conditions": [{"condition": c, "cells": n, "split": s} for c, n, s in rows],
    }
    title = f"{out}: {len(data.x)} cells, {data.x.shape[1]} features"
    output.result(payload, table(title, ("condition", "cells", "split"), rows))
