"""Blocks of replicates, fitted at once where a kind can, with the same rows where it cannot; the seconds of parts."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest

from pdae_sim.estimation.baselines import Control
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.tilting import Tilting
from pdae_sim.simulation.worlds import world
from pdae_sim.study import _estimators as estimators
from pdae_sim.study._costs import cost
from pdae_sim.study._estimators import EstimatorKind, FitJob, fit_all
from pdae_sim.study._execute import execute
from pdae_sim.study._stopwatch import recorded, timed
from pdae_sim.study.datasets import Dataset
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.running import run_study
from pdae_sim.study.store import Store
from tests.test_study import toys
from tests.test_study.test_declaration import TABLE

SMALL = {"design.cells": 40, "design.test_cells": 60, "design.test": ["A+B"]}


def declared(*fitted: object, **changes) -> Declaration:
    worlds = [{"base": "three-singles", "set": SMALL}]
    given = {"estimators": list(fitted), "metrics": ["mean_difference"], "seeds": 3, "replicates": 3, "worlds": worlds}
    return Declaration.parse({**TABLE, **given, **changes})


def performed(declaration: Declaration) -> list[dict]:
    study = declaration.study()
    return [row for task in study.tasks for row in study.perform(dict(task))]


class Toy:
    """A kind that counts: how it was asked, how often, and for which data."""

    def __init__(self, *, guilty: int | None = None, together: bool = True, short: bool = False) -> None:
        self.alone, self.blocks, self.guilty, self.short = [], [], guilty, short
        self.kind = EstimatorKind(self.fit, ("on",), fit_many=self.fit_many if together else None)

    def fit(self, job):
        self.alone.append(job)
        return self._fit(job)

    def fit_many(self, jobs):
        self.blocks.append(jobs)
        return [self._fit(job) for job in jobs][: -1 if self.short else None]

    def _fit(self, job):
        if job.seed == self.guilty:
            raise ArithmeticError("planted")
        return Control().fit(job.data)


@pytest.fixture
def toy(monkeypatch):
    """Puts a toy kind in its place, under the name ``toy``."""

    def put(**settings) -> Toy:
        made = Toy(**settings)
        monkeypatch.setitem(estimators.KINDS, "toy", made.kind)
        return made

    return put


class TestFitMany:
    def test_is_asked_once_for_a_block_and_gives_the_same_rows(self, toy):
        one = toy()
        block = performed(declared("additive", "toy"))
        assert ([len(jobs) for jobs in one.blocks], one.alone) == ([3], [])
        assert len({job.data.x.tobytes() for job in one.blocks[0]}) == 3
        assert all(set(job.fitted) == {"additive", "toy"} for job in one.blocks[0])
        two = toy(together=False)
        assert performed(declared("additive", "toy")) == block
        assert len(two.alone) == 3

    def test_is_not_asked_for_a_single_one(self, toy):
        one = toy()
        rows = performed(declared("toy", replicates=1))
        assert (one.blocks, len(one.alone)) == ([], 3)
        assert rows == performed(declared("toy"))

    def test_a_rest_of_one_is_fitted_alone(self, toy):
        one = toy()
        performed(declared("toy", replicates=2))
        assert ([len(jobs) for jobs in one.blocks], len(one.alone)) == ([2], 1)

    def test_that_fails_leaves_the_guilty_replicate_alone_a_failure(self, toy):
        peaceful = toy()
        whole = performed(declared("toy", "additive"))
        guilty = toy(guilty=peaceful.blocks[0][1].seed)
        rows = performed(declared("toy", "additive"))
        (failure,) = [row for row in rows if row["status"] != "ok"]
        assert (failure["estimator"], failure["seed"]) == ("toy", 1)
        assert "ArithmeticError: planted" in failure["error"]
        assert (len(guilty.blocks), len(guilty.alone)) == (1, 3)
        rest = [row for row in whole if (row["estimator"], row["seed"]) != ("toy", 1)]
        assert [row for row in rows if row["status"] == "ok"] == rest

    def test_that_gives_too_few_is_not_believed(self, toy):
        one = toy(short=True)
        assert {row["status"] for row in performed(declared("toy"))} == {"ok"}
        assert len(one.alone) == 3

    def test_may_rest_on_what_was_fitted_before(self, toy):
        one = toy()
        rows = performed(declared({"kind": "density_ratio", "name": "quick", "steps": 2, "cells": 8}, "toy"))
        assert {row["status"] for row in rows} == {"ok"}
        encoders = [job.fitted["quick"] for job in one.blocks[0]]
        assert len({id(encoder) for encoder in encoders}) == 3


class TestBlocks:
    def test_every_world_is_made_before_anything_is_fitted(self, toy, monkeypatch):
        order, one = [], toy()
        made = Dataset.of
        monkeypatch.setattr(Dataset, "of", lambda *given: order.append("world") or made(*given))
        fit_many = one.fit_many
        kind = EstimatorKind(one.fit, fit_many=lambda jobs: order.append("fit") or fit_many(jobs))
        monkeypatch.setitem(estimators.KINDS, "toy", kind)
        performed(declared("toy"))
        assert order == ["world"] * 3 + ["fit"]

    def test_a_world_that_cannot_be_made_is_a_row_and_the_others_go_on(self, toy, monkeypatch):
        one, made = toy(), Dataset.of
        whole = performed(declared("toy"))

        def broken(task, seed, folder):
            if seed == 1:
                raise ArithmeticError("planted")
            return made(task, seed, folder)

        monkeypatch.setattr(Dataset, "of", broken)
        rows = performed(declared("toy"))
        (failure,) = [row for row in rows if row["status"] != "ok"]
        assert (failure["seed"], failure["scenario"]) == (1, "three-singles")
        assert [row for row in rows if row["seed"] != 1] == [row for row in whole if row["seed"] != 1]
        assert [row["seed"] for row in rows] == sorted(row["seed"] for row in rows)
        assert len(one.blocks[-1]) == 2

    def test_a_judgement_that_fails_is_a_row_and_the_others_go_on(self, monkeypatch):
        from pdae_sim.study import _task as work

        judged, whole = work.evaluate, performed(declared("additive"))

        def broken(fitted, data, **settings):
            if len(calls := [*seen, 1]) == 2:
                seen.append(1)
                raise ArithmeticError("planted")
            seen[:] = calls
            return judged(fitted, data, **settings)

        seen: list[int] = []
        monkeypatch.setattr(work, "evaluate", broken)
        rows = performed(declared("additive"))
        assert [row["seed"] for row in rows if row["status"] != "ok"] == [1]
        assert [row for row in rows if row["seed"] != 1] == [row for row in whole if row["seed"] != 1]

    def test_of_kinds_that_are_fitted_one_by_one_have_the_rows_of_seeds_alone(self, monkeypatch):
        kind = estimators.KINDS["density_ratio"]
        monkeypatch.setitem(estimators.KINDS, "density_ratio", replace(kind, fit_many=None))
        fitted = ["linear", {"kind": "density_ratio", "name": "quick", "steps": 2, "cells": 8}]
        fitted.append({"kind": "tilting", "on": "quick"})
        metrics = ["mean_difference", "gram_error"]
        alone, block = (performed(declared(*fitted, metrics=metrics, replicates=n)) for n in (1, 3))
        assert alone == block

    def test_hold_all_their_worlds_at_once(self):
        large = [{"base": "three-singles", "set": {"design.cells": 100_000}}]
        (block,) = declared("additive", worlds=large).study().tasks
        single = {**block, "seed": 0}
        del single["seeds"]
        assert cost(block).peak_mib > cost(single).peak_mib + 500
        assert cost(block).seconds == pytest.approx(3 * cost(single).seconds)


class TestStopwatch:
    def test_adds_up_by_what_and_name(self):
        with recorded() as parts:
            for _ in range(2):
                with timed("fit", "a"):
                    time.sleep(0.01)
            with timed("judge", "a"):
                pass
        assert parts["fit"]["a"] >= 0.02 > parts["judge"]["a"] >= 0

    def test_records_what_fails_and_nothing_outside(self):
        with timed("fit", "before"):
            pass
        with recorded() as parts, pytest.raises(KeyError), timed("fit", "a"):
            raise KeyError
        with timed("fit", "after"):
            pass
        assert list(parts) == ["fit"]
        assert list(parts["fit"]) == ["a"]

    def test_records_one_within_another_apart(self):
        with recorded() as outer:
            with recorded() as inner, timed("fit", "a"):
                pass
            with timed("fit", "b"):
                pass
        assert (list(inner["fit"]), list(outer["fit"])) == (["a"], ["b"])


class TestProvenance:
    def test_holds_the_seconds_of_every_part_by_name(self, tmp_path):
        fitted = ["additive", {"kind": "density_ratio", "name": "quick", "steps": 2, "cells": 8}]
        study = declared(*fitted, metrics=["mean_difference", "gram_error"], replicates=2).study()
        store = Store(tmp_path)
        assert run_study(study, store).failed == 0
        table = pd.read_parquet(store.provenance)
        for text, seconds in zip(table.parts, table.seconds, strict=True):
            parts = json.loads(text)
            assert set(parts) == {"simulate", "fit", "judge"}
            assert set(parts["simulate"]) == {"three-singles"}
            assert set(parts["fit"]) == {"additive", "quick"}
            assert set(parts["judge"]) == {"additive", "quick", "ceiling", "oracle"}
            assert parts["fit"]["quick"] > parts["fit"]["additive"] > 0
            assert sum(sum(named.values()) for named in parts.values()) <= seconds + 1e-3

    def test_holds_them_of_a_task_that_was_stopped_too(self):
        def slow(task):
            with timed("fit", "slow"):
                toys.swallowing(task)

        outcome = execute(slow, {"seed": 0}, timeout=0.1)
        assert outcome.failed
        assert outcome.provenance["parts"]["fit"]["slow"] >= 0.09

    def test_holds_them_of_a_task_that_would_end_the_program(self):
        outcome = execute(lambda _: sys.exit("no cells"), {"seed": 3})
        (row,) = json.loads(outcome.rows)
        assert (row["status"], row["seed"]) == ("failed", 3)
        assert "SystemExit: no cells" in row["error"]

    def test_of_tasks_without_parts_is_as_it_was(self, tmp_path):
        run_study(toys.study(2), Store(tmp_path))
        assert set(pd.read_parquet(tmp_path / "provenance.parquet").parts) == {"{}"}


@pytest.mark.parametrize(("kind", "cls"), [("pdae", PDAE), ("tilting", Tilting), ("density_ratio", Tilting)])
@pytest.mark.parametrize("replicates", [1, 2])
def test_a_kind_that_is_tilted_predicts_by_cells_and_the_others_by_their_model(kind, cls, replicates):
    data = world("two-latents", ("design.cells=40", "design.test_cells=4")).simulate().data
    jobs = [FitJob(data, 2, seed, {"steps": 2}) for seed in range(replicates)]
    assert [type(each) for each in fit_all(kind, jobs)] == [cls] * replicates
