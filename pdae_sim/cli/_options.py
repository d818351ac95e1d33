"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Json = Annotated[bool, typer.Option("--json", help="The result alone on stdout, as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, …")]
File = Annotated[Path, typer.Argument(help="A dataset, .h5ad.")]
Model = Annotated[Path, typer.Argument(help="A fitted model, a directory.")]
Out = Annotated[Path, typer.Option("--out", help="Where to write.")]
