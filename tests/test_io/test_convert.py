"""Files of other tools: every format says the same, and what is no gene is left out and told."""

import re
import sys

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.io import Conversion, ReadOptions, convert_file, from_anndata, read_table
from tests.test_io.refusals import said

FRAME = pd.DataFrame({"drug": ["DMSO", "A", "A|B", "A"], "fold": ["train", "train", "ood", "train"]})
X = np.arange(8, dtype=np.float32).reshape(4, 2) + 0.5
OPTIONS = {"condition": "drug", "split": "fold", "control": "DMSO", "separator": "|", "test_words": ["test", "ood"]}


def tabular() -> pd.DataFrame:
    return FRAME.assign(g1=X[:, 0], g2=X[:, 1])


def adata() -> anndata.AnnData:
    made = anndata.AnnData(X, obs=FRAME.set_index(pd.Index(list("abcd"))), var=pd.DataFrame(index=["g1", "g2"]))
    made.layers["counts"] = np.round(X)
    return made


def write_mudata(path):
    from anndata.io import write_elem

    bare = adata()
    bare.obs = bare.obs[["drug"]]
    with h5py.File(path, "w") as file:
        for name in ("rna", "prot"):
            write_elem(file, f"mod/{name}", bare)
        write_elem(file, "obs", adata().obs.rename(columns={"fold": "rna:fold"})[["rna:fold"]])


WRITERS = {
    "t.csv": lambda path: tabular().to_csv(path, index=False),
    "T.CSV": lambda path: tabular().to_csv(path, index=False),
    "t.csv.gz": lambda path: tabular().to_csv(path, index=False),
    "t.tsv": lambda path: tabular().to_csv(path, index=False, sep="\t"),
    "semicolons.csv": lambda path: tabular().to_csv(path, index=False, sep=";"),
    "t.parquet": lambda path: tabular().to_parquet(path),
    "T.Parquet": lambda path: tabular().to_parquet(path),
    "a.h5ad": lambda path: adata().write_h5ad(path),
    "A.H5AD": lambda path: adata().write_h5ad(path),
    "a.zarr": lambda path: adata().write_zarr(path),
    "a.h5mu": write_mudata,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(WRITERS))
def test_every_format_gives_the_same_data(tmp_path, name):
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    WRITERS[name](tmp_path / name)
    data = convert_file(tmp_path / name, transform="log1p", **OPTIONS).data
    assert data.conditions == ("DMSO", "A", "A|B")
    assert data.environment.tolist() == [0, 1, 2, 1]
    assert data.test.conditions == ("A|B",)
    assert data.features == ("g1", "g2")
    assert np.allclose(data.x, np.log1p(X), rtol=1e-6)


def test_a_layer_where_x_is_absent(tmp_path):
    made = anndata.AnnData(obs=adata().obs, var=adata().var, layers={"counts": np.round(X)})
    made.write_h5ad(tmp_path / "layer.h5ad")
    assert "X is absent; choose a layer with layer=; known: counts" in said(
        convert_file, tmp_path / "layer.h5ad", **OPTIONS
    )
    assert convert_file(tmp_path / "layer.h5ad", layer="counts", **OPTIONS).data.x.tolist() == np.round(X).tolist()
    assert "there is no layer 'count'; did you mean 'counts'?" in said(
        convert_file, tmp_path / "layer.h5ad", layer="count", **OPTIONS
    )


def test_features_are_chosen_by_name_by_pattern_or_by_a_column_of_var(tmp_path):
    made = adata()
    made.var["highly_variable"] = [False, True]
    made.X[0, 0] = np.nan  # of a feature that is not chosen
    made.write_h5ad(tmp_path / "a.h5ad")
    for choice in ({"features": "g2"}, {"features": ["*2"]}, {"leave_out": "g1"}, {"features": "highly_variable"}):
        data = convert_file(tmp_path / "a.h5ad", **OPTIONS, **choice).data
        assert (data.features, data.x.ravel().tolist()) == (("g2",), X[:, 1].tolist())
    assert "features= 'g3' matches no feature" in said(convert_file, tmp_path / "a.h5ad", features="g3", **OPTIONS)
    made.var["highly_variable"] = pd.array([False, True], "boolean")
    made.write_h5ad(tmp_path / "nullable.h5ad")
    for read in (lambda **o: convert_file(tmp_path / "nullable.h5ad", **o).data, lambda **o: from_anndata(made, **o)):
        assert read(features="highly_variable", **OPTIONS).features == ("g2",)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.array([[1j], [2]]), "X holds complex numbers; write real ones"),
        (np.array([[np.inf], [2]], np.float16), "infinite"),
    ],
)
def test_numbers_that_no_file_can_hold(x, told, tmp_path):
    made = anndata.AnnData(x, obs=pd.DataFrame({"condition": ["ctrl", "A"]}, index=["0", "1"]))
    made.write_h5ad(tmp_path / "x.h5ad")
    assert told in said(convert_file, tmp_path / "x.h5ad")


def test_values_too_small_for_files_are_to_be_rescaled(tmp_path):
    made = anndata.AnnData(
        np.array([[1e-300], [2e-300]]), obs=pd.DataFrame({"condition": ["ctrl", "A"]}, index=list("ab"))
    )
    made.write_h5ad(tmp_path / "x.h5ad")
    message = said(convert_file, tmp_path / "x.h5ad")
    assert message.startswith(str(tmp_path / "x.h5ad"))
    assert message.endswith("cannot tell apart; rescale it")


@pytest.mark.parametrize("column", ["drug", "fold"])
def test_the_column_of_conditions_is_no_context(column):
    with pytest.raises(InputError, match=f"column '{column}' is no context"):
        ReadOptions(condition="drug", split="fold", batch=(column,))


def metadata(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    genes = pd.DataFrame(rng.lognormal(size=(n, 4)), columns=["KLF1", "TP53", "AGER", "PHC2"])
    beside = {
        "Unnamed: 0": np.arange(n),
        "barcode": [f"cell{i}" for i in range(n)],
        "collected": pd.Timestamp("2020-01-01"),
        "sequenced": 20200131,
        "n_counts": genes.sum(1).round(),
        "pct_counts_mt": rng.uniform(size=n),
        "everything": genes.sum(1),
        "batch": rng.integers(1, 4, n),
        "slide": rng.integers(1, 4, n),
        "is_doublet": 0,
        "good": rng.random(n) > 0.5,
        "kept": "yes",
        "note": "fine",
    }
    return pd.concat([pd.DataFrame({"condition": ["ctrl", "A", "B"] * (n // 3)}), genes, pd.DataFrame(beside)], axis=1)


class TestColumnsThatAreNotGenes:
    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_what_is_no_feature_is_left_out_with_its_reason(self, tmp_path, suffix):
        path, frame = tmp_path / f"t.{suffix}", metadata().drop(columns="everything")
        frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
        result = convert_file(path)
        assert result.data.features == ("KLF1", "TP53", "AGER", "PHC2")
        reasons = {"n_counts": "a total or a quality", "batch": "a code", "slide": "a code", "is_doublet": "a flag"}
        reasons |= {"good": "a flag", "kept": "a flag", "note": "text", "collected": "a time", "sequenced": "a time"}
        reasons |= {"Unnamed: 0": "row numbers", "barcode": "text", "pct_counts_mt": "a total or a quality"}
        assert result.left_out == reasons

    def test_a_total_is_known_by_its_value(self, tmp_path):
        metadata()[["condition", "KLF1", "TP53", "AGER", "everything"]].assign(
            everything=lambda t: t.iloc[:, 1:4].sum(1)
        ).to_csv(tmp_path / "t.csv", index=False)
        assert convert_file(tmp_path / "t.csv").left_out == {"everything": "the total of the others"}

    def test_counts_are_no_codes(self, tmp_path):
        x = np.random.default_rng(0).poisson(2, size=(60, 5))
        pd.DataFrame(x, columns=list("vwxyz")).assign(condition=["ctrl", "A"] * 30).to_csv(
            tmp_path / "t.csv", index=False
        )
        assert convert_file(tmp_path / "t.csv").data.x.tolist() == x.tolist()

    def test_what_is_asked_for_is_taken(self, tmp_path):
        metadata().to_csv(tmp_path / "t.csv", index=False)
        result = convert_file(tmp_path / "t.csv", features=["KLF1", "n_counts"])
        assert result.data.features == ("KLF1", "n_counts")
        assert result.left_out["batch"] == "not chosen"
        assert "column 'note': 60 rows not numeric" in said(convert_file, tmp_path / "t.csv", features="note")

    def test_a_reader_warns_of_what_it_leaves_out(self, tmp_path, caplog):
        metadata()[["condition", "KLF1", "batch"]].to_csv(tmp_path / "t.csv", index=False)
        read_table(tmp_path / "t.csv")
        assert "left out: batch (a code); choose with features= and leave_out=" in caplog.text

    @pytest.mark.parametrize(("n", "end"), [(7, "g6"), (8, "g7"), (9, "g7 and 1 more"), (1008, "g7 and 1,000 more")])
    def test_eight_of_those_left_out_are_named(self, n, end):
        data = PerturbationData.from_arrays(np.eye(2), ["ctrl", "A"])
        said_of_it = Conversion(data, {f"g{k}": "a code" for k in range(n)}).in_words()
        assert said_of_it.partition(" (a code);")[0].partition("left out: ")[2].endswith(end)
        assert said_of_it.count(", ") == min(n, 8) - 1

    def test_categories_without_rows_are_no_problem(self, tmp_path):
        condition = pd.Categorical(["ctrl", "A"], categories=["ctrl", "A", "bad+", "unused"])
        pd.DataFrame({"condition": condition, "g": [1.0, 2.0]}).to_parquet(tmp_path / "t.parquet")
        assert convert_file(tmp_path / "t.parquet").data.names == ("A",)


class TestProblems:
    def test_five_hundred_are_a_screenful(self, tmp_path):
        frame = pd.DataFrame({f"g{j}": [1.0, np.nan, np.inf] for j in range(500)})
        frame.insert(0, "condition", ["ctrl", "A", "B"])
        frame.to_csv(tmp_path / "t.csv", index=False)
        message = said(convert_file, tmp_path / "t.csv")
        assert "column 'g0': 1 row empty or NaN; column 'g1'" in message
        assert "and 497 more like these" in message
        assert len(message) < 1000

    def test_a_column_that_occurs_twice(self, tmp_path):
        (tmp_path / "t.csv").write_text("condition,g,g\nctrl,1,2\nA,3,4\n")
        assert "column 'g' occurs 2 times; rename them" in said(convert_file, tmp_path / "t.csv")

    def test_decimal_commas(self, tmp_path, caplog):
        (tmp_path / "t.csv").write_text("condition;g;h\nctrl;1,5;2\nA;-2,5e-1;4\nB;1,0;3\n")
        assert convert_file(tmp_path / "t.csv").data.x.tolist() == [[1.5, 2], [-0.25, 4], [1, 3]]
        assert "decimals are read after a comma, such as '1,5'" in caplog.text
        (tmp_path / "both.csv").write_text("condition;g;h\nctrl;1,5;2.5\nA;2,5;1.5\n")
        assert "column 'g': 2 rows not numeric, the first '1,5'" in said(convert_file, tmp_path / "both.csv")

    @pytest.mark.parametrize("values", [("4,253", "914", "1,131"), ("4,253", "12", "1,131,000")])
    @pytest.mark.parametrize(("name", "sign"), [("t.csv", ";"), ("t.tsv", "\t"), ("quoted.csv", ",")])
    def test_thousands_are_no_decimals(self, tmp_path, values, name, sign):
        rows = [("condition", "g"), *zip(("ctrl", "A", "B"), (f'"{value}"' for value in values), strict=True)]
        (tmp_path / name).write_text("\n".join(map(sign.join, rows)))
        assert "thousands" in said(convert_file, tmp_path / name)

    def test_three_decimals_after_a_comma(self, tmp_path):
        (tmp_path / "t.csv").write_text("condition;g\nctrl;1,253\nA;0,914\nB;7\n")
        assert convert_file(tmp_path / "t.csv").data.x.ravel().tolist() == pytest.approx([1.253, 0.914, 7])

    @pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
    def test_the_separator_of_a_compressed_table(self, tmp_path, suffix):
        pd.DataFrame({"condition": ["ctrl", "A"], "g": [1, 2]}).to_csv(
            tmp_path / f"t.csv{suffix}", sep=";", index=False
        )
        assert convert_file(tmp_path / f"t.csv{suffix}").data.features == ("g",)

    def test_a_compression_whose_package_is_missing(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "zstandard", None)
        (tmp_path / "t.csv.zst").write_bytes(b"(\xb5/\xfd")
        told = said(convert_file, tmp_path / "t.csv.zst")
        assert re.search(r"t\.csv\.zst: reading \.zst takes a package more: .*zstandard", told)

    def test_a_column_without_a_name(self, tmp_path):
        (tmp_path / "t.csv").write_text(",condition,g,\n0,ctrl,1,2\n1,A,2,3\n")
        reasons = {"Unnamed: 0": "row numbers", "Unnamed: 3": "no name in the header"}
        assert convert_file(tmp_path / "t.csv").left_out == reasons

    def test_nullable_columns(self, tmp_path):
        frame = pd.DataFrame(
            {"condition": ["ctrl", "A"], "g": pd.array([1, 2], "Int64"), "h": pd.array([1.5, 2], "Float32")}
        )
        frame.to_parquet(tmp_path / "t.parquet")
        assert convert_file(tmp_path / "t.parquet").data.x.tolist() == [[1, 1.5], [2, 2]]
        frame.assign(g=pd.array([1, None], "Int64")).to_parquet(tmp_path / "n.parquet")
        assert "column 'g': 1 row empty or NaN" in said(convert_file, tmp_path / "n.parquet")

    def test_doses_in_a_column(self, tmp_path):
        (tmp_path / "t.csv").write_text("condition,dose,g\nctrl,0,1\nA,0.5,2\nA+B,1+3,3\n")
        assert convert_file(tmp_path / "t.csv").data.conditions == ("ctrl", "A:0.5", "A+B:3")


class TestContainers:
    @pytest.mark.parametrize(
        "labels",
        [
            np.array(["ctrl", "A", "A+B"], dtype=np.dtypes.StringDType()),
            np.array([b"ctrl", b"A", b"A+B"]),
            np.array([b"ctrl", b"A", b"A+B"], dtype=object),
            pd.array(["ctrl", "A", "A+B"], dtype="string"),
            pd.Categorical(["ctrl", "A", "A+B"]),
        ],
        ids=["StringDType", "bytes", "objects", "nullable", "categories"],
    )
    def test_any_kind_of_text(self, labels):
        assert PerturbationData.from_arrays(np.eye(3), labels).conditions == ("ctrl", "A", "A+B")
        made = anndata.AnnData(np.eye(3, dtype=np.float32))
        made.obs["condition"] = list(labels) if isinstance(labels, np.ndarray) else labels
        assert PerturbationData.from_anndata(made).conditions == ("ctrl", "A", "A+B")

    @pytest.mark.filterwarnings("ignore")
    def test_features_of_one_name_are_refused(self, tmp_path):
        made = adata()
        made.var_names = ["g", "g"]
        made.write_h5ad(tmp_path / "twice.h5ad")
        with pytest.raises(InputError, match="feature 'g' and 1 more occurs twice"):
            ReadOptions().chosen(["a", "g", "h", "g", "h"])
        assert "feature 'g' occurs twice" in said(convert_file, tmp_path / "twice.h5ad", **OPTIONS)


WRONG = {
    "control.csv": (
        "condition,g\nDMSO,1.5\nA,2.5\n",
        "no condition is the control 'ctrl'; likely control='DMSO', or pass no_control=True for a design without one",
    ),
    "separator.csv": (
        "condition,g\nctrl,1.5\nA,2.5\nB,2.5\nA;B,2.5\n",
        "condition 'A;B' joins other conditions by ';'; give separator=';' if it is a combination, separator='+' if it"
        " is one name",
    ),
    "comma.csv": (
        'condition,g\nctrl,"1,5"\nA,"2,5"\n',
        "column 'g': 2 rows not numeric, the first '1,5' (write decimals with a point)",
    ),
    "thousands.csv": (
        'condition,g\nctrl,"1,500"\nA,"2,500"\n',
        "column 'g': 2 rows not numeric, the first '1,500' (write thousands with nothing between, decimals with a"
        " point)",
    ),
    "dates.csv": (
        "condition,day\nctrl,2026-01-01\nA,2026-01-02\n",
        "no numeric column; 'day' is a time (write some, or choose with features=)",
    ),
    "twice.csv": ("condition,g,g\nctrl,1.5,1.5\nA,2.5,2.5\n", "column 'g' occurs 2 times; rename them"),
    "latin.csv": (
        "condition,g\nctrl,1.5\nÄ,2.5\n".encode("latin-1"),
        "not a text of UTF-8 (byte 21 is of another encoding); save it as UTF-8",
    ),
    "nan.csv": (
        "condition,g\nctrl,1.5\nA,\n",
        "column 'g': 1 row empty or NaN (drop or impute them)",
    ),
    "text.csv": (
        "condition,g\nctrl,<0.1\nA,2.5\nA,2.5\n",
        "column 'g': 1 row not numeric, the first '<0.1' (write numbers, or leave the column out with leave_out=)",
    ),
    "empty.csv": ("", "the file is empty; write it again"),
    "empty.h5ad": ("", "the file is empty; write it again"),
    "blank.csv": (
        "condition,g\n,1.5\nA,2.5\n",
        "column 'condition': 1 row empty (write the control's name or drop them)",
    ),
    "book.xlsx": (
        "PK",
        "expected a file that ends in .h5ad, .h5mu, .zarr, .csv, .tsv, .txt, .parquet; save it as one of these",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_gets_one_line_with_field_and_fix(tmp_path, name):
    content, line = WRONG[name]
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    assert said(convert_file, tmp_path / name) == f"{tmp_path / name}: {line}"


def test_one_condition_alone_is_written_and_read(tmp_path):
    PerturbationData.from_arrays(np.eye(2), ["ctrl", "ctrl"]).write(tmp_path / "one.h5ad")
    assert PerturbationData.read(tmp_path / "one.h5ad").conditions == ("ctrl",)


@pytest.mark.parametrize("sign", [";", "|", "/", "-", "_"])
def test_other_separators_are_named_and_then_read(tmp_path, sign):
    (tmp_path / "t.csv").write_text(f"condition,g\nctrl,0.5\nA,1.5\nB,2.5\nA{sign}B,3.5\n")
    assert f"joins other conditions by {sign!r}" in said(convert_file, tmp_path / "t.csv")
    assert convert_file(tmp_path / "t.csv", separator=sign).data.names == ("A", "B")
    assert set(convert_file(tmp_path / "t.csv", separator="+").data.names) == {"A", "B", f"A{sign}B"}


def test_every_condition_held_out_that_is_none_is_told(tmp_path):
    pd.DataFrame({"condition": ["ctrl", "A", "B"], "g": [1.0, 2.5, 3.5], "h": [0.5, 1.5, 2.0]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    told = said(convert_file, tmp_path / "t.csv", test=["A:1:2", "A+B", "A"])
    assert "test='A:1:2': " in told
    assert "test='A+B' has no row" in told
    assert "test='A'" not in told


@pytest.mark.parametrize(
    ("names", "words"), [(["A"], "condition 'A':"), (["A", "B", "B"], "condition 'B' and 1 more:")]
)
def test_conditions_on_both_sides_of_a_split_are_named(names, words):
    obs = pd.DataFrame(
        {"condition": ["ctrl", *names, *names], "split": ["train"] * (len(names) + 1) + ["test"] * len(names)}
    )
    obs.index = obs.index.astype(str)
    with pytest.raises(InputError) as told:
        from_anndata(anndata.AnnData(np.random.default_rng(0).normal(size=(len(obs), 2)), obs=obs))
    assert words in str(told.value)


@pytest.mark.parametrize(("values", "reason"), [([3] * 60, None), ([1, 2, 3] * 20, "a code")])
def test_whole_numbers_among_fractions_are_a_code_if_they_vary(tmp_path, values, reason):
    x = np.random.default_rng(0).normal(size=(60, 3))
    frame = pd.DataFrame(x, columns=list("ghi")).assign(condition=["ctrl", "A", "B"] * 20, k=values)
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert convert_file(tmp_path / "t.csv").left_out.get("k") == reason
