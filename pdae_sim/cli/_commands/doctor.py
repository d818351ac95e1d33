"""`doctor`: what is installed and what it runs on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from pdae_sim.cli._options import Json, Quiet, Seed
from pdae_sim.cli._output import Output, table

CORE = ("numpy", "scipy", "torch", "networkx", "pandas", "pyarrow", "anndata", "matplotlib", "pydantic", "safetensors")
OPTIONAL = {"hypothesis": "testing", "zuko": "flows", "sympy": "dev", "dcor": "dev", "sempler": "dev", "ruff": "dev"}


def doctor(seed: Seed = 0, as_json: Json = False, quiet: Quiet = False) -> None:
    """Versions, devices, threads, and which optional parts are present."""
    import torch

    from pdae_sim import __version__

    devices = ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
    payload = {
        "pdae_sim": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: installed(name) for name in CORE},
        "optional": {name: {"version": installed(name), "extra": extra} for name, extra in OPTIONAL.items()},
        "devices": devices,
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
    }
    rows = [(key, payload[key]) for key in ("pdae_sim", "python", "platform", "threads", "cpus")]
    rows += [("devices", ", ".join(devices)), *payload["packages"].items()]
    rows += [(f"{k} (optional)", v["version"] or f"absent; extra {v['extra']}") for k, v in payload["optional"].items()]
    Output(as_json, quiet).result(payload, table("pdae_sim", ("part", "found"), rows))


def installed(name: str) -> str | None:
    """A distribution's version, None where it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
