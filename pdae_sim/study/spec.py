"""A study is a question, a prediction, and tasks that are pure functions of their descriptions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked
from pdae_sim._checks import at_least
from pdae_sim.errors import InputError
from pdae_sim.study.expectation import Expectation

_SCHEMA_VERSION = 2
"""Part of every task's id: a new version of what tasks mean makes old results count no longer."""


@dataclass(frozen=True)
class Cost:
    """What a task is expected to take on one thread.

    Args:
        seconds: Wall time.
        peak_mib: Peak resident memory of the process that performs it.

    Example:
        >>> Cost(seconds=2.0, peak_mib=300.0).seconds == 2.0
        True
    """

    seconds: float
    peak_mib: float


@dataclass(frozen=True, eq=False)
class Study:
    """What is asked, what theory predicts, and the tasks whose rows answer it.

    Args:
        name: Short name.
        question: The question in a sentence.
        claim: Number of the claim it tests.
        prediction: What the claim predicts, written before the study is run.
        tasks: Descriptions, each a mapping of JSON values with a `seed`, or with `seeds` for a block of replicates.
        perform: A module-level function, or a partial of one, from a description to rows with at least scenario,
            estimator, seed, condition, verdict, metric and value.
        cost: What a task is expected to take; `plan` shows its sum.
        timeout: Seconds after which a task is stopped and counts as a failure.
        expect: The parts of the prediction that the rows decide, if it is said so.

    Raises:
        InputError: If a task is declared twice, has no seed or holds what is no JSON value, or the timeout is not
            above zero.

    Example:
        >>> def perform(task):
        ...     return [{"seed": task["seed"], "metric": "square", "value": float(task["seed"] ** 2)}]
        >>> study = Study("squares", "Do squares grow?", "none", "They do.", [{"seed": 1}, {"seed": 2}], perform)
        >>> len(study.ids) == 2 and study.perform({"seed": 3})[0]["value"] == 9.0
        True
    """

    name: str
    question: str
    claim: str
    prediction: str
    tasks: Sequence[Mapping]
    perform: Callable[[dict], list[dict]]
    cost: Callable[[Mapping], Cost] | None = None
    timeout: float | None = None
    expect: Sequence[Expectation] = ()

    def __post_init__(self) -> None:
        if self.timeout is not None and not at_least("timeout", self.timeout, 0.0):
            raise InputError("timeout must be above 0 seconds; leave it out for none")
        for task in self.tasks:
            if not {"seed", "seeds"} & task.keys():
                raise InputError(f"study {self.name!r}: a task needs 'seed' (or 'seeds'); received {sorted(task)}")
        if len(set(self.ids)) < len(self.ids):
            raise InputError(f"study {self.name!r} declares the same task twice")

    @classmethod
    def said(cls, table: Mapping) -> Study:
        """The study that a declaration or study.json tells of, to be shown and not run.

        Args:
            table: Name, question, claim, prediction, and what it expects and its tasks if they are told.

        Raises:
            InputError: If what it expects is no expectation.
        """
        for key in ("name", "question", "claim", "prediction"):
            if not isinstance(table.get(key), str):
                raise InputError(f"{key} must be a text; received {table.get(key)!r}")
        expect = Expectation.parse_all(table.get("expect", []))
        tasks = list(table.get("tasks", ()))
        words = (table["name"], table["question"], table["claim"], table["prediction"])
        return cls(*words, tasks, _not_to_be_run, expect=expect)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The id of every task, in the order of the declaration."""
        return tuple(_task_id(self.name, task) for task in self.tasks)


def _not_to_be_run(task: dict) -> list[dict]:
    raise InputError("a study read from its folder cannot be run; run its declaration")


def _task_id(study: str, task: Mapping) -> str:
    """A hash of the canonical description of a task and the schema version."""
    return _digest({"schema": _SCHEMA_VERSION, "study": study, "task": dict(task)})[:16]


@checked
def task_root(task: Mapping, *names: object) -> np.random.SeedSequence:
    """The root of the random streams of a task: a spawn key from its own description.

    Equal descriptions give equal streams, whatever the order, worker or back end.

    Args:
        task: The description.
        names: Tell streams of one task apart.

    Example:
        >>> roots = task_root({"seed": 0, "cells": 10}), task_root({"cells": 10, "seed": 0})
        >>> roots[0].spawn_key == roots[1].spawn_key != task_root({"seed": 1}).spawn_key
        True
    """
    return _random.child(np.random.SeedSequence(0), _digest(dict(task)), *names)


@checked
def seeds_of(task: Mapping) -> list[int]:
    """The seeds of a task, one or a block.

    Args:
        task: Its description.

    Example:
        >>> seeds_of({"seed": 3}) == [3] and seeds_of({"seeds": [0, 1]}) == [0, 1]
        True
    """
    if not {"seed", "seeds"} & task.keys():
        raise InputError(f"a task needs 'seed' or 'seeds'; received {sorted(task)}")
    return list(task["seeds"]) if "seeds" in task else [task["seed"]]


def _digest(value: object) -> str:
    try:
        text = json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"a task must be made of finite JSON values ({error})") from None
    return hashlib.sha256(text.encode()).hexdigest()
