"""Workers: threads, shards, extras that are missing."""

from __future__ import annotations

import os
import signal
import time
import warnings

import pandas as pd
import pytest

from pdae_sim.errors import InputError
from pdae_sim.study import backends, running
from pdae_sim.study._driving import drive
from pdae_sim.study.backends import Dask, Loky, _follow
from pdae_sim.study.running import run_study
from pdae_sim.study.store import Store
from tests.test_study import toys


def table(folder) -> pd.DataFrame:
    return pd.read_parquet(folder / "results.parquet")


class TestWorkers:
    def test_threads_do_not_outnumber_the_cores(self, monkeypatch):
        monkeypatch.setattr("pdae_sim.study.running.cores", lambda: 4)
        cases = [(1, 4), (2, 2), (4, 2), (4, 8)]
        assert [running._fitting_threads(*case) for case in cases] == [1, 2, 2, 1]

    @pytest.mark.parametrize(
        "backend", [None, Loky(1), pytest.param(Dask(workers=2), marks=pytest.mark.slow)], ids=["here", "loky", "dask"]
    )
    def test_compute_with_the_threads_they_are_given(self, backend, tmp_path):
        run_study(toys.study(1, threads), Store(tmp_path), backend=backend)
        assert set(table(tmp_path).value) == {1.0}

    def test_a_run_in_this_process_leaves_its_threads_as_they_were(self, tmp_path):
        import torch

        torch.set_num_threads(2)
        try:
            run_study(toys.study(1, threads), Store(tmp_path))
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(1)

    def test_a_shard_is_a_part(self, tmp_path):
        with pytest.raises(InputError, match="1 ≤ i ≤ n"):
            run_study(toys.study(), Store(tmp_path), shard=(3, 2))

    def test_an_extra_that_is_missing_is_named(self, monkeypatch):
        with pytest.raises(InputError, match=r"pip install 'pdae-sim\[slurm\]'"):
            backends._needed("no_such_module", "slurm")


def test_a_task_given_to_dask_again_is_computed_again():
    """A call that counts as pure is known by its arguments: that of a worker that died would be answered as before."""
    given = []

    class Client:
        def submit(self, *words, pure):
            given.append((*words, pure))
            return len(given)

    pool = backends._DaskPool(Client(), None, workers=1)
    assert [pool.submit("call", "batch"), pool.submit("call", "batch")] == [1, 2]
    assert given == [("call", "batch", False)] * 2
    assert pool._flying == {1, 2}


class Frail:
    """A pool whose workers die of some tasks, one batch at a time."""

    slots = 3

    def __init__(self, deadly: set[int]) -> None:
        self.deadly, self.batches, self.most = deadly, {}, 0

    def submit(self, call, batch):
        self.batches[len(self.batches)] = batch
        return len(self.batches) - 1

    def wait(self, handles):
        self.most = max(self.most, len(handles))
        return [min(handles)]

    def result(self, handle):
        if self.deadly & {task["seed"] for task in self.batches[handle]}:
            raise BrokenPipeError("gone")
        return toys.results(self.batches[handle])


class TestDrive:
    def test_the_task_that_kills_its_worker_is_found_and_all_others_are_done(self):
        pool = Frail({7})
        outcome = dict(drive(pool, None, ((i, {"seed": i}) for i in range(20))))
        assert [key for key, result in outcome.items() if isinstance(result, Exception)] == [7]
        assert len(outcome) == 20
        assert pool.most <= pool.slots

    def test_workers_that_always_die_end_the_run(self):
        with pytest.raises(InputError, match=r"5 workers died one after another \(BrokenPipeError: gone\)"):
            dict(drive(Frail(set(range(20))), None, ((i, {"seed": i}) for i in range(20))))


def threads(task: dict) -> list[dict]:
    import threadpoolctl
    import torch

    pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    return [{"seed": task["seed"], "metric": "threads", "value": max(torch.get_num_threads(), *pools)}]


def test_a_worker_ends_when_its_runner_was_killed():
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        runner = os.fork()
    if runner == 0:
        if os.fork() == 0:
            _follow(os.getppid())
            time.sleep(60)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(writing)
    os.waitpid(runner, 0)
    started = time.monotonic()
    assert os.read(reading, 1) == b""  # the end of the last process that could write
    assert time.monotonic() - started < 30
    os.close(reading)
