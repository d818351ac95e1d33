"""The report of a study: question, claim and prediction, setting, verdict, figure, table, how to reproduce."""

from __future__ import annotations

from types import ModuleType

from experiments import declared
from pdae_sim import __version__
from pdae_sim.report.page import Illustration, Page, Section, Table
from pdae_sim.study.spec import Study


def study_page(study: Study, module: ModuleType, rows: list[dict]) -> Page:
    """A page from what a study declares and the rows it has."""
    verdict, *evidence = module.findings(rows)
    command = f"python -m experiments run {_named(study, module)} --out DIR"
    return Page(
        title=study.question,
        lead=verdict,
        sections=(
            Section("What theory predicts", paragraphs=(f"Tests claim {study.claim}.", study.prediction)),
            Section("How it was measured", paragraphs=(module.setting(study),)),
            Section(
                "What came out",
                figures=(Illustration.of(module.figure, rows, caption=module.CAPTION),),
                tables=(Table(module.COLUMNS, module.summary(rows), note=_note(study, module, rows)),),
            ),
            Section("Was the prediction met?", paragraphs=evidence or [verdict]),
            Section("How to reproduce", paragraphs=(_reproduction(study, module, command),)),
        ),
        colophon=f"Study {study.name}, pdae_sim {__version__}. Reproduce with: {command}",
    )


def _note(study: Study, module: ModuleType, rows: list[dict]) -> str:
    done, failures = len({row["task_id"] for row in rows}), sum(row["status"] != "ok" for row in rows)
    failed = {0: "No row is a failure.", 1: "1 row is a failure."}.get(failures, f"{failures} rows are failures.")
    brackets = "" if module is declared else " In brackets: 95 % intervals over worlds."
    return f"{done} of {len(study.tasks)} tasks finished. {failed}{brackets}"


def _named(study: Study, module: ModuleType) -> str:
    """The study as the command line knows it: by name, else by a file of that name."""
    return study.name if module is not declared or study.name in declared.files() else f"{study.name}.toml"


def _reproduction(study: Study, module: ModuleType, command: str) -> str:
    smoke = "; --smoke runs a small size that only shows that it works" if module.SMOKE else ""
    return (
        f"{command} --workers 2 runs all {len(study.tasks)} tasks, keeps every finished one and goes on where it was "
        f"interrupted{smoke}. Every task is seeded by its own description, so that the table does not depend on order, "
        "workers or back end."
    )
