"""The command line, thin: read, call, write.

| name | what it does |
|---|---|
| `main` | run `pdae-sim` with the arguments of the process, or with others, and exit with its status |
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `pdae-sim` and exit with its status.

    Args:
        arguments: What follows the name of the program; by default those of the process.

    Raises:
        SystemExit: Always. Status 0: fine; 1: a check failed; 2: bad input or usage, told in one line on standard
            error; 3: some tasks of a study failed, or nothing had cells enough to be judged; 4: a bug, its traceback
            in a file to send; 130: interrupted.
    """
    from pdae_sim.cli._app import run

    raise SystemExit(run(arguments))
