"""`python -m experiments`: exit statuses, one-line refusals, shards and merge, a declared file from run to report."""

from __future__ import annotations

import shutil

import pytest

from experiments.__main__ import main
from experiments.studies import STUDIES
from pdae_sim.errors import InputError
from pdae_sim.study.backends import Dask, Loky, Slurm
from pdae_sim.study.cluster_file import read_cluster
from pdae_sim.study.merging import merge_stores
from pdae_sim.study.running import run_study
from pdae_sim.study.store import Store
from tests.test_study import toys
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


class TestDeclaredFiles:
    def test_from_plan_to_report(self, stage, file, tmp_path):
        status, out, _ = stage("plan", file, "--workers", 1)
        assert (status, out.startswith("2 tasks, 0 finished, 2 to run\ntime with 1 worker: about")) == (0, True)
        status, out, _ = stage("run", file, "--out", tmp_path / "run", "--workers", 1)
        assert (status, out.splitlines()[-1]) == (0, "2 of 2 tasks finished, 0 with failures")
        (tmp_path / "run" / "report.html").unlink()
        assert stage("report", tmp_path / "run")[0] == 0
        assert "Does it run?" in (tmp_path / "run" / "report.html").read_text()
        assert stage("status", tmp_path / "run")[1] == "2 of 2 tasks finished, 0 with failures\n"
        assert "2 finished, 0 to run" in stage("plan", file, "--out", tmp_path / "run")[1]

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
            (("status", "nowhere"), "nowhere: holds no study"),
            (("report", "nowhere"), "nowhere: holds no study"),
            (("merge", "nowhere", "--out", "x"), "nowhere: holds no study"),
            (("dance",), "No such command 'dance'"),
        ],
    )
    def test_are_one_line_and_status_2(self, words, message, stage, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
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


class TestClusterFiles:
    @pytest.mark.parametrize(
        ("text", "backend"),
        [
            ('backend = "loky"\nworkers = 3', Loky(3)),
            ('backend = "dask"\nworkers = 3', Dask(None, "local", (), 3)),
            ('backend = "dask"\naddress = "tcp://head:8786"', Dask("tcp://head:8786")),
            (
                'backend = "dask"\ncluster = "dask_jobqueue:SLURMCluster"\narguments = {cores = 1}',
                Dask(None, "dask_jobqueue:SLURMCluster", (("cores", 1),), 2),
            ),
            (
                'backend = "slurm"\nfolder = "logs"\nparameters = {timeout_min = 60}',
                Slurm("logs", 50, "slurm", (("timeout_min", 60),)),
            ),
        ],
    )
    def test_name_a_back_end(self, text, backend, tmp_path):
        (tmp_path / "c.toml").write_text(text)
        assert read_cluster(tmp_path / "c.toml", tmp_path) == backend

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "backend must be one of loky, dask, slurm; received '(none)'"),
            ('backend = "desk"', "backend must be one of"),
            ('backend = "dask"\nworker = 3', "unknown key 'worker'; did you mean 'workers'"),
            ('backend = "dask"\nworkers = 0', "workers: input should be greater than or equal to 1"),
            ('backend = "dask"\ncluster = "SLURMCluster"', "expected 'local' or module:Class"),
            ('backend = "dask"\naddress = "a"\ncluster = "local"', "not both"),
            ("backend = ", "not valid TOML"),
        ],
    )
    def test_are_refused_in_one_line(self, text, message, tmp_path):
        (tmp_path / "c.toml").write_text(text)
        with pytest.raises(InputError, match=r"c\.toml: ") as refused:
            read_cluster(tmp_path / "c.toml", tmp_path)
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_a_class_that_cannot_be_imported_or_started_is_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"pdae-sim\[dask\]"):
            Dask(cluster="no_such_module:Cluster").open(1)
        pytest.importorskip("dask_jobqueue")
        with pytest.raises(InputError, match="cannot be imported"):
            Dask(cluster="dask_jobqueue:NoCluster").open(1)
        with pytest.raises(InputError, match="arguments of builtins:int"):
            Dask(cluster="builtins:int", arguments=(("cores", 1),)).open(1)

    def test_slurm_without_slurm_is_told_in_one_line(self, tmp_path):
        pytest.importorskip("submitit")
        if shutil.which("sbatch"):
            pytest.skip("there is a Slurm here")
        with pytest.raises(InputError, match="slurm: "):
            Slurm(str(tmp_path)).open(1)


class TestMerge:
    def test_prefers_what_did_not_fail(self, tmp_path, monkeypatch):
        study, stores = toys.study(last={"fails": True}), [Store(tmp_path / name) for name in "ab"]
        run_study(study, stores[0])
        monkeypatch.setenv("PDAE_SIM_MENDED", "1")
        run_study(study, stores[1])
        assert merge_stores(stores, Store(tmp_path / "all")).failed == 0

    def test_refuses_another_study_and_nothing(self, tmp_path):
        run_study(toys.study(2), Store(tmp_path / "a"))
        run_study(toys.study(3), Store(tmp_path / "b"))
        with pytest.raises(InputError, match=r"b: holds another study than .*a \(tasks differs\)"):
            merge_stores([Store(tmp_path / "a"), Store(tmp_path / "b")], Store(tmp_path / "all"))
        with pytest.raises(InputError, match="nothing to merge"):
            merge_stores([], Store(tmp_path / "all"))

    def test_a_folder_of_another_study_is_refused(self, tmp_path):
        run_study(toys.study(2), Store(tmp_path))
        other = toys.Study("other", "", "", "", [{"seed": 0}], toys.perform)
        with pytest.raises(InputError, match="holds the study 'toy'"):
            run_study(other, Store(tmp_path))
