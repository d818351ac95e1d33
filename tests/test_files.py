"""Files written whole or not at all, also when interrupted."""

import os
import signal

import pandas as pd
import pytest

from pdae_sim import _files as files
from pdae_sim.errors import InputError

OLD, YOUNG = (f"pdae-sim-{digit * 32}" for digit in "01")


class TestWholeOrNothing:
    def test_a_failure_inside_leaves_no_file(self, tmp_path):
        with pytest.raises(KeyError):
            fail_in_the_middle(tmp_path / "out.txt")
        assert not list(tmp_path.iterdir())

    def test_a_failure_inside_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "out.txt"
        path.write_text("old")
        with pytest.raises(KeyError):
            fail_in_the_middle(path, force=True)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_the_file_is_readable_as_umask_says(self, tmp_path):
        files.write_text(tmp_path / "new", "text")
        (tmp_path / "plain").write_text("text")
        assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_also_where_a_library_puts_a_file_of_its_own_there(self, tmp_path):
        with files.whole_file(tmp_path / "new") as temporary:
            (tmp_path / "private").write_text("text")
            (tmp_path / "private").chmod(0o600)
            (tmp_path / "private").replace(temporary)
        (tmp_path / "plain").write_text("text")
        assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_one_of_many_is_written_without_a_look_at_the_folder(self, tmp_path):
        left = tmp_path / f".a.txt.{OLD}.txt"
        left.write_text("left")
        os.utime(left, (0, 0))
        with files.replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("whole")
        assert sorted(path.name for path in tmp_path.iterdir()) == [left.name, "a.txt"]
        files.sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]

    def test_a_table(self, tmp_path):
        files.write_table(tmp_path / "rows.parquet", [{"a": 1, "b": "x"}, {"a": 2}])
        assert pd.read_parquet(tmp_path / "rows.parquet")["a"].tolist() == [1, 2]


class TestInterrupts:
    @pytest.mark.parametrize(
        ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)], ids=["INT", "TERM"]
    )
    def test_one_that_comes_during_a_write_is_heeded_at_its_end_and_nothing_is_left(self, tmp_path, number, raised):
        heeded = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL  # not so in a background job
        at_first, reached = signal.signal(number, heeded), []

        def write():
            with files.whole_file(tmp_path / "a.txt") as temporary:
                temporary.write_text("half")
                signal.raise_signal(number)
                reached.append(temporary.write_text("whole"))

        try:
            with pytest.raises(raised) as ended:
                write()
            assert signal.getsignal(number) is heeded
            assert getattr(ended.value, "code", 143) == 128 + signal.SIGTERM
        finally:
            signal.signal(number, at_first)
        assert reached
        assert not list(tmp_path.iterdir())

    def test_one_that_is_ignored_stays_so(self, tmp_path):
        at_first = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with files.whole_file(tmp_path / "a.txt") as temporary:
                signal.raise_signal(signal.SIGINT)
                temporary.write_text("whole")
        finally:
            signal.signal(signal.SIGINT, at_first)
        assert (tmp_path / "a.txt").read_text() == "whole"

    def test_a_write_without_one_is_whole_and_sweeps_up_what_was_left_long_ago(self, tmp_path):
        old, young = tmp_path / f".b.png.{OLD}.png", tmp_path / f".a.txt.{YOUNG}.txt"
        for left in (old, young):
            left.write_text("left")
        os.utime(old, (0, 0))
        files.write_text(tmp_path / "a.txt", "whole")
        assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "a.txt"]


def fail_in_the_middle(path, **options):
    with files.whole_file(path, **options) as temporary:
        temporary.write_text("half")
        raise KeyError


class TestNames:
    def test_a_link_to_nothing_is_written_over(self, tmp_path):
        (tmp_path / "a.txt").symlink_to(tmp_path / "gone" / "b.txt")
        files.write_text(tmp_path / "a.txt", "whole")
        assert (tmp_path / "a.txt").read_text() == "whole"
        assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]

    def test_a_sweep_leaves_what_others_named(self, tmp_path):
        for name in (f".cache.{'0' * 32}", f".b.png.{'1' * 32}.png"):
            (tmp_path / name).mkdir()
            os.utime(tmp_path / name, (0, 0))
        files.sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 2

    def test_a_sweep_goes_on_after_what_it_may_not_remove(self, tmp_path, monkeypatch):
        for name in "ab":
            left = files.beside(tmp_path / name)
            left.write_text("left")
            os.utime(left, (0, 0))
        remove, refused = files.remove, []

        def first_refused(path):
            if not refused:
                refused.append(path)
                raise PermissionError(1, "Operation not permitted")
            remove(path)

        monkeypatch.setattr(files, "remove", first_refused)
        files.sweep(tmp_path)
        assert list(tmp_path.iterdir()) == refused


@pytest.mark.parametrize("said", ["no space left", "a stack:\nin C\ndisk: no space left", "x" * 500 + " no space left"])
def test_what_a_library_says_of_a_full_disk_is_told_by_the_end_of_its_last_line(said, tmp_path):
    with pytest.raises(InputError) as told, files.writing(tmp_path / "a"):
        raise RuntimeError(said)
    reason = said.splitlines()[-1][-120:]
    assert str(told.value).startswith(f"{tmp_path / 'a'}: cannot be written ({reason});")
