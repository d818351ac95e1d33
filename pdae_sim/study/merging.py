"""Shards that ran in folders of their own, brought together."""

from __future__ import annotations

from collections.abc import Sequence

from pdae_sim._files import write_text
from pdae_sim.errors import InputError
from pdae_sim.study._execute import has_failed
from pdae_sim.study.store import Store, Tally

_SHARED = ("study.json", "settings.json", "declaration.toml")


def merge_stores(stores: Sequence[Store], into: Store) -> Tally:
    """The union of the finished tasks of some stores of one study, collected in `into`.

    Where several hold a task, one without failures is kept.

    Args:
        stores: Folders of shards.
        into: Where all of it goes; may hold some already.

    Raises:
        InputError: If a folder holds no study, or another one than the first, or a runner is at work in `into`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from pdae_sim.study import Study, run_study
        >>> study = Study("two", "?", "none", "", [{"seed": 0}, {"seed": 1}], lambda task: [dict(task)])
        >>> with TemporaryDirectory() as folder:
        ...     shards = [Store(f"{folder}/{i}") for i in (1, 2)]
        ...     done = [run_study(study, store, shard=(i, 2)).finished for i, store in enumerate(shards, 1)]
        ...     (done, merge_stores(shards, Store(f"{folder}/all")).finished)
        ([1, 1], 2)
    """
    if not stores:
        raise InputError("there is nothing to merge; give at least one folder")
    about = _one_study([*stores, *([into] if into.about.is_file() else [])])
    ids = [task["task_id"] for task in about["tasks"]]
    into.tasks.mkdir(parents=True, exist_ok=True)
    with into.locked():
        for name in _SHARED:
            source = next((path for store in stores if (path := store.directory / name).is_file()), None)
            if source is not None:
                write_text(into.directory / name, source.read_text(encoding="utf-8"), force=True)
        for key in ids:
            record = _best((into, *stores), key)
            if record is not None:
                into.put_record(key, record)
        into.collect(about["name"], ids)
    return into.tally(ids)


def _one_study(stores: Sequence[Store]) -> dict:
    first, *others = [(store, store.read_about()) for store in stores]
    for store, about in others:
        if about != first[1]:
            what = _difference(first[1], about)
            raise InputError(f"{store.directory}: holds another study than {first[0].directory} ({what} differs)")
    return first[1]


def _difference(one: dict, other: dict) -> str:
    return next((key for key in one if one[key] != other.get(key)), "its keys")


def _best(stores: Sequence[Store], key: str) -> dict | None:
    records = [record for store in stores if (record := store.record(key)) is not None]
    good = [record for record in records if not has_failed(record)]
    return next(iter(good or records), None)
