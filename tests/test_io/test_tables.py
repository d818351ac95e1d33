"""CSV and Parquet tables: read as written, all their problems listed at once."""

import numpy as np
import pandas as pd
import pytest

from pdae_sim.io import read_table
from tests.test_io.refusals import said

TABLE = "condition,g1,g2\nctrl,1,2\nA,3,4\nctrl+A,5,6\nB:0.5+A,7,8\n"


class TestRead:
    def converted(self, tmp_path, text, **options):
        (tmp_path / "table.csv").write_text(text)
        return read_table(tmp_path / "table.csv", **options)

    def refused(self, tmp_path, text, **options):
        message = said(self.converted, tmp_path, text, **options)
        assert message.startswith(f"{tmp_path / 'table.csv'}: ")
        return message

    def test_a_csv(self, tmp_path):
        data = self.converted(tmp_path, TABLE)
        assert data.conditions == ("ctrl", "A", "A+B:0.5")
        assert data.features == ("g1", "g2")
        assert data.x.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]

    def test_a_parquet_table_with_a_split(self, tmp_path):
        frame = pd.DataFrame({"drug": ["DMSO", "A"], "fold": ["train", "test"], "g": [0, 7]})
        frame.to_parquet(tmp_path / "table.parquet")
        options = {"condition": "drug", "split": "fold", "control": "DMSO", "transform": "log1p"}
        data = read_table(tmp_path / "table.parquet", **options)
        assert data.test.conditions == ("A",)
        assert data.conditions[0] == "DMSO"
        assert np.allclose(data.x.ravel(), [0, np.log(8)])

    def test_conditions_to_hold_out_in_any_spelling(self, tmp_path):
        assert self.converted(tmp_path, TABLE, test=["A+B:0.5"]).test.conditions == ("A+B:0.5",)

    def test_all_problems_at_once_with_row_counts(self, tmp_path):
        text = (
            "condition,split,g1,g2,g3\n,train,1,1,1\nA+,train,x,inf,1\nA+,valid,y,1,\n"
            "B:z,train,1,1,1\nB+B,test,1,1,1\nctrl,train,1,1,1\n"
        )
        message = self.refused(tmp_path, text)
        for problem in (
            "column 'condition': 1 row empty",
            "condition 'A+' has an empty part around '+'; if '+' belongs to the name, give another separator=",
            "malformed dose 'z' in 'B:z' of condition 'B:z'; write a finite number such as 0.5; if ':' belongs",
            "perturbation 'B' appears twice in condition 'B+B'",
            "column 'g1': 2 rows not numeric, the first 'x'",
            "column 'g2': 1 row infinite",
            "column 'g3': 1 row empty or NaN",
            "column 'split' must hold 'train' or 'test'; 1 rows do not, the first 'valid'",
        ):
            assert problem in message

    @pytest.mark.parametrize(
        ("text", "options", "message"),
        [
            ("conditon,g\nA,1\n", {}, "no column 'condition'; did you mean 'conditon'?"),
            ("condition\nA\n", {}, "no numeric column"),
            ("condition,g\n", {}, "the table has no row"),
            ("", {}, "the file is empty; write it again"),
            (TABLE, {"test": ["C"]}, "test='C': unknown perturbation 'C'"),
            (TABLE, {"test": ["B", "A"]}, "test='B' has no row"),
            ("condition,g\nA,0\n", {"transform": "log"}, "column 'g': 1 row ≤ 0, outside the domain of log"),
            ("condition,g\nA,-1\n", {"transform": "log1p"}, "column 'g': 1 row ≤ -1, outside the domain of log1p"),
            ("condition,split,g\nA,train,1\nA,test,2\n", {}, "both train and test"),
            ("condition,g\nA,1e300\n", {}, "'g'"),
        ],
    )
    def test_one_problem(self, tmp_path, text, options, message):
        assert message in self.refused(tmp_path, text, **options)

    def test_conditions_that_look_like_numbers_are_names(self, tmp_path):
        assert self.converted(tmp_path, "condition,g\nctrl,1\n1,1\n").names == ("1",)
        assert self.converted(tmp_path, "condition,g\n1,1\n2,1\n", no_control=True).names == ("1", "2")

    def test_another_kind_of_table(self, tmp_path):
        (tmp_path / "table.xlsx").write_text("")
        assert "expected a table that ends in .csv" in said(read_table, tmp_path / "table.xlsx")
        assert "no such file" in said(read_table, tmp_path / "none.csv")
