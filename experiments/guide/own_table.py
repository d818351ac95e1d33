"""Your own table: from a file of cells to verdicts, a fit and an evaluation.

A table has a column `condition` (`ctrl`, `A`, `A+B`, `A:0.5+B`, …) and numeric columns, one for each feature. The
commands `pdae-sim convert`, `span`, `fit` and `evaluate` take the same steps; here they are Python.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from pdae_sim import PDAE, check_span
from pdae_sim.estimation import DEFAULT, Additive, Pool
from pdae_sim.io import read_table
from pdae_sim.simulation import world
from pdae_sim.study.evaluation import evaluate


def guide(cells: int = 2000, steps: int = 1000) -> None:
    # ## A table
    # Yours comes from an instrument. Ours holds cells of the world *demo*, so that the answer is known.
    data = world("demo", (f"design.cells={cells}", f"design.test_cells={cells}")).simulate().data
    table = pd.DataFrame(data.x, columns=[f"protein {i}" for i in range(data.x.shape[1])])
    table.insert(0, "condition", np.array(data.conditions)[data.environment])
    path = Path(tempfile.mkdtemp()) / "cells.csv"
    table.to_csv(path, index=False)
    print(table.groupby("condition").mean().iloc[:, :4].round(2))

    # ## Read it, and hold some conditions out
    # Everything that is wrong with a file is listed at once, with counts of rows; `.csv` and `.parquet` are read alike,
    # and `PerturbationData.from_anndata` takes an AnnData object.
    data = read_table(path, test=["A+B", "A:3+B:3", "A+C"])
    print("training:", *data.train.conditions, "| held out:", *data.test.conditions)

    # ## Which of the held-out conditions can be predicted at all?
    # That hangs on the labels alone. For A+C the witness names the perturbation that was never measured apart.
    for certificate, condition in zip(
        check_span(data.train.labels, data.test.labels), data.test.conditions, strict=True
    ):
        print(certificate.in_words(condition, data.train.conditions, data.names))

    # ## Fit and evaluate
    # Every estimator is judged on the held-out cells. *worth* is the number of measured cells that a prediction
    # replaces; the ceiling is what half of the held-out cells say of the other half.
    model = PDAE(2, phases=DEFAULT.shortened(steps).phases, random_state=0).fit(data)
    estimators = {"pdae": model, "additive": Additive().fit(data), "pool": Pool().fit(data)}
    rows = pd.DataFrame(evaluate(estimators, data, metrics=("energy_distance", "n_eff"), rng=0))
    print(rows.pivot(index=["condition", "metric"], columns="estimator", values="value").to_string(float_format="%.3g"))


if __name__ == "__main__":
    guide()
