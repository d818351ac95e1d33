"""Leases: one holder at a time, the dead are succeeded, the living are not."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from pdae_sim.study import leases as module
from pdae_sim.study.leases import Leases, alive, identity, running


@pytest.fixture
def pair(tmp_path):
    with Leases(tmp_path) as one, Leases(tmp_path) as two:
        yield one, two


def plant(folder, task, generation=0, *, age=0.0, **about):
    """A lease of a runner that is not there any more, or is elsewhere."""
    (folder / "leases").mkdir(parents=True, exist_ok=True)
    path = folder / "leases" / f"{task}.{generation}"
    path.write_text(json.dumps({"token": "planted", **identity(), **about}))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_live_lease_is_not_taken_over_and_a_released_one_is_free(pair, tmp_path):
    one, two = pair
    assert one.claim("t")
    assert not two.claim("t")
    assert not one.claim("t")
    assert one.holds("t")
    assert running(tmp_path) == {"t"}
    one.release("t")
    assert two.claim("t")


def test_a_lease_taken_as_an_interrupt_came_is_given_back(tmp_path):
    with Leases(tmp_path) as mine:
        mine.claim("t")
        mine._held.clear()
    assert not list((tmp_path / "leases").iterdir())


@pytest.mark.parametrize(
    ("about", "age", "taken"),
    [
        ({"pid": 2**22 + 1}, 0.0, True),  # no such process on this machine
        ({"born": "long ago"}, 0.0, True),  # the number is another process's now
        ({"machine": "elsewhere"}, 0.0, False),
        ({"machine": "elsewhere"}, 50.0, False),
        ({"machine": "elsewhere"}, 70.0, True),  # no heartbeat for longer than the expiry
        ({}, 0.0, False),
        ({}, 70.0, True),
    ],
)
def test_a_dead_lease_is_taken_over_and_a_live_one_is_not(about, age, taken, tmp_path):
    path = plant(tmp_path, "t", age=age, **about)
    assert alive(path) is not taken
    with Leases(tmp_path) as mine:
        assert mine.claim("t") is taken
    assert path.exists() is not taken


def test_a_heartbeat_keeps_every_lease_alive(tmp_path):
    with Leases(tmp_path, expiry=0.4) as one, Leases(tmp_path, expiry=0.4) as two:
        assert all(one.claim(task) for task in "abc")
        time.sleep(0.8)
        assert not any(two.claim(task) for task in "abc")
        one._over.set()  # the heart stops
        one._beating.join()
        time.sleep(0.6)
        assert all(two.claim(task) for task in "abc")
        assert not any(one.holds(task) for task in "abc")
        assert all(two.holds(task) for task in "abc")


def test_of_many_who_find_a_dead_lease_one_takes_it(tmp_path):
    for round_ in range(30):
        plant(tmp_path, f"t{round_}", pid=2**22 + 1)
        runners = [Leases(tmp_path) for _ in range(6)]
        won = in_threads([lambda r=runner, t=f"t{round_}": r.__enter__().claim(t) for runner in runners])
        assert sum(won) <= 1
        again = [runner for runner in runners if runner.claim(f"t{round_}")]
        assert sum(won) + len(again) == 1
        for runner in runners:
            runner.__exit__()
        assert not list((tmp_path / "leases").iterdir())


def test_a_task_never_has_two_holders(tmp_path):
    """Six runners claim and give back three tasks as fast as they can; a second holder is seen at once."""
    holders, twice, stop = dict.fromkeys("abc", 0), [], time.monotonic() + 1.0

    def contend() -> int:
        wins = 0
        with Leases(tmp_path) as mine:
            while time.monotonic() < stop:
                for task in "abc":
                    if mine.claim(task):
                        holders[task] += 1
                        time.sleep(0.001)
                        twice.append(holders[task] > 1)
                        holders[task] -= 1
                        mine.release(task)
                        wins += 1
        return wins

    assert sum(in_threads([contend] * 6)) > 20
    assert not any(twice)


def test_a_claim_that_only_looks_lets_two_in(tmp_path, monkeypatch):
    """The negative control: without the link that fails where there is one, both believe that they hold it."""
    barrier = threading.Barrier(2)
    monkeypatch.setattr(module.os, "link", lambda *_: barrier.wait())
    runners = [Leases(tmp_path) for _ in range(2)]
    won = in_threads([lambda r=runner: r.__enter__().claim("t") for runner in runners])
    assert won == [True, True]
    for runner in runners:
        runner.__exit__()


def in_threads(calls):
    results = [None] * len(calls)

    def call(i):
        results[i] = calls[i]()

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
