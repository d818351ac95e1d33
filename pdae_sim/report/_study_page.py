"""The page of a study: question, claim and prediction, setting, verdict, figure, table, how to reproduce."""

from __future__ import annotations

from pdae_sim import __version__
from pdae_sim.report._study_presentation import presentation
from pdae_sim.report.page import Illustration, Page, Section, Table
from pdae_sim.study.registry import StudyModule, StudyRegistry
from pdae_sim.study.spec import Study


def study_page(
    study: Study, rows: list[dict], *, module: StudyModule | None = None, registry: StudyRegistry | None = None
) -> Page:
    """Page of a study: what it declares, what was measured, and how to run it again.

    Args:
        study: The study.
        rows: Its long table, not empty.
        module: Shows a study in Python; a declared one is shown as medians, with verdicts on what it expects.
        registry: Tells by what command and name the study is run again.

    Returns:
        The page; `render_page` makes HTML of it.

    Example:
        >>> from pdae_sim.study import Study
        >>> study = Study("tiny", "Does it run?", "2.7", "It does.", [{"scenario": "demo", "seed": 0}], dict)
        >>> row = {"task_id": "t", "scenario": "demo", "estimator": "pdae", "metric": "n_eff", "value": 1.0}
        >>> study_page(study, [row | {"status": "ok"}]).title
        'Does it run?'
    """
    registry = registry or StudyRegistry()
    shown = presentation(study, module)
    verdict, *evidence = shown.findings(rows)
    done = len({row["task_id"] for row in rows})
    lead = verdict if done == len(study.tasks) else f"So far, with {done} of {len(study.tasks)} tasks: {verdict}"
    command = f"{registry.command} run {_name(study, module, registry)} --out DIR"
    return Page(
        title=study.question,
        lead=lead,
        sections=(
            Section("What theory predicts", paragraphs=(f"Tests claim {study.claim}.", study.prediction)),
            Section("How it was measured", paragraphs=(shown.setting(study),)),
            Section(
                "What came out",
                figures=(Illustration(shown.figure(rows), shown.CAPTION),),
                tables=(
                    Table(
                        shown.COLUMNS,
                        shown.summary(rows),
                        note=_note(study, module, rows),
                        title="The numbers behind the figure.",
                    ),
                ),
            ),
            Section("Was the prediction met?", paragraphs=evidence or [verdict]),
            Section("How to reproduce", paragraphs=(_reproduction(study, module, command),)),
        ),
        colophon=f"Study {study.name}, pdae_sim {__version__}. Reproduce with: {command}",
    )


def _note(study: Study, module: StudyModule | None, rows: list[dict]) -> str:
    done, failures = len({row["task_id"] for row in rows}), sum(row["status"] != "ok" for row in rows)
    failed = {0: "No row is a failure.", 1: "1 row is a failure."}.get(failures, f"{failures} rows are failures.")
    brackets = "" if module is None else " In brackets: 95 % intervals over worlds."
    return f"{done} of {len(study.tasks)} tasks finished. {failed}{brackets}"


def _name(study: Study, module: StudyModule | None, registry: StudyRegistry) -> str:
    """The study as the command line knows it: by name, else by a file of that name."""
    return study.name if module is not None or study.name in registry.declarations() else f"{study.name}.toml"


def _reproduction(study: Study, module: StudyModule | None, command: str) -> str:
    smoke = "; --smoke runs a small size that only shows that it works" if module is not None and module.SMOKE else ""
    return (
        f"{command} --workers 2 runs all {len(study.tasks)} tasks, keeps every finished one and goes on where it was "
        f"interrupted{smoke}. Every task is seeded by its own description, so that the table does not depend on order, "
        "workers or back end."
    )
