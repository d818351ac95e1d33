"""Campaigns against files of our own: each mutation is read as before, or refused in a line.

In `make test` some of each kind; under ``slow`` as many as ``PDAE_SIM_CAMPAIGN`` says, 2,000 where it does not.
"""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from pdae_sim import PDAE
from pdae_sim import _files as files
from pdae_sim.errors import InputError
from pdae_sim.estimation import Architecture, Phase
from pdae_sim.estimation import _checkpoint as checkpoints
from pdae_sim.estimation import _persistence as persistence
from pdae_sim.study import Store, Study, run_study
from tests.test_reliability.mutations import SEED, SIZE, Tally, mutated_array, mutated_bytes, mutated_tree
from tests.test_study.toys import perform

SIZES = [60, pytest.param(SIZE, marks=pytest.mark.slow)]
SMALL = Architecture(width=8, depth=1)
LATENTS = Phase("latents", 3, {"density_ratio": 1.0}, cells=16)
DECODER = Phase("decoder", 2, {"reconstruction": 1.0}, learns=("decoder",), cells=16)
TOY = Study("toy", "Is it whole?", "none", "It is.", [{"seed": seed} for seed in range(3)], perform)


@pytest.fixture(scope="module")
def fitted(simulation):
    return {
        "noiseless": PDAE(2, architecture=SMALL, phases=(LATENTS, DECODER)).fit(simulation.data),
        "gaussian": PDAE(2, steps=2, architecture=SMALL, observation="gaussian").fit(simulation.data),
    }


def seen(model: PDAE, x: np.ndarray) -> list[np.ndarray]:
    """All that a model says of some cells."""
    arrays = [model.encode(x[:5]), model.sample("A+B", 7, rng=1), model.transport(x[:5], "ctrl", "A", rng=2)]
    return [*arrays, model.perturbation_matrix_, model.information_, model.train_counts_, model.train_labels_]


def same_as(arrays: list[np.ndarray]):
    def wrong(found: list[np.ndarray]) -> str | None:
        if not all(np.isfinite(array).all() for array in found):
            return "not finite"
        return None if all(map(np.array_equal, found, arrays)) else "silently different"

    return wrong


def mutate(path, rng: np.random.Generator, *, content_only: bool = False) -> str:
    """Mutate a JSON or safetensors file, its bytes or its content; says how."""
    if not content_only and rng.random() < 0.5:
        what, content = mutated_bytes(path.read_bytes(), rng)
        path.write_bytes(content)
    elif path.suffix == ".json":
        what, tree = mutated_tree(json.loads(path.read_text(encoding="utf-8")), rng)
        path.write_text(json.dumps(tree), encoding="utf-8")
    else:
        with safe_open(path, "np") as file:
            metadata = file.metadata()
        arrays = load_file(path)
        name = sorted(arrays)[rng.integers(len(arrays))]
        what, changed = mutated_array(arrays[name], rng)
        save_file(arrays | {name: np.ascontiguousarray(changed)}, path, metadata=metadata)
        what = f"{name}: {what}"
    return f"{path.name}: {what}"


def copied(source, target):
    shutil.rmtree(target, ignore_errors=True)
    return shutil.copytree(source, target)


@pytest.mark.parametrize("n", SIZES)
class TestModels:
    def test_read_as_written_or_refused(self, fitted, simulation, tmp_path, n):
        tally, rng, x = Tally(), np.random.default_rng(SEED), simulation.data.x
        for name, model in fitted.items():
            model.save(tmp_path / name)
            same = same_as(seen(PDAE.load(tmp_path / name), x))
            for _ in range(n // 2):
                folder = copied(tmp_path / name, tmp_path / "mutant")
                files = sorted(folder.iterdir())
                what = mutate(files[rng.integers(len(files))], rng)
                tally.judge(f"{name} {what}", lambda folder=folder: seen(PDAE.load(folder), x), same)
        print(tally)
        assert not tally.faults, f"{tally}\n" + "\n".join(tally.faults)
        assert tally.refused > n // 2

    def test_with_a_checksum_that_fits_it_is_another_model_or_refused(self, fitted, simulation, tmp_path, n):
        tally, rng, x = Tally(), np.random.default_rng(SEED + 1), simulation.data.x
        fitted["noiseless"].save(tmp_path / "whole")
        for _ in range(n):
            folder = copied(tmp_path / "whole", tmp_path / "mutant")
            files = sorted(folder.iterdir())
            what = mutate(files[rng.integers(len(files))], rng, content_only=True)
            config = json.loads((folder / "config.json").read_text())
            persistence.seal(folder, {key: value for key, value in config.items() if key != "sha256"})
            finite = lambda found: None if all(np.isfinite(a).all() for a in found) else "not finite"  # noqa: E731
            tally.judge(what, lambda folder=folder: seen(PDAE.load(folder), x), finite)
        print(tally)
        assert not tally.faults, f"{tally}\n" + "\n".join(tally.faults)


@pytest.mark.parametrize("n", SIZES)
def test_a_study_reads_tasks_as_written_or_does_them_again(tmp_path, n, caplog):
    tally, rng = Tally(), np.random.default_rng(SEED)
    run_study(TOY, Store(tmp_path / "whole"))
    whole = Store(tmp_path / "whole")
    rows, said = whole.rows(TOY.name, TOY.ids), whole.read_about()

    def shown(folder):
        store = Store(folder)
        done = {key: record["rows"] for key in TOY.ids if (record := store.record(key)) is not None}
        assert store.tally(TOY.ids).finished == len(done)
        return done

    def wrong(done):
        known = {key: whole.record(key)["rows"] for key in done}
        return None if done == known else "silently different"

    for k in range(n):
        folder = copied(whole.directory, tmp_path / "mutant")
        tasks = sorted((folder / "tasks").glob("*.json"))
        what = mutate(tasks[rng.integers(len(tasks))] if k % 3 else folder / "study.json", rng)
        tally.judge(what, lambda folder=folder: shown(folder), wrong)
        tally.judge(
            what, lambda folder=folder: Store(folder).read_about(), lambda about: None if about == said else "?"
        )
        if k % 10 == 0:
            run_study(TOY, Store(folder))
            tally.judge(
                what, lambda folder=folder: Store(folder).rows(TOY.name, TOY.ids), lambda r: None if r == rows else "?"
            )
    print(tally)
    assert not tally.faults, f"{tally}\n" + "\n".join(tally.faults)


@pytest.mark.parametrize("n", SIZES)
def test_a_checkpoint_is_resumed_as_written_or_refused(simulation, tmp_path, n):
    tally, rng, data = Tally(), np.random.default_rng(SEED), simulation.data
    path, mutant = tmp_path / "whole", tmp_path / "mutant"
    fit = lambda place: PDAE(2, architecture=SMALL, phases=(LATENTS, DECODER)).fit(data, checkpoint=place)  # noqa: E731
    same = same_as(seen(fit(path), data.x))
    for _ in range(n):
        shutil.copy(path, mutant)
        what = mutate(mutant, rng)
        tally.judge(what, lambda: seen(fit(mutant), data.x), same)
    print(tally)
    assert not tally.faults, f"{tally}\n" + "\n".join(tally.faults)
    assert tally.refused > n // 2


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_a_model_can_be_read_by_whom_the_umask_lets(fitted, tmp_path):
    before = os.umask(0o027)
    try:
        fitted["noiseless"].save(tmp_path / "m")
    finally:
        os.umask(before)
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "m").iterdir()} == dict.fromkeys(
        ("config.json", "history.json", "weights.safetensors"), "0o640"
    )


def test_what_a_library_begins_beside_a_checkpoint_lies_where_it_is_swept(simulation, tmp_path, monkeypatch):
    seen, write = [], checkpoints.save_file
    monkeypatch.setattr(
        checkpoints,
        "save_file",
        lambda held, path, metadata: (seen.append(path.parent), write(held, path, metadata=metadata)),
    )
    PDAE(2, architecture=SMALL, phases=(LATENTS, DECODER)).fit(simulation.data, checkpoint=tmp_path / "c")
    assert seen
    assert all(files._LEFT.fullmatch(folder.name) and folder.parent == tmp_path for folder in seen)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("value", [2**31 - 1, 2**62, -1])
def test_a_model_of_environments_that_there_are_not_is_refused_without_room_for_them(fitted, tmp_path, value):
    fitted["noiseless"].save(tmp_path / "m")
    arrays = load_file(tmp_path / "m" / "weights.safetensors")
    arrays["base_environment"][0] = value
    save_file(arrays, tmp_path / "m" / "weights.safetensors")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    persistence.seal(tmp_path / "m", {key: each for key, each in config.items() if key != "sha256"})
    tracemalloc.start()
    with pytest.raises(InputError, match="base_environment must hold every training condition"):
        PDAE.load(tmp_path / "m")
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def test_a_broken_task_is_set_aside_and_done_again(tmp_path, caplog):
    store = Store(tmp_path)
    run_study(TOY, store)
    rows = store.rows(TOY.name, TOY.ids)
    broken = store.tasks / f"{TOY.ids[0]}.json"
    whole = broken.read_bytes()
    unsealed = json.dumps({key: value for key, value in json.loads(whole).items() if key != "sha256"}).encode()
    for content in (b"{}", b"\xff", whole[:-9], whole.replace(b'"status"', b'"estate"', 1), unsealed):
        broken.write_bytes(content)
        assert store.tally(TOY.ids).finished == len(TOY.ids) - 1
        assert "does this task again" in caplog.text
        assert run_study(TOY, store).finished == len(TOY.ids)
        assert store.rows(TOY.name, TOY.ids) == rows
    assert len(list(store.tasks.glob("*.damaged*"))) == 5


def test_a_damaged_description_is_mended_by_the_next_run(tmp_path):
    store = Store(tmp_path)
    run_study(TOY, store)
    said = store.read_about()
    whole = store.about.read_text()
    for content in ("{", whole.replace('"sha256"', '"sha257"')):
        store.about.write_text(content)
        with pytest.raises(ValueError, match="run the study again into this folder"):
            store.read_about()
        assert run_study(TOY, store).finished == len(TOY.ids)
        assert store.read_about() == said
