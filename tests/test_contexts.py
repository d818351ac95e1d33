"""Contexts as coordinates of the label: names, conditions, datasets and files."""

from fractions import Fraction

import anndata
import numpy as np
import pandas as pd
import pytest

from pdae_sim import InputError, PerturbationData, check_span, io
from pdae_sim._contexts import ContextNames
from pdae_sim.contexts import by_context, in_contexts, own_effects, share_effects, sharing_contexts
from pdae_sim.labels import LabelSpace

OWN = LabelSpace(("A@H", "B@H", "A@K", "B@K", "@K"), "ctrl@H")
SHARED = LabelSpace(("A", "B", "@K"), "ctrl@H")
CELLS = [("ctrl", "H"), ("A", "H"), ("B", "H"), ("ctrl", "K"), ("A", "K")]


def measured(cells=CELLS, *, per=2, shared=None):
    conditions, contexts = zip(*cells, strict=True)
    x = np.random.default_rng(0).normal(size=(per * len(cells), 3)).astype(np.float32)
    return in_contexts(
        PerturbationData.from_arrays(x, np.repeat(conditions, per)), [np.repeat(contexts, per)], shared=shared
    )


def adata(cells=CELLS, **more):
    conditions, contexts = zip(*cells, strict=True)
    columns = {"condition": conditions, "cell_line": contexts, **more}
    x = np.random.default_rng(0).normal(size=(len(cells), 3)).astype(np.float32)
    return anndata.AnnData(x, obs=pd.DataFrame(columns, index=[str(i) for i in range(len(cells))]))


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "own", "shared"),
        [
            ("ctrl@H", [0, 0, 0, 0, 0], [0, 0, 0]),
            ("ctrl@K", [0, 0, 0, 0, 1], [0, 0, 1]),
            ("A:0.5+B@H", [Fraction(1, 2), 1, 0, 0, 0], [Fraction(1, 2), 1, 0]),
            ("A+B@K", [0, 0, 1, 1, 1], [1, 1, 1]),
        ],
    )
    def test_a_condition_is_read_and_written(self, condition, own, shared):
        for space, label in ((OWN, own), (SHARED, shared)):
            assert space.exact(condition).tolist() == label
            assert space.condition(label) == condition

    @pytest.mark.parametrize(
        ("condition", "said"),
        [
            ("A", "condition 'A' must end in its context; write A@H or A@K"),
            ("A@J", "condition 'A@J' must end in its context; known: H, K"),
            ("C@K", "unknown perturbation 'C' in condition 'C'; known: A, B"),
        ],
    )
    def test_what_names_no_context_is_refused(self, condition, said):
        with pytest.raises(InputError) as refused:
            OWN.vector(condition)
        assert str(refused.value) == said

    def test_names_with_an_at_sign_are_names_where_nothing_tells_of_contexts(self):
        space = LabelSpace(("A@K", "B"), "PBS@4C")
        assert space.condition([1, 1]) == "A@K+B"
        assert space.vector("PBS@4C").tolist() == [0, 0]

    def test_a_label_of_no_context_is_written_so_that_it_is_not_read_as_a_condition(self):
        assert OWN.condition([0, 0, 0, 1, 0]) == '"B@K"'
        with pytest.raises(InputError):
            OWN.vector('"B@K"')

    def test_hard_names_and_contexts(self):
        data = in_contexts(
            PerturbationData.from_arrays(np.eye(4), [[0.0], [1.0], [0.0], [1.0]], names=("CD3+CD28",), no_control=True),
            [["CD4+, naive", "CD4+, naive", "NK", "NK"]],
        )
        assert data.conditions == (
            "ctrl@CD4+, naive", '"CD3+CD28"@CD4+, naive', "ctrl@NK", '"CD3+CD28"@NK',
        )  # fmt: skip
        assert all((data.space.vector(c) == label).all() for c, label in zip(data.conditions, data.labels, strict=True))

    def test_groups_are_the_first_levels(self):
        names = ContextNames(("A@H", "A@K", "@H,2", "@K,1"), "ctrl@H,1")
        assert names.contexts == ("H,1", "H,2", "K,1")
        assert names.groups == ("H", "H", "K")
        assert names.expanded({"A": 2}, "H,2", 1) == {"A@H": 2, "@H,2": 1}
        assert names.collapsed({"A@H": 2, "@K,1": 1}) is None


class TestSpan:
    """What is measured in one context is identified in another only if effects are shared."""

    def verdict(self, data, condition):
        (certificate,) = check_span(data.train.labels, [data.space.exact(condition)])
        return certificate

    def test_effects_of_their_own(self):
        data = measured()
        alone = self.verdict(data, "B@K")
        assert not alone.identified
        assert dict(zip(data.names, alone.witness, strict=True))["B@K"] != 0
        assert self.verdict(data, "A+B@H").identified

    def test_shared_effects(self):
        data = measured(shared=1)
        assert self.verdict(data, "B@K").identified
        assert self.verdict(data, "A+B@K").identified

    def test_a_context_without_any_condition_of_its_own_is_not_reached(self):
        data = measured([*CELLS[:3], ("A", "K")])
        assert not self.verdict(data, "ctrl@K").identified
        assert self.verdict(share_effects(data), "ctrl@K").identified  # A@K − A@H + ctrl@H

    def test_batches_share_effects_within_a_cell_line(self):
        data = PerturbationData.from_anndata(
            adata(
                [("ctrl", "H"), ("A", "H"), ("ctrl", "H"), ("ctrl", "K"), ("B", "K")],
                batch=["1", "1", "2", "1", "1"],
            ),
            covariate="cell_line",
            batch="batch",
        )
        assert self.verdict(data, "A@H,2").identified
        assert not self.verdict(data, "A@K,1").identified
        assert sharing_contexts(data) == (("H,1", "H,2"),)


class TestDatasets:
    def test_own_and_shared_are_inverse(self):
        own, shared = measured(), measured(shared=1)
        for one, other in ((share_effects(own), shared), (own_effects(shared), own)):
            assert one.names == other.names
            assert np.array_equal(one.labels, other.labels)
            assert one.conditions == other.conditions

    def test_parts_hold_the_cells_of_their_context(self):
        data = measured()
        parts = by_context(data)
        assert {c: p.conditions for c, p in parts.items()} == {"H": ("ctrl", "A", "B"), "K": ("ctrl", "A")}
        assert np.array_equal(np.vstack([p.x for p in parts.values()]), data.x)

    def test_the_reference_is_the_first_context_with_a_control(self):
        assert measured([("A", "H"), ("ctrl", "K"), ("A", "K")]).control == "ctrl@K"

    @pytest.mark.parametrize(
        ("levels", "said"),
        [
            (["K"] * 5, "covariates must have two levels or more; all cells are of 'K'"),
            (["K", "K", "H", "H", "a@b"], "level 'a@b' of a covariate must be given"),
            (["K", "K", "H", "H", ""], "level '' of a covariate must be given"),
            (["K"], "covariates must each have one level per row of x (5)"),
        ],
    )
    def test_bad_levels(self, levels, said):
        plain = PerturbationData.from_arrays(np.eye(5), ["ctrl", "A", "B", "ctrl", "A"])
        with pytest.raises(InputError) as refused:
            in_contexts(plain, [levels])
        assert str(refused.value).startswith(said)


class TestFiles:
    @pytest.mark.parametrize("options", [{"covariate": "cell_line"}, {"covariate": "cell_line", "shared": True}])
    def test_a_file_remembers_its_contexts(self, tmp_path, options):
        data = PerturbationData.from_anndata(adata(), **options)
        data.write(tmp_path / "data.h5ad")
        for back in (PerturbationData.read(tmp_path / "data.h5ad"), io.read_labels(tmp_path / "data.h5ad")):
            assert (back.names, back.conditions, back.control) == (data.names, data.conditions, "ctrl@H")
        assert PerturbationData.read(tmp_path / "data.h5ad", shared=True).names == ("A", "B", "@K")

    def test_columns_of_a_foreign_file(self, tmp_path):
        adata().write_h5ad(tmp_path / "data.h5ad")
        data = PerturbationData.read(tmp_path / "data.h5ad", covariate="cell_line")
        assert data.conditions == tuple(f"{condition}@{context}" for condition, context in CELLS)
        assert data.read_as["covariate"] == ["cell_line"]

    def test_a_condition_may_be_held_out_in_one_context_alone(self):
        split = ["train", "train", "train", "train", "test"]
        data = PerturbationData.from_anndata(adata(split=split), covariate="cell_line")
        assert data.test.conditions == ("A@K",)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"covariate": "line"}, "obs has no column 'line'; did you mean 'cell_line'?; name it with covariate="),
            ({"shared": True}, "shared=True needs contexts; name their columns with covariate="),
        ],
    )
    def test_refusals(self, options, said):
        with pytest.raises(InputError) as refused:
            PerturbationData.from_anndata(adata(), **options)
        assert str(refused.value) == said

    def test_a_table(self, tmp_path):
        frame = adata().obs.assign(gene=np.arange(5.0))
        frame.to_csv(tmp_path / "table.csv", index=False)
        data = io.read_table(tmp_path / "table.csv", covariate=("cell_line",), test=["A@K"])
        assert data.test.conditions == ("A@K",)
        assert "cell_line" not in data.features
