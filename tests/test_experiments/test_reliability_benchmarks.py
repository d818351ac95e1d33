"""The soak and the mutation score, each at a size that takes seconds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from experiments.benchmarks import mutation, soak


class TestSoak:
    def test_growing_memory_or_open_files_are_faults(self):
        level = soak.Tally(resident=[300.0] * 16, open_files=[9] * 16)
        found = soak.summary(level, minutes=1.0, seed=0, rows=3)
        assert (found["faults"], found["MiB a round after the first quarter"]) == (0, 0)
        for grown in (
            soak.Tally(resident=[300.0 + 10 * k for k in range(16)], open_files=[9] * 16),
            soak.Tally(resident=[300.0] * 16, open_files=[9] * 15 + [10]),
            soak.Tally(resident=[300.0] * 3, open_files=[9] * 3),
        ):
            with pytest.raises(RuntimeError):
                soak.summary(grown, minutes=1.0, seed=0, rows=3)

    def test_a_digest_is_of_names_and_bytes(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "x").write_text("1")
        first = soak.digest(tmp_path / "a")
        assert soak.digest(tmp_path / "none") is None
        (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
        assert soak.digest(tmp_path / "a") != first

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_some_rounds_end_as_those_that_nobody_disturbed(self, tmp_path):
        found = soak.soak(tmp_path, 2.0, 0)
        assert found["faults"] == 0
        assert found["rows of the long study"] > 0


class TestMutation:
    def test_every_module_has_tests_and_its_own_come_first(self):
        there = mutation.modules()
        assert len(there) > 50
        for module in there:
            assert all((mutation.ROOT / path).is_file() for path in mutation.tests_of(module))
        assert mutation.tests_of("pdae_sim/analysis/design.py")[0] == "tests/test_analysis/test_design.py"

    def test_annotations_do_not_count_and_what_is_no_python_is_none(self):
        bare = mutation._bare
        assert bare("def f(x: int | None) -> int: ...") == bare("def f(x: int + None): ...")
        assert bare("x = 1") != bare("x = 2")
        assert bare("def f(x, >>, y): ...") is None

    def test_a_score_leaves_out_what_is_equivalent(self):
        found = [
            {"module": "pdae_sim/labels.py", "outcome": outcome}
            for outcome in ("noticed", "noticed", "survived", "equivalent")
        ]
        assert mutation.score(found) == {"pdae_sim/labels.py": "2 of 3 (67%)", "all": "2 of 3 (67%)"}

    def test_mutants_are_those_of_the_seed(self):
        pytest.importorskip("cosmic_ray")
        first, second = (list(mutation.drawn(4, 1, "labels.py")) for _ in range(2))
        assert first == second
        assert {mutant.module for mutant in first} == {"pdae_sim/labels.py"}
        assert all(mutant.before != mutant.after for mutant in first)

    def test_a_fault_in_a_copy_is_noticed_and_none_is_not(self, tmp_path):
        (tmp_path / "test_one.py").write_text("def test_one(): assert 1 + 1 == 2\n")
        assert mutation.run_tests(tmp_path, ["test_one.py"]) == 0
        (tmp_path / "test_one.py").write_text("def test_one(): assert 1 + 1 == 3\n")
        assert mutation.run_tests(tmp_path, ["test_one.py"]) == 1
        assert Path.cwd() != tmp_path
