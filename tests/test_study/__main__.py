"""A runner in a process of its own: `python -m tests.test_study FOLDER --marks DIR --tasks N --sleep S …`."""

import argparse
import logging
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

from pdae_sim.study.backends import Dask
from pdae_sim.study.running import run_study
from pdae_sim.study.store import Store
from tests.test_study import toys


def main() -> int:
    """Run the toy study, when all runners are ready; 130 when interrupted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--marks")
    parser.add_argument("--tasks", type=int, default=30)
    parser.add_argument("--sleep", type=float, default=0.03)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dask", action="store_true")
    parser.add_argument("--gate", type=Path, help="begin when this folder holds two names")
    parser.add_argument("--careless", action="store_true", help="without the lock, for the negative control")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if given.gate:
        wait_at(given.gate)
    if given.careless:
        mock.patch.object(Store, "locked", return_value=nullcontext()).start()
    study = toys.study(given.tasks, sleep=given.sleep, **({"marks": given.marks} if given.marks else {}))
    try:
        run_study(study, Store(given.folder), workers=given.workers, backend=Dask(workers=2) if given.dask else None)
    except KeyboardInterrupt:
        return 130
    return 0


def wait_at(gate: Path) -> None:
    """Until two have come."""
    (gate / str(time.time_ns())).touch()
    while len(list(gate.iterdir())) < 2:
        time.sleep(0.005)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background deaf to it
    sys.exit(main())
