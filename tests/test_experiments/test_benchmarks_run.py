"""The benchmarks of estimation, at a size that takes seconds."""

from __future__ import annotations

from experiments.benchmarks import accuracy, race, rivals


def test_a_race_stops_where_the_default_does_as_well(monkeypatch):
    monkeypatch.setattr(race, "SHARES", (0.002, 0.004))
    monkeypatch.setattr(race, "FRESH", 500)
    published, ours = race.race(0, 1)
    assert 1 <= len(ours) <= 2
    assert ours[-1].distance <= published.distance or len(ours) == 2
    assert race.line(0, published, ours).count("|") == 8


def test_tables_of_accuracy_have_a_row_for_every_estimator(tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy, "CELLS", 40)
    declared = accuracy.plane(1, 0)
    kept = [each for each in declared.estimators if each.kind in ("additive", "pool")]
    small = declared.model_copy(update={"estimators": kept})
    rows, provenance = accuracy.measured(small, tmp_path, 1)
    text = accuracy.predicted(rows)
    assert [line.split(" | ")[0] for line in text[2:]] == ["| pool", "| additive", "| ceiling"]
    assert isinstance(accuracy.seconds(provenance), str)


def test_rivals_are_declared_with_the_package_where_it_is_there():
    names = [each.get("name", each["kind"]) for each in rivals.RIVALS]
    assert names == ["adversarial", "conditional", "conditional, pre-additive"]
