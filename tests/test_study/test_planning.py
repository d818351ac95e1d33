"""What a study will take: by the cost model, by finished tasks, by both."""

from __future__ import annotations

import pytest

from pdae_sim.study.planning import plan_study
from pdae_sim.study.running import run_study
from pdae_sim.study.spec import Cost, Study
from pdae_sim.study.store import Store
from tests.test_study import toys
from tests.test_study.test_declaration import declared


class TestPlan:
    def test_is_by_the_cost_model_first(self):
        found = plan_study(declared().study(), workers=2)
        assert (found.tasks, found.finished, found.how) == (4, 0, "by the cost model")
        assert 0 < found.seconds < 60
        assert 100 < found.peak_mib < 4000

    def test_knows_that_larger_worlds_and_longer_fits_take_longer(self):
        def seconds(**changes):
            return plan_study(declared(**changes).study()).seconds

        quick = seconds()
        assert seconds(estimators=["pdae"]) > 3 * quick
        assert seconds(seeds=20) == pytest.approx(10 * quick)

    def test_follows_finished_tasks_once_there_are_some(self, tmp_path):
        store, study = Store(tmp_path), toys.study(10, sleep=0.1)
        assert plan_study(study, store).seconds is None
        run_study(study, store, shard=(1, 2))
        found = plan_study(study, store)
        assert (found.finished, found.how) == (5, "by the median of 5 finished tasks")
        assert 0.4 < found.seconds < 2.0
        assert plan_study(study, store, workers=5).seconds < 0.5

    def test_scales_the_cost_model_to_them(self, tmp_path):
        model = Study(
            "toy", "", "", "", toys.study(4, sleep=0.1).tasks, toys.perform, cost=lambda task: Cost(100.0, 1.0)
        )
        run_study(model, Store(tmp_path), shard=(1, 2))
        assert 0.15 < plan_study(model, Store(tmp_path)).seconds < 2.0
