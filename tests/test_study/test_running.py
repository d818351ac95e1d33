"""The runner: the same table whoever computes it, nothing done twice, nothing lost, failures as rows."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

from pdae_sim.errors import InputError
from pdae_sim.study._execute import execute
from pdae_sim.study.backends import Dask, Loky, Slurm
from pdae_sim.study.merging import merge_stores
from pdae_sim.study.running import run_study
from pdae_sim.study.store import _COLUMNS as COLUMNS
from pdae_sim.study.store import Store, Tally
from tests.test_study import toys
from tests.test_study.processes import ended, finished, killed, started, until_more_than


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The bytes of the table of 30 tasks, made in peace by one worker."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run_study(toys.study(30, sleep=0.03), Store(folder))
    return toys.digest(folder)


def table(folder) -> pd.DataFrame:
    return pd.read_parquet(folder / "results.parquet")


class TestTheSameTable:
    @pytest.mark.parametrize(
        "backend",
        [pytest.param(Loky(1), marks=pytest.mark.slow), Loky(2), Dask(workers=2)],
        ids=["loky-1", "loky-2", "dask"],
    )
    def test_whatever_computes(self, backend, tmp_path, undisturbed):
        done = run_study(toys.study(30, sleep=0.03), Store(tmp_path), backend=backend)
        assert done == Tally(30, 30, 0)
        assert toys.digest(tmp_path) == undisturbed

    def test_slurm_jobs_as_local_processes(self, tmp_path):
        backend = Slurm(str(tmp_path / "logs"), jobs=2, executor="local")
        run_study(toys.study(3), Store(tmp_path / "slurm"), backend=backend)
        run_study(toys.study(3), Store(tmp_path / "here"))
        assert toys.digest(tmp_path / "slurm") == toys.digest(tmp_path / "here")

    def test_whatever_the_order(self, tmp_path):
        study = toys.study(6)
        for key, task in zip(study.ids[::-1], study.tasks[::-1], strict=True):
            run_study(toys.Study("toy", "why?", "2.4", "because", [task], toys.perform), Store(tmp_path / "backwards"))
            assert key in Store(tmp_path / "backwards").finished_ids()
        run_study(study, Store(tmp_path / "backwards"))
        run_study(study, Store(tmp_path / "forwards"))
        assert toys.digest(tmp_path / "backwards") == toys.digest(tmp_path / "forwards")

    def test_shards_merged(self, tmp_path, undisturbed):
        study = toys.study(30, sleep=0.03)
        stores = [Store(tmp_path / str(i)) for i in (1, 2, 3)]
        counts = [run_study(study, store, shard=(i, 3)).finished for i, store in enumerate(stores, 1)]
        assert counts == [10, 10, 10]
        assert merge_stores(stores, Store(tmp_path / "all")).finished == 30
        assert toys.digest(tmp_path / "all") == undisturbed

    def test_a_task_that_reads_the_clock_is_seen(self, tmp_path):
        for name in ("one", "two"):
            run_study(toys.study(2, clocked), Store(tmp_path / name))
        assert toys.digest(tmp_path / "one") != toys.digest(tmp_path / "two")

    def test_the_columns_are_those_of_the_contract_and_there_are_no_times(self, tmp_path):
        run_study(toys.study(2), Store(tmp_path))
        assert tuple(table(tmp_path).columns) == COLUMNS
        provenance = pd.read_parquet(tmp_path / "provenance.parquet")
        assert {"task_id", "seconds", "peak_mib", "threads", "device", "attempts", "torch"} <= set(provenance.columns)
        assert (provenance.peak_mib > 10).all()


def clocked(task: dict) -> list[dict]:
    return [{**row, "value": time.perf_counter()} for row in toys.perform(task)]


class TestOneRunnerAFolder:
    def test_a_second_one_is_refused_in_a_line_and_the_folder_can_be_read_meanwhile(self, tmp_path):
        study, store = toys.study(30, sleep=0.1), Store(tmp_path)
        runner = started(tmp_path, "--sleep", 0.1, "--workers", 1)
        until_more_than(tmp_path, 2, runner)
        for use in (lambda: run_study(study, store), lambda: merge_stores([store], store)):
            with pytest.raises(InputError) as refused:
                use()
            assert str(refused.value).startswith(f"{tmp_path}: another runner is at work in this folder; wait")
            assert "--shard i/n into another folder, then merge" in str(refused.value)
            assert "\n" not in str(refused.value)
        seen = store.tally(study.ids)
        assert seen.running
        assert 2 < seen.finished < 30
        assert len(store.rows(study.name, study.ids)) >= 3 * seen.finished
        killed(runner)
        assert not store.tally(study.ids).running
        assert run_study(toys.study(30), store).finished == 30  # SIGKILL leaves no dead lock

    def test_readers_do_not_keep_a_runner_out(self, tmp_path):
        study, store, over = toys.study(3), Store(tmp_path), threading.Event()
        run_study(study, store)
        looking = threading.Thread(target=lambda: [store.tally(study.ids) for _ in iter(over.is_set, True)])
        looking.start()
        try:
            for _ in range(20):
                run_study(study, store)
        finally:
            over.set()
            looking.join()

    def test_without_the_lock_tasks_are_done_twice(self, tmp_path):
        """The negative control: two runners that begin at once and do not ask."""
        for name in ("marks", "gate"):
            (tmp_path / name).mkdir()
        options = ("--marks", tmp_path / "marks", "--gate", tmp_path / "gate", "--workers", 1, "--tasks", 8)
        careless = [started(tmp_path / "careless", *options, "--careless") for _ in range(2)]
        assert ended(*careless) == [0, 0]
        assert max(toys.marks(tmp_path / "marks")) == 2

    def test_a_folder_that_cannot_be_locked_is_refused(self, tmp_path, monkeypatch):
        def unsupported(*_, **__):
            raise NotImplementedError("no flock here")

        monkeypatch.setattr("filelock.FileLock.acquire", unsupported)
        with pytest.raises(InputError, match="files cannot be locked there"):
            run_study(toys.study(), Store(tmp_path))


class TestKilled:
    def _disturbed(self, tmp_path, kills, rng):
        for _ in range(kills):
            runner, before = started(tmp_path), finished(tmp_path)
            until_more_than(tmp_path, before, runner)
            time.sleep(rng.uniform(0, 0.3))
            killed(runner)
            if finished(tmp_path) == 30:
                for path in sorted((tmp_path / "tasks").glob("*.json"))[::2]:
                    path.unlink()  # so that there is something left to be killed at
        assert ended(started(tmp_path)) == [0]
        return toys.digest(tmp_path)

    @pytest.mark.slow
    def test_at_a_random_moment_loses_nothing(self, tmp_path, undisturbed):
        assert self._disturbed(tmp_path, 1, np.random.default_rng(0)) == undisturbed

    @pytest.mark.slow
    def test_twenty_times_at_random_moments_loses_nothing(self, tmp_path, undisturbed):
        assert self._disturbed(tmp_path, 20, np.random.default_rng(1)) == undisturbed

    def test_what_was_finished_is_not_done_again(self, tmp_path):
        (tmp_path / "marks").mkdir()
        runner = started(tmp_path / "store", "--marks", tmp_path / "marks", "--workers", 1)
        until_more_than(tmp_path / "store", 5, runner)
        killed(runner)
        done = finished(tmp_path / "store")
        assert ended(started(tmp_path / "store", "--marks", tmp_path / "marks")) == [0]
        marks = toys.marks(tmp_path / "marks")
        assert min(marks) == 1
        assert sum(marks) <= 30 + 64  # no more than the one batch that was under way
        assert marks[:done] == [1] * done

    def test_an_empty_file_that_a_crash_left_is_no_result(self, tmp_path):
        study, store = toys.study(3), Store(tmp_path)
        run_study(study, store)
        whole = toys.digest(tmp_path)
        (store.tasks / f"{study.ids[1]}.json").write_text("")
        assert store.tally(study.ids).finished == 2
        run_study(study, store)
        assert toys.digest(tmp_path) == whole


class TestInterrupted:
    @pytest.mark.parametrize(
        "options",
        [("--workers", 1), ("--workers", 2), pytest.param(("--dask",), marks=pytest.mark.slow)],
        ids=["1", "2", "dask"],
    )
    def test_leaves_a_consistent_store_and_exits_130(self, options, tmp_path, undisturbed):
        runner = started(tmp_path, "--sleep", 0.1, *options)
        until_more_than(tmp_path, 2, runner)
        os.killpg(runner.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        assert ended(runner) == [130]
        assert not Store(tmp_path).tally(toys.study(30).ids).running
        assert 2 < finished(tmp_path) < 30
        assert all(json.loads(path.read_text()) for path in (tmp_path / "tasks").glob("*.json"))


class TestFailures:
    @pytest.mark.parametrize("workers", [1, 2])
    def test_are_rows_with_traceback_and_seed_and_are_retried_on_request(self, workers, tmp_path, monkeypatch):
        broken, store = toys.study(last={"fails": True}), Store(tmp_path)
        assert run_study(broken, store, workers=workers).failed == 1
        row = table(tmp_path).query("status == 'failed'").iloc[0]
        assert "ArithmeticError: planted" in row.error
        assert "misbehave(task)" in row.error
        assert row.seed == 3
        assert run_study(broken, store).failed == 1
        assert run_study(broken, store, retry=True).failed == 1
        assert self._attempts(tmp_path) == [1, 1, 1, 2]
        monkeypatch.setenv("PDAE_SIM_MENDED", "1")
        assert run_study(broken, store, retry=True).failed == 0
        assert self._attempts(tmp_path) == [1, 1, 1, 3]

    def _attempts(self, folder):
        return pd.read_parquet(folder / "provenance.parquet").attempts.tolist()

    def test_a_value_that_is_not_finite_is_one(self, tmp_path):
        assert run_study(toys.study(1, toys.undefined), Store(tmp_path)).failed == 1
        assert set(table(tmp_path).error) == {"value not finite"}

    def test_a_value_that_no_file_holds_is_one(self, tmp_path):
        assert run_study(toys.study(1, toys.unspeakable), Store(tmp_path)).failed == 1
        assert "object is not JSON serializable" in table(tmp_path).error[0]

    @pytest.mark.parametrize(
        "backend", [None, Loky(1), pytest.param(Dask(workers=1), marks=pytest.mark.slow)], ids=["here", "loky", "dask"]
    )
    def test_a_task_without_end_is_stopped(self, backend, tmp_path):
        start = time.monotonic()
        study = toys.study(1, toys.swallowing, timeout=0.3)
        assert run_study(study, Store(tmp_path), backend=backend).failed == 1
        row = table(tmp_path).iloc[0]
        assert (row.status, row.seed) == ("timeout", 0)
        assert "stopped after 0.3 s" in row.error
        assert time.monotonic() - start < 60

    def test_a_task_without_end_is_given_up_in_the_thread_of_a_worker(self):
        """No signal reaches it there: its row is written, and the pool is told to let the worker go."""
        over, found = threading.Event(), []

        def endless(task):
            over.wait(30)
            return toys.perform(task)

        thread = threading.Thread(target=lambda: found.append(execute(endless, {"seed": 5}, timeout=0.1)))
        thread.start()
        thread.join(10)
        over.set()
        assert found[0].abandoned
        (row,) = json.loads(found[0].rows)
        assert (row["status"], row["seed"], row["error"]) == ("timeout", 5, "stopped after 0.1 s")

    def test_a_task_without_end_is_stopped_in_a_thread_too(self, tmp_path):
        """No signal reaches it there: a worker is started, and its main thread is."""
        study, found = toys.study(1, toys.swallowing, timeout=0.3), []
        thread = threading.Thread(target=lambda: found.append(run_study(study, Store(tmp_path))))
        thread.start()
        thread.join(60)
        assert found[0].failed == 1
        assert table(tmp_path).status[0] == "timeout"

    def test_a_task_in_time_is_not_stopped_later(self, tmp_path):
        assert run_study(toys.study(2, timeout=0.2), Store(tmp_path)).failed == 0
        time.sleep(0.3)

    def test_a_task_that_takes_its_worker_along_is_one_and_the_others_go_on(self, tmp_path):
        study = toys.study(6, last={"dies": True})
        done = run_study(study, Store(tmp_path), workers=2)
        assert (done.finished, done.failed) == (6, 1)
        row = table(tmp_path).query("status == 'died'").iloc[0]
        assert row.seed == 5
        assert "the worker ended before the task did" in row.error

    @pytest.mark.slow
    def test_workers_that_always_die_end_the_run(self, tmp_path):
        with pytest.raises(InputError, match="workers died one after another"):
            run_study(toys.study(8, dies=True), Store(tmp_path), workers=2)
