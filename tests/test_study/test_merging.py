"""Shards brought together."""

from __future__ import annotations

import pytest

from pdae_sim.errors import InputError
from pdae_sim.study.merging import merge_stores
from pdae_sim.study.running import run_study
from pdae_sim.study.store import Store
from tests.test_study import toys


class TestMerge:
    def test_prefers_what_did_not_fail(self, tmp_path, monkeypatch):
        study, stores = toys.study(last={"fails": True}), [Store(tmp_path / name) for name in "ab"]
        run_study(study, stores[0])
        monkeypatch.setenv("PDAE_SIM_MENDED", "1")
        run_study(study, stores[1])
        assert merge_stores(stores, Store(tmp_path / "all")).failed == 0

    @pytest.mark.parametrize("holders", ["a", "b", "ab"])
    def test_what_declares_the_study_is_kept_whichever_part_has_it(self, tmp_path, holders):
        stores = [Store(tmp_path / name) for name in "ab"]
        for store in stores:
            run_study(toys.study(2), store)
        for name in holders:
            (tmp_path / name / "declaration.toml").write_text(f"# of {name}")
        merge_stores(stores, Store(tmp_path / "all"))
        assert (tmp_path / "all" / "declaration.toml").read_text() == f"# of {holders[0]}"

    def test_refuses_another_study_and_nothing(self, tmp_path):
        run_study(toys.study(2), Store(tmp_path / "a"))
        run_study(toys.study(3), Store(tmp_path / "b"))
        with pytest.raises(InputError, match=r"b: holds another study than .*a \(tasks differs\)"):
            merge_stores([Store(tmp_path / "a"), Store(tmp_path / "b")], Store(tmp_path / "all"))
        with pytest.raises(InputError, match="nothing to merge"):
            merge_stores([], Store(tmp_path / "all"))

    def test_a_folder_of_another_study_is_refused(self, tmp_path):
        run_study(toys.study(2), Store(tmp_path))
        other = toys.Study("other", "", "", "", [{"seed": 0}], toys.perform)
        with pytest.raises(InputError, match="holds the study 'toy'"):
            run_study(other, Store(tmp_path))
