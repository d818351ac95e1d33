"""A study on a cluster: one declaration, on this machine and on many, with the same table of results.

A study is worlds × estimators × metrics × seeds. What it asks and what it predicts are declared before it runs; every
finished task is a file, so that an interrupted run goes on where it was.
"""

import tempfile
from pathlib import Path

import pandas as pd

from pdae_sim.report import judged_part
from pdae_sim.study.backends import Dask
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.planning import plan_study
from pdae_sim.study.running import run_study
from pdae_sim.study.store import Store

DECLARATION = """
name = "how-many-cells"
question = "How many cells does a prediction need?"
claim = "2.7"
prediction = "The error of every estimator falls with the number of cells."
seeds = SEEDS
estimators = ["additive", {kind = "density_ratio", name = "quick", steps = STEPS, cells = 128}]
metrics = ["energy_distance", "gram_error"]

[[worlds]]
base = "three-singles"
set = {"design.test_cells" = 1000}
vary = {"design.cells" = [250, 1000]}

[[expect]]
that = "four times the cells take a quarter of the Gram error at least"
metric = "gram_error"
of = {estimator = "quick", "design.cells" = 1000}
over = {"design.cells" = 250}
at_most = 0.75
"""


def guide(seeds: int = 3, steps: int = 800, workers: int = 2, dask: bool = True) -> None:
    # ## What will it cost?
    # The declaration above would lie in a file of your own, and `pdae-sim study plan FILE` would say the same.
    folder = Path(tempfile.mkdtemp())
    text = DECLARATION.replace("SEEDS", str(seeds)).replace("STEPS", str(steps))
    (folder / "cells.toml").write_text(text, encoding="utf-8")
    study = Declaration.read(folder / "cells.toml").study()
    costs = plan_study(study, workers=workers)
    print(f"{costs.tasks} tasks, about {costs.seconds:.0f} s with {costs.workers} workers")

    # ## On this machine
    # Worker processes that share the tasks. `pdae-sim study run cells.toml --out DIR --workers 2` does it from a shell.
    local = Store(folder / "local")
    run_study(study, local, workers=workers)
    rows = pd.read_parquet(local.results)
    print(rows.groupby(["estimator", "metric", "design.cells"]).value.median().unstack().round(4))

    # ## Was the prediction met?
    # The rows decide, here by a ratio taken world by world; below six worlds its median has no interval and it is open.
    print(judged_part(study.expect[0], local.rows(study.name, study.ids)))

    # ## On a cluster
    # `Dask(cluster="dask_jobqueue:SLURMCluster", arguments=…)` starts workers by your queue, `Dask("tcp://head:8786")`
    # uses those there are; here it is a cluster of two processes on this machine. From a shell it is a TOML file:
    # `--cluster cluster.toml`. The table has the same bytes.
    if dask:
        remote = Store(folder / "remote")
        run_study(study, remote, backend=Dask(cluster="local", workers=workers))
        print("the same bytes:", remote.results.read_bytes() == local.results.read_bytes())


if __name__ == "__main__":
    guide()
