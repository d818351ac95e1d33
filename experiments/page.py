"""The report of a study: question, claim, prediction, figure, table, how to reproduce."""

from __future__ import annotations

from types import ModuleType

from pdae_sim import __version__
from pdae_sim.report.page import Illustration, Page, Section, Table
from pdae_sim.study.spec import Study


def study_page(study: Study, module: ModuleType, rows: list[dict]) -> Page:
    """A page from what a study declares and the rows it has."""
    failures = [row for row in rows if row["status"] != "ok"]
    done = len({row["task_id"] for row in rows})
    return Page(
        title=study.question,
        lead=f"Study {study.name}; claims {study.claim}; {done} of {len(study.tasks)} tasks finished.",
        sections=(
            Section("What theory predicts", paragraphs=(study.prediction,)),
            Section(
                "What was measured",
                paragraphs=(module.setting(study), *module.findings(rows)),
                figures=(Illustration(module.figure(rows), caption=module.CAPTION),),
                tables=(Table(module.COLUMNS, module.summary(rows), note=f"{len(failures)} rows are failures."),),
            ),
        ),
        colophon=f"pdae_sim {__version__}. Reproduce with: python -m experiments run {study.name} --out DIR",
    )
