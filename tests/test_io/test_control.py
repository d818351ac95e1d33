"""The control is never guessed: it is there, or named, or said not to be."""

import anndata
import numpy as np
import pandas as pd
import pytest

from pdae_sim._checks import likely_controls
from pdae_sim.data import PerturbationData
from pdae_sim.io import convert_file, read_labels
from tests.test_io.files import stored
from tests.test_io.refusals import said

CONTROLS = (
    "control",
    "Ctrl",
    "NT",
    "ntc",
    "non-targeting",
    "Non_Targeting",
    "nontargeting",
    "DMSO",
    "mock",
    "WT",
    "wild-type",
    "vehicle",
    "untreated",
    "PBS",
    "NegCtrl0",
    "negative control",
    "scramble",
    "safe-targeting",
    "unstimulated",
    "DMSO_control",
)
GENES = ("WT1", "NOTCH1", "MOCS1", "NTF3", "PBSN", "CTRL2P", "KLF1", "A", "TP53")


def readers(tmp_path, *conditions):
    """Each way in, as a function of its options."""
    path = stored(tmp_path / "cells.h5ad", condition=list(conditions))
    pd.DataFrame({"condition": conditions, "g": np.arange(len(conditions))}).to_csv(tmp_path / "t.csv", index=False)
    return {
        "file": lambda **options: PerturbationData.read(path, **options),
        "labels": lambda **options: read_labels(path, **options),
        "table": lambda **options: convert_file(tmp_path / "t.csv", **options).data,
        "anndata": lambda **options: PerturbationData.from_anndata(anndata.read_h5ad(path), **options),
        "arrays": lambda **options: PerturbationData.from_arrays(np.eye(len(conditions)), conditions, **options),
    }


def test_names_that_are_likely_a_control():
    assert likely_controls([*CONTROLS, *GENES]) == list(CONTROLS)


@pytest.mark.parametrize("control", ["NT", "DMSO", "non-targeting"])
def test_every_way_in_names_the_likely_control(tmp_path, control):
    for name, read in readers(tmp_path, control, "KLF1", "KLF1+WT1").items():
        assert f"no condition is the control 'ctrl'; likely control={control!r}, or pass no_control=True" in said(read)
        data = read(control=control)
        assert (data.conditions[data.reference], data.names) == (control, ("KLF1", "WT1")), name


def test_a_design_without_a_control_is_asked_for_and_remembered(tmp_path):
    for name, read in readers(tmp_path, "A", "B", "A+B").items():
        assert "no_control=True" in said(read), name
        data = read(no_control=True)
        assert data.reference == 0
        if data.x.shape[1]:
            data.write(tmp_path / f"{name}.h5ad")
            assert PerturbationData.read(tmp_path / f"{name}.h5ad").conditions == ("A", "B", "A+B")


def test_a_control_that_no_row_has_is_refused(tmp_path):
    for name, read in readers(tmp_path, "ctrl", "A").items():
        assert "no condition is the control 'DMSO'; likely control='ctrl'" in said(read, control="DMSO"), name


def test_a_control_that_is_held_out_is_told(tmp_path):
    path = stored(tmp_path / "h.h5ad", condition=["ctrl", "A"], split=["test", "train"])
    assert "the control 'ctrl' is held out" in said(PerturbationData.read, path)
    assert "the control 'ctrl' is held out" in said(
        convert_file, stored(tmp_path / "c.h5ad", condition=["ctrl", "A"]), test=["ctrl"]
    )
    assert PerturbationData.read(path, no_control=True).train.conditions == ("A",)


def test_a_matrix_of_labels_is_taken_as_it_is_unless_a_name_is_that_of_a_control():
    assert PerturbationData.from_arrays(np.eye(2), [[1, 0], [0, 1]]).reference == 0
    assert "likely control='DMSO'" in said(
        PerturbationData.from_arrays, np.eye(2), [[1, 0], [0, 1]], names=("A", "DMSO")
    )
    assert PerturbationData(np.eye(2), np.eye(2), [0, 1], ("A", "DMSO")).conditions == ("A", "DMSO")


def test_a_dataset_whose_control_was_missed_is_mended_by_naming_it(tmp_path):
    missed = PerturbationData.from_arrays(np.eye(3), ["NT", "A", "A:2+NT"], no_control=True)
    missed.write(tmp_path / "missed.h5ad")
    data = PerturbationData.read(tmp_path / "missed.h5ad", control="NT")
    assert (data.conditions, data.names) == (("NT", "A", "A:2"), ("A",))


def test_a_design_without_a_control_counts_from_the_condition_asked_for(tmp_path):
    for name, read in readers(tmp_path, "A", "B", "A+B", "C").items():
        if name == "arrays":
            continue  # there the order of rows says it
        data = read(reference="B")
        assert (data.conditions, data.reference) == (("B", "A", "A+B", "C"), 0)
        assert data.environment.tolist() == [1, 0, 2, 3]
        assert "reference= 'B+C' has no row" in said(read, reference="B+C")
        assert "reference= 'D': unknown perturbation" in said(read, reference="D")
    with_control = readers(tmp_path, "ctrl", "A")["file"]
    assert "is for designs without a control, and here 'ctrl' is one" in said(with_control, reference="A")


def test_files_remember_the_reference(tmp_path):
    readers(tmp_path, "A", "B", "A+B")["table"](reference="B", test=["A"]).write(tmp_path / "d.h5ad")
    data = PerturbationData.read(tmp_path / "d.h5ad")
    assert data.train.conditions == ("B", "A+B")
    data.write(tmp_path / "again.h5ad")
    assert read_labels(tmp_path / "again.h5ad").conditions[0] == "B"
    data.select(data.labels[:, 0] == 1).write(tmp_path / "part.h5ad")  # a part without it is read too
    assert read_labels(tmp_path / "part.h5ad").conditions == ("A", "A+B")
    held_out = readers(tmp_path, "A", "B")["table"]
    assert "reference= 'A' is held out" in said(held_out, reference="A", test=["A"])


def test_the_reference_is_remembered_however_it_is_written(tmp_path):
    for name, read in readers(tmp_path, "A", "B", "A+B").items():
        if name in ("table", "file", "anndata"):
            data = read(reference="B:1+A")
            assert data.read_as["reference"] == "A+B"
            if data.x.shape[1]:
                data.write(tmp_path / f"{name}.h5ad")
                assert PerturbationData.read(tmp_path / f"{name}.h5ad").conditions[0] == "A+B"


def test_a_conversion_keeps_the_reference_that_a_file_remembers(tmp_path):
    readers(tmp_path, "A", "B", "A+B")["table"](reference="B").write(tmp_path / "d.h5ad")
    assert convert_file(tmp_path / "d.h5ad").data.read_as["reference"] == "B"
    assert "reference= 'B' is held out" in said(convert_file, tmp_path / "d.h5ad", test=["B"])
