"""A study is a declaration: a question, a prediction, and tasks that are pure functions of their descriptions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pdae_sim._checks import InputError

SCHEMA_VERSION = 1
"""Part of every task's id: a new version of what tasks mean makes old results count no longer."""


@dataclass(frozen=True, eq=False)
class Study:
    """What is asked, what theory predicts, and the tasks whose rows answer it.

    Args:
        name: Short name.
        question: The question in a sentence.
        claim: Number of the claim it tests.
        prediction: What the claim predicts, written before the study is run.
        tasks: Descriptions, each a flat mapping of JSON values with a `seed`.
        perform: A module-level function from a description to rows with at least scenario, estimator, seed, condition,
            verdict, metric and value.
    """

    name: str
    question: str
    claim: str
    prediction: str
    tasks: Sequence[Mapping]
    perform: Callable[[dict], list[dict]]

    def __post_init__(self) -> None:
        ids = [task_id(self.name, task) for task in self.tasks]
        if len(set(ids)) < len(ids):
            raise InputError(f"study {self.name!r} declares the same task twice")


def task_id(study: str, task: Mapping) -> str:
    """A hash of the canonical description of a task."""
    text = json.dumps({"schema": SCHEMA_VERSION, "study": study, "task": dict(task)}, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
