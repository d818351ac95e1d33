"""`doctor`: what is installed and what it runs on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from pdae_sim.cli._options import Seed, command
from pdae_sim.cli._output import Output
from pdae_sim.cli._tables import Table

_CORE = ("numpy", "scipy", "torch", "networkx", "pandas", "pyarrow", "anndata", "matplotlib", "pydantic", "safetensors")
_OPTIONAL = {"hypothesis": "testing", "zuko": "flows", "sympy": "dev", "dcor": "dev", "sempler": "dev", "ruff": "dev"}


@command
def doctor(output: Output, seed: Seed = 0) -> None:
    """Versions, devices, threads and optional parts."""
    import torch

    from pdae_sim import __version__

    devices = ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
    machine = {
        "pdae_sim": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
    }
    packages = {name: _installed(name) for name in _CORE}
    optional = {name: {"version": _installed(name), "extra": extra} for name, extra in _OPTIONAL.items()}
    rows = [*machine.items(), ("devices", ", ".join(devices)), *packages.items()]
    rows += [(f"{k} (optional)", v["version"] or f"absent; extra {v['extra']}") for k, v in optional.items()]
    payload = machine | {"packages": packages, "optional": optional, "devices": devices}
    output.result(payload, Table("pdae_sim", ("part", "version"), rows, prose=("version",)))


def _installed(name: str) -> str | None:
    """A distribution's version, None where it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
