"""`python -m experiments`: exit statuses, one-line refusals, shards and merge, a declared file from run to report."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.__main__ import REGISTRY, main
from experiments.studies import STUDIES
from pdae_sim.cli._app import run
from pdae_sim.study.store import Store
from tests.test_study import toys
from tests.test_study.test_datasets import folder  # noqa: F401
from tests.test_study.test_declaration import TOML


@pytest.fixture
def stage(capsys):
    """Calls the command line of the project's studies and gives status, stdout and stderr."""

    def call(*words):
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(TOML.replace("seeds = 2", "seeds = 1"))
    return path


class TestInstalled:
    """`pdae-sim study`, from any folder, on files of one's own."""

    def test_plan_run_status_report_and_index_speak_json(self, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "small.toml").write_text(TOML.replace("seeds = 2", "seeds = 1"))

        def answer(*words: str) -> dict:
            assert run(["study", *words, "--json", "--quiet"]) == 0
            out, err = capsys.readouterr()
            assert not err
            return json.loads(out)

        assert answer("list") == {"studies": [{"name": "small", "question": "Does it run?"}], "unreadable": {}}
        planned = answer("plan", "small", "--workers", "1")
        assert (planned["study"], planned["tasks"], planned["finished"], planned["workers"]) == ("small", 2, 0, 1)
        done = answer("run", "small.toml", "--out", "out/a", "--workers", "1")
        assert done == {
            "study": "small",
            "total": 2,
            "finished": 2,
            "failed": 0,
            "running": False,
            "report": done["report"],
        }
        assert answer("status", "out/a")["finished"] == 2
        assert answer("merge", "out/a", "--out", "out/b")["finished"] == 2
        assert answer("report", "out/a") == {"report": "out/a/report.html"}
        assert "pdae-sim study run small --out DIR" in Path("out/a/report.html").read_text()
        assert answer("index", "out") == {"index": "out/index.html"}
        assert Path("out/index.html").read_text().count("Does it run?") == 2

    def test_a_folder_without_declarations_is_said(self, tmp_path, capsys):
        (tmp_path / "other.toml").write_text("a = 1")
        assert run(["study", "list", str(tmp_path)]) == 0
        assert "no file NAME.toml there declares a study" in capsys.readouterr().out

    def test_a_declaration_that_cannot_be_read_is_listed_with_the_reason(self, file, capsys):
        (file.parent / "broken.toml").write_text("name = ")
        assert run(["study", "list", str(file.parent)]) == 0
        listed = capsys.readouterr().out
        assert "small: " in listed
        assert "broken.toml cannot be read: not valid TOML: Invalid value" in listed

    def test_a_run_that_stopped_half_way_is_told_how_to_go_on(self, tmp_path, capsys):
        two = tmp_path / "two.toml"
        two.write_text(TOML)
        out = str(tmp_path / "out")
        assert run(["study", "run", str(two), "--out", out, "--workers", "1", "--shard", "1/2"]) == 0
        capsys.readouterr()
        assert run(["study", "status", out]) == 0
        assert "no runner is at work, run the study again" in capsys.readouterr().out

    def test_failed_tasks_have_status_3(self, tmp_path, capsys):
        broken = TOML.replace('"additive"', '{kind = "density_ratio", name = "wide", n_latents = 99}')
        (tmp_path / "s.toml").write_text(broken.replace("seeds = 2", "seeds = 1"))
        assert run(["study", "run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"), "--workers", "1"]) == 3
        assert run(["study", "status", str(tmp_path / "out")]) == 3
        assert "2 with failures" in capsys.readouterr().out

    def test_a_second_runner_is_refused_in_a_line_and_reports_do_not_wait(self, file, tmp_path, capsys):
        assert run(["study", "run", str(file), "--out", str(tmp_path / "o"), "--workers", "1", "--quiet"]) == 0
        capsys.readouterr()
        with Store(tmp_path / "o").locked():
            assert run(["study", "run", str(file), "--out", str(tmp_path / "o"), "--workers", "1"]) == 2
            assert "another runner is at work in this folder" in (err := capsys.readouterr().err)
            assert err.count("\n") == 1
            assert run(["study", "report", str(tmp_path / "o")]) == 0
            assert run(["study", "status", str(tmp_path / "o")]) == 0
            assert "a runner is at work" in capsys.readouterr().out

    def test_help_needs_nothing_heavy(self):
        line = "from pdae_sim.cli._app import run; run(['study', 'run', '--help']); import sys; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
        assert not {"torch", "scipy.stats", "matplotlib", "pandas"} & set(done.stdout.split())


class TestDeclaredFiles:
    @pytest.mark.slow
    def test_shards_and_merge(self, stage, file, tmp_path):
        for i in (1, 2):
            status, out, _ = stage("run", file, "--out", tmp_path / str(i), "--shard", f"{i}/2", "--workers", 1)
            assert (status, out.splitlines()[-1]) == (0, "1 of 2 tasks finished, 0 with failures")
        status, out, _ = stage("merge", tmp_path / "1", tmp_path / "2", "--out", tmp_path / "all")
        assert (status, out.splitlines()[-1]) == (0, "2 of 2 tasks finished, 0 with failures")
        stage("run", file, "--out", tmp_path / "whole", "--workers", 1)
        assert toys.digest(tmp_path / "all") == toys.digest(tmp_path / "whole")

    def test_another_declaration_in_the_same_folder_is_refused(self, stage, file, tmp_path):
        stage("run", file, "--out", tmp_path / "run", "--workers", 1)
        file.write_text(file.read_text().replace("seeds = 1", "seeds = 3"))
        status, _, err = stage("run", file, "--out", tmp_path / "run")
        assert status == 2
        assert "declaration.toml: belongs to a run with other settings" in err


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("run", "extrapolatoin", "--out", "x"), "did you mean 'extrapolation'"),
            (
                ("run", "extrapolation", "--out", "x", "--set", "seed=3"),
                "--set seed: unknown setting; did you mean 'seeds'",
            ),
            (("run", "extrapolation", "--out", "x", "--set", "seeds"), "expected key=value"),
            (("run", "extrapolation", "--out", "x", "--shard", "3/2"), "expected i/n with 1 ≤ i ≤ n"),
            (("run", "extrapolation", "--out", "x", "--workers", "0"), "greater than or equal to 1"),
            (("run", "nothing.toml", "--out", "x"), "nothing.toml: cannot be read"),
            (("run", "extrapolation", "--out", "file"), "file: results go to a folder and this is a file"),
            (("list", "nowhere"), "nowhere: no such folder"),
            (("status", "nowhere"), "nowhere: holds no study"),
            (("report", "nowhere"), "nowhere: holds no study"),
            (("merge", "nowhere", "--out", "x"), "nowhere: holds no study"),
            (("dance",), "No such command 'dance'"),
        ],
    )
    def test_are_one_line_and_status_2(self, words, message, stage, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").write_text("")
        status, out, err = stage(*words)
        assert (status, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1

    def test_a_missing_cluster_file_leaves_nothing_behind(self, stage, tmp_path):
        status, _, err = stage("run", "extrapolation", "--out", tmp_path / "x", "--cluster", tmp_path / "c.toml")
        assert status == 2
        assert "c.toml: cannot be read" in err
        assert not (tmp_path / "x" / "settings.json").exists()

    def test_an_interrupt_is_130(self, stage, monkeypatch):
        def interrupted(_):
            raise KeyboardInterrupt

        monkeypatch.setattr("pdae_sim.study.registry.StudyRegistry.questions", interrupted)
        status, _, err = stage("list")
        assert status == 130
        assert "goes on from what was saved" in err


def test_every_study_has_a_plan_for_its_smoke_size(stage):
    for name in STUDIES:
        status, out, _ = stage("plan", name, "--smoke")
        assert status == 0
        assert " to run" in out


FILES = REGISTRY.declarations()


class TestOwnDeclarations:
    def test_lists_them_after_the_studies_with_pages(self, stage):
        status, out, _ = stage("list")
        assert status == 0
        names = [line.partition(":")[0] for line in out.splitlines()]
        assert names == ["extrapolation", "diversity", "sample_size", *sorted(FILES)]
        assert all(line.endswith("?") for line in out.splitlines())

    def test_plans_them_by_name(self, stage):
        status, out, _ = stage("plan", "noise", "--workers", 1)
        assert (status, out.startswith("96 tasks, 0 finished, 96 to run\n")) == (0, True)

    def test_runs_them_by_name(self, stage, tmp_path, monkeypatch):
        text = (
            'name = "tiny"\nquestion = "Does it run?"\nclaim = "2.4"\nprediction = "It does."\nseeds = 1\n'
            'estimators = ["additive"]\nmetrics = ["mean_difference"]\nevaluation = {n_samples = 40}\n'
            '[[worlds]]\nbase = "two-latents"\nset = {"design.cells" = 40, "design.test_cells" = 40}\n'
        )
        (tmp_path / "tiny.toml").write_text(text)
        monkeypatch.setattr("experiments.__main__.REGISTRY", replace(REGISTRY, folder=tmp_path))
        status, out, _ = stage("run", "tiny", "--out", tmp_path / "run", "--workers", 1)
        assert (status, out.splitlines()[-1]) == (0, "1 of 1 tasks finished, 0 with failures")
        html = (tmp_path / "run" / "report.html").read_text()
        assert "run tiny --out DIR" in html
        assert "--smoke" not in html
        status, _, err = stage("run", "tiny", "--out", tmp_path / "other", "--smoke")
        assert (status, err.count("\n")) == (2, 1)
        assert "--set and --smoke are for studies in Python; change " in err

    def test_what_a_declaration_expects_is_judged_on_its_page_and_in_the_index(self, stage, tmp_path):
        text = (
            'name = "tiny"\nquestion = "Does it run?"\nclaim = "2.4"\nprediction = "It does."\nseeds = 6\n'
            'estimators = ["additive", "pool"]\nmetrics = ["mean_difference"]\nevaluation = {n_samples = 40}\n'
            '[[expect]]\nthat = "adding up is no nearer than 1000"\nmetric = "mean_difference"\n'
            'of = {estimator = "additive"}\nat_least = 1000\n'
            '[[expect]]\nthat = "it is nearer than pooled cells"\nmetric = "mean_difference"\n'
            'of = {estimator = "additive"}\nover = {estimator = "pool"}\nat_most = 1e9\n'
            '[[worlds]]\nbase = "two-latents"\nset = {"design.cells" = 40, "design.test_cells" = 40}\n'
        )
        (tmp_path / "tiny.toml").write_text(text)
        out = tmp_path / "runs" / "tiny"
        assert stage("run", tmp_path / "tiny.toml", "--out", out, "--workers", 1)[0] == 0
        said = "The prediction was met in 1 of its 2 parts. Not met: adding up is no nearer than 1000."
        html = (out / "report.html").read_text()
        assert said in html
        assert "Met: it is nearer than pooled cells. The median ratio is " in html
        assert stage("index", tmp_path / "runs")[0] == 0
        assert said in (tmp_path / "runs" / "index.html").read_text()
        (tmp_path / "tiny.toml").write_text(text.replace("1e9", "2e9"))
        status, _, err = stage("run", tmp_path / "tiny.toml", "--out", out)
        assert (status, "belongs to a run with other settings" in err) == (2, True)

    def test_suggests_them(self, stage):
        status, _, err = stage("plan", "nosie")
        assert status == 2
        assert "did you mean 'noise'" in err


class TestTables:
    def test_a_run_is_followed_and_shown_also_where_its_table_is_gone(self, stage, folder):  # noqa: F811
        out = folder / "run"
        assert stage("run", folder / "study.toml", "--out", out, "--workers", 1)[0] == 0
        (folder / "data" / "cells.csv").unlink()
        assert stage("status", out)[1] == "2 of 2 tasks finished, 0 with failures\n"
        assert stage("report", out)[0] == 0
        html = (out / "report.html").read_text()
        assert "2 seeds of measured tables of 1 scenario: cells." in html
        assert "run proteins.toml --out DIR" in html
        status, _, err = stage("plan", folder / "study.toml")
        assert (status, err.count("\n")) == (2, 1)
        assert "study.toml: world 'cells': table.path: " in err
