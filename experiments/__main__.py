"""The commands of `pdae-sim study`, which also know this project's own studies: `python -m experiments COMMAND`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pdae_sim.cli._app import run
from pdae_sim.cli._commands.study import study_app
from pdae_sim.study.registry import StudyModule, StudyRegistry

DECLARATIONS = Path(__file__).parent / "declarations"


def studies() -> Mapping[str, StudyModule]:
    """The studies with a page of their own, by name."""
    from experiments.studies import STUDIES

    return STUDIES


REGISTRY = StudyRegistry(studies, DECLARATIONS, "python -m experiments")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 fine, 2 bad input, 3 some tasks failed, 130 interrupted (what was finished is kept)."""
    return run(arguments, command=study_app, name=REGISTRY.command, studies=REGISTRY)


if __name__ == "__main__":
    sys.exit(main())
