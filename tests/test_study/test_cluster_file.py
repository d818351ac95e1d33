"""Cluster files: which back end, and with what; refused in one line where they are wrong."""

from __future__ import annotations

import shutil

import pytest

from pdae_sim.errors import InputError
from pdae_sim.study.backends import Dask, Loky, Slurm
from pdae_sim.study.cluster_file import read_cluster


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
