"""The command line, thin: read, call, write. `main` is the entry point."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `pdae-sim` and exit with its status."""
    from pdae_sim.cli._app import run

    raise SystemExit(run(arguments))
