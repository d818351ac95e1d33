"""TOML files that name a cluster: which back end, and with what settings.

.. code-block:: toml

    backend = "dask"                            # or "slurm", "loky"
    cluster = "dask_jobqueue:SLURMCluster"      # or "local", or address = "tcp://head:8786"
    workers = 20
    arguments = {queue = "short", cores = 1, memory = "4GB", walltime = "02:00:00"}
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pdae_sim._checks import choice, naming, validated
from pdae_sim._files import read_toml
from pdae_sim.errors import InputError
from pdae_sim.study.backends import Backend, Dask, Loky, Slurm


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def made(self, directory: Path) -> Backend:
        """The back end, for a store in `directory`."""
        raise NotImplementedError


class _LokyConfig(_Table):
    """Worker processes on this machine."""

    backend: Literal["loky"]
    workers: int = Field(2, ge=1)

    def made(self, directory: Path) -> Backend:
        return Loky(self.workers)


class _DaskConfig(_Table):
    """A Dask cluster; see `Dask`."""

    backend: Literal["dask"]
    address: str | None = None
    cluster: str | None = None
    arguments: dict[str, object] = {}
    workers: int = Field(2, ge=1)

    def made(self, directory: Path) -> Backend:
        if self.address is not None and (self.cluster is not None or self.arguments):
            raise InputError("address: give an address, or cluster and arguments, not both")
        cluster = self.cluster or "local"
        if cluster != "local" and ":" not in cluster:
            raise InputError(
                f"cluster: expected 'local' or module:Class, for example {_LIKELY!r}; received {cluster!r}"
            )
        return Dask(self.address, cluster, tuple(self.arguments.items()), self.workers)


class _SlurmConfig(_Table):
    """Slurm jobs; see `Slurm`. Scripts and logs go into the store unless a folder is given."""

    backend: Literal["slurm"]
    folder: str | None = None
    jobs: int = Field(50, ge=1)
    executor: Literal["slurm", "local"] = "slurm"
    parameters: dict[str, object] = {}

    def made(self, directory: Path) -> Backend:
        return Slurm(self.folder or str(directory / "slurm"), self.jobs, self.executor, tuple(self.parameters.items()))


_LIKELY = "dask_jobqueue:SLURMCluster"
_CONFIGS: dict[str, type[_Table]] = {"loky": _LokyConfig, "dask": _DaskConfig, "slurm": _SlurmConfig}


def read_cluster(path: str | Path, directory: str | Path) -> Backend:
    """The back end that a TOML file describes, for a store in `directory`.

    Args:
        path: The file.
        directory: The store's folder, for scripts and logs of jobs.

    Raises:
        InputError: One line with the file, the key and the fix.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder) / "cluster.toml"
        ...     _ = file.write_text('backend = "loky"\\nworkers = 3')
        ...     read_cluster(file, folder)
        Loky(workers=3)
    """
    with naming(path):
        table = read_toml(Path(path))
        config = _CONFIGS[choice("backend", table.get("backend", "(none)"), _CONFIGS)]
        return validated(config, table).made(Path(directory))
