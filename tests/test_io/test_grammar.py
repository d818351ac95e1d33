"""Conditions as other tools write them: names that separators would cut, lists of names, matrices of ones and zeros."""

from __future__ import annotations

import logging
from typing import ClassVar

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from pdae_sim import PerturbationData
from pdae_sim.errors import InputError, LabelError
from pdae_sim.io import ReadOptions, from_anndata, read_data, read_labels, read_table, write_cell_eval
from pdae_sim.io._grammar import space_of
from pdae_sim.labels import LabelSpace


def cells(conditions) -> anndata.AnnData:
    adata = anndata.AnnData(np.eye(len(conditions), dtype=np.float32))
    column = np.empty(len(conditions), dtype=object)
    column[:] = conditions
    adata.obs["condition"] = pd.Series(column, index=adata.obs_names)
    return adata


class TestCuts:
    @pytest.mark.parametrize(
        ("conditions", "said"),
        [
            (["CD3+CD28", "IL2"], "condition 'CD3+CD28' holds names that occur only together; if '+' belongs"),
            (["CD3+CD28:2", "CD3+CD28"], "condition 'CD3+CD28:2' and 1 more holds names"),
            (
                ["chr8:128746315", "IL2"],
                "condition 'chr8:128746315' has a number that is no usual dose; if ':' belongs",
            ),
            (["HLA-A*02:01", "IL2"], "condition 'HLA-A*02:01' has a number that is no usual dose"),
            (["(+)-JQ1"], "condition '(+)-JQ1' is cut inside brackets"),
            (["['A', 'B']"], "condition \"['A', 'B']\" is a list written as text; join its names with '+'"),
            (["HLA-A:late"], "malformed dose 'late'"),
        ],
    )
    def test_a_cut_that_may_go_through_a_name_is_refused(self, conditions, said):
        with pytest.raises(InputError) as caught:
            PerturbationData.from_anndata(cells(["ctrl", *conditions]))
        assert str(caught.value).startswith(said)
        assert "\n" not in str(caught.value)

    def test_the_options_of_the_message_work(self):
        adata = cells(["ctrl", "CD3+CD28", "chr8:128746315", "5-FU", "HLA-DRB1*15"])
        data = PerturbationData.from_anndata(adata, separator="|", dose_separator="@")
        assert data.names == ("5-FU", "CD3+CD28", "HLA-DRB1*15", "chr8:128746315")
        assert PerturbationData.from_anndata(cells(["ctrl", "A+B"]), separator="+").names == ("A", "B")
        assert PerturbationData.from_anndata(cells(["ctrl", "A:2e6"]), dose_separator=":").labels.max() == 2e6

    def test_a_named_separator_that_may_cut_a_name_is_told(self, caplog):
        with caplog.at_level(logging.WARNING):
            PerturbationData.from_anndata(cells(["ctrl", "5-FU", "A-B", "A"]), separator="-")
        assert "condition '5-FU' holds names that occur only together" in caplog.text

    def test_a_sign_that_separates_in_most_combinations_separates_in_all_and_it_is_told(self, caplog):
        conditions = ["A", "B", "C", "A+B", "A+C", "D+E"]
        with caplog.at_level(logging.WARNING):
            assert PerturbationData.from_anndata(cells(["ctrl", *conditions])).names == ("A", "B", "C", "D", "E")
        assert "condition 'D+E' holds names that occur only together; it is read as a combination" in caplog.text
        with pytest.raises(InputError, match="condition 'D\\+E' holds names that occur only together"):
            PerturbationData.from_anndata(cells(["ctrl", "A", "B", "A+B", "D+E"]))

    def test_doses_read_from_text_are_told_once(self, caplog):
        with caplog.at_level(logging.WARNING):
            PerturbationData.from_anndata(cells(["ctrl", "MYC:2", "A"]))
        assert [record.getMessage() for record in caplog.records] == [
            "1 condition has doses after ':', such as 'MYC:2'; if it belongs to names, choose another dose separator"
        ]

    @pytest.mark.parametrize(
        "conditions", [["A+B", "A"], ["A+B", "B+C"], ["A+ctrl", "ctrl+B", "A+B"], ["A:1+B:2", "A:2+B:1"], ["A", "B"]]
    )
    def test_a_combination_whose_parts_are_told_apart_is_read(self, conditions):
        assert PerturbationData.from_anndata(cells(["ctrl", *conditions])).names[:2] == ("A", "B")

    def test_a_file_of_ours_is_never_in_doubt(self, tmp_path):
        data = PerturbationData.from_arrays(np.eye(2), [[0, 0], [1, 1]], names=("A", "B"))
        data.write(tmp_path / "d.h5ad")
        assert read_data(tmp_path / "d.h5ad").conditions == ("ctrl", "A+B")


class TestLists:
    LISTS: ClassVar = ([], ["(+)-JQ1"], ["CD3+CD28", "MYC:2"], ("ctrl",), np.array(["MYC:2"]))

    def test_a_column_of_lists_needs_no_grammar(self):
        data = PerturbationData.from_anndata(cells(list(self.LISTS)))
        assert data.names == ("(+)-JQ1", "CD3+CD28", "MYC:2")
        assert data.labels[data.environment].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1]]

    def test_a_categorical_of_tuples_too(self):
        adata = cells([(), ("A+B",), ("A+B", "C")])
        adata.obs["condition"] = pd.Categorical(adata.obs["condition"])
        assert PerturbationData.from_anndata(adata).conditions == ("ctrl", '"A+B"', '"A+B"+C')

    def test_a_parquet_table_of_lists_too(self, tmp_path):
        frame = pd.DataFrame({"condition": [[], ["A+B"], ["A+B", "C"]], "x": [1.0, 2.0, 3.0]})
        frame.to_parquet(tmp_path / "t.parquet")
        assert read_table(tmp_path / "t.parquet").conditions == ("ctrl", '"A+B"', '"A+B"+C')


class TestDesignMatrix:
    NAMES: ClassVar = ("NT", "(+)-JQ1", "MYC:2")
    ROWS: ClassVar = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]])

    @pytest.mark.parametrize("form", ["frame", "dense", "sparse", "bool"])
    def test_it_is_read_by_its_columns(self, tmp_path, form):
        adata = anndata.AnnData(np.eye(4, dtype=np.float32))
        frame = pd.DataFrame(self.ROWS, columns=list(self.NAMES), index=adata.obs_names)
        forms = {"frame": frame, "dense": self.ROWS, "sparse": sparse.csr_matrix(self.ROWS), "bool": self.ROWS > 0}
        adata.obsm["guides"] = forms[form]
        if form != "frame":
            adata.uns["guides"] = np.array(self.NAMES, dtype=object)
        adata.write_h5ad(tmp_path / "g.h5ad")
        options = {"condition": "guides", "control": "NT"}
        for data in (
            PerturbationData.from_anndata(adata, **options),
            read_data(tmp_path / "g.h5ad", **options),
            read_labels(tmp_path / "g.h5ad", **options),
        ):
            assert data.names == self.NAMES[1:]
            assert data.labels[data.environment].tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]

    def test_without_names_it_is_refused(self):
        adata = anndata.AnnData(np.eye(4, dtype=np.float32))
        adata.obsm["guides"] = self.ROWS
        with pytest.raises(InputError, match=r"obsm\['guides'\] needs the perturbation names in .* or a DataFrame"):
            PerturbationData.from_anndata(adata, condition="guides", control="NT")


def test_names_that_look_like_doses_with_a_unit_are_told(caplog):
    rows = ["DMSO", "drugA_0.1uM", "drugA_10uM", "CD8", "CD4", "5-FU", "IL-6 10 ng/ml"]
    space_of(rows, ReadOptions(control="DMSO"), {})
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.endswith("for doses write 'drugA:0.1'")


def test_a_dose_with_a_unit_is_told_how_to_be_written():
    with pytest.raises(LabelError, match=r"write 0\.1 and all doses in one unit, unwritten"):
        LabelSpace.from_conditions(["A:0.1uM"])


def test_other_joins_are_counted_and_unknown_options_refused():
    x = np.random.default_rng(0).normal(size=(7, 2))
    conditions = ["ctrl", "A", "B", "C", "A;B", "A;C", "B;C"]
    with pytest.raises((InputError, LabelError), match="condition 'A;B' and 2 more joins other conditions by ';'"):
        from_anndata(anndata.AnnData(x, obs=cells(conditions).obs))
    with pytest.raises(InputError, match="unknown option 'separater'"):
        ReadOptions.of({"separater": ";"})


def test_cells_for_cell_eval_go_to_folders_that_are_made(tmp_path):
    data = PerturbationData.from_arrays(np.eye(2), ["ctrl", "A"])
    assert write_cell_eval(tmp_path / "a" / "b", {"real": data}) == {"real": 0.0}
    assert (tmp_path / "a" / "b" / "real.h5ad").is_file()
