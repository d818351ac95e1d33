"""What `evaluate` shows: estimators over conditions first, then conditions, then the goodness of the fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pdae_sim import study
from pdae_sim.cli._tables import Table, number, with_interval
from pdae_sim.intervals import Estimate, Interval

if TYPE_CHECKING:
    from pdae_sim.analysis.hypothesis_tests import ObservationFit

_HEADINGS = {
    "energy_distance": "energy distance",
    "n_eff": "worth in cells",
    "mmd": "MMD",
    "mean_difference": "Δ mean",
    "mean_r2": "R² mean",
    "pearson_delta": "Pearson Δ",
    "pearson_delta_pert": "Pearson Δ pert",
    "mse": "MSE",
    "mae": "MAE",
    "discrimination_score_l1": "discrimination L1",
    "discrimination_score_cosine": "discrimination cosine",
    "de_direction_match": "DE direction",
    "overlap_at_N": "DE overlap",
}
SHOWN_METRICS = ("energy_distance", "n_eff", "pearson_delta", "pearson_delta_pert")  # of all, unless some are chosen
_SCALE = "in brackets: 0 % is all training cells mixed, 100 % a replicate (other cells of the very condition)"

_WHY = "why not judged"
_SHOWN = 12  # faults of features in a table
_FULL = 5  # conditions that get a table of their own, all estimators in it; more share one
_CEILING = (
    "ceiling: that many other cells of the very condition taken for its law, with their sampling noise, E‖X − X'‖ over"
    " their number; an estimator that pools cells of other conditions has less and can be nearer. Its limit is the"
    " distance extrapolated to ever more cells: zero, to what these cells can tell."
)


def evaluation_tables(
    rows: Sequence[Mapping],
    verdicts: Mapping[str, str] | None = None,
    *,
    shown: Sequence[str] = SHOWN_METRICS,
    top: int | None = None,
) -> list[str | Table]:
    """A summary over conditions, then the conditions: each a table of estimators, or all in one if they are many.

    Args:
        rows: As `study.evaluate` returns them; the first estimator is the model.
        verdicts: Words that go beside a condition.
        shown: Metrics with a column, by the first of which estimators are ranked.
        top: Conditions at most, those that the model predicts worst.
    """
    rows = [row for row in rows if row["metric"] in shown]
    metrics = [metric for metric in shown if any(row["metric"] == metric for row in rows)]
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    chosen = conditions if top is None or len(conditions) <= top else _worst(rows, metrics[0])[:top]
    tables: list[str | Table] = _summary(rows, metrics[0]) if len(conditions) > 1 else []
    if len(chosen) <= _FULL:
        tables += [_one(rows, metrics, c, c if verdicts is None else f"{c}: {verdicts[c]}") for c in chosen]
    else:
        tables.append(_many(rows, metrics[0], chosen, whole=len(chosen) == len(conditions)))
    if len(chosen) < len(conditions):
        tables.append(f"{len(conditions) - len(chosen)} more conditions: --top {len(conditions)}, --csv or --json")
    return [
        *tables,
        *([_SCALE] if any(row.get("scaled") is not None for row in rows) else []),
        *([_CEILING] if any(row.get("cells") for row in rows) else []),
    ]


def effect_tables(effects: Mapping[str, Sequence[Mapping]], *, top: int) -> list[str | Table]:
    """Features by condition, as `study.feature_effects` returns them: those that change most beside their error."""
    return [
        Table(
            f"Changes from control at {condition}: {min(top, len(rows))} of {len(rows)} features, the clearest first",
            ("feature", "measured", "predicted", "apart, s.e."),
            [
                (
                    row["feature"],
                    with_interval(row["measured"], Interval(row["low"], row["high"])),
                    number(row["predicted"]),
                    f"{row['apart']:+.1f}",
                )
                for row in rows[:top]
            ],
        )
        for condition, rows in effects.items()
    ]


def _summary(rows: Sequence[Mapping], metric: str) -> list[str | Table]:
    """Estimators over conditions, best mean rank first; nothing if nothing was measured."""
    summaries = study.summarise(rows, metric)
    if not summaries:
        return []
    n = summaries[0].n_conditions
    lines = [
        (
            "ceiling, n/2 cells" if each.estimator == "ceiling" else each.estimator,
            *(_over_conditions(value) for value in (each.mean, each.median)),
            None if each.wins is None else _count(each.wins),
            _over_conditions(each.mean_rank),
            each.n_measured,
        )
        for each in summaries
    ]
    limits = [dict(row, estimator="limit", value=row["limit"]) for row in rows if row.get("limit") is not None]
    for limit in study.summarise(limits, metric):
        lines.append(
            ("ceiling, limit", *map(_over_conditions, (limit.mean, limit.median)), None, None, limit.n_measured)
        )
    columns = ("estimator", "mean", "median", "wins", "mean rank", "measured")
    complete = all(line[-1] == n for line in lines)
    title = f"{_HEADINGS.get(metric, metric)} over {n} conditions, with 95 % intervals for others like them"
    return [Table(title, columns[:-1], [line[:-1] for line in lines]) if complete else Table(title, columns, lines)]


def _over_conditions(estimate: Estimate | None) -> str | float | None:
    """A value with its interval, alone where its conditions are too few for one."""
    if estimate is None or not math.isfinite(estimate.high - estimate.low):
        return None if estimate is None else estimate.value
    return with_interval(estimate.value, estimate.interval)


def _count(wins: Estimate) -> str:
    return f"{wins.value:.0f} [{wins.low:.0f}, {wins.high:.0f}]"


def _one(rows: Sequence[Mapping], metrics: Sequence[str], condition: str, title: str) -> str | Table:
    """Estimators at a condition by the metrics, best by the first metric first; a sentence if none can be judged."""
    columns = ("estimator", *(_HEADINGS.get(metric, metric) for metric in metrics))
    cells = {(r["estimator"], r["metric"]): r for r in rows if r["condition"] == condition}
    names = sorted(dict.fromkeys(name for name, _ in cells), key=lambda name: _rank(cells.get((name, metrics[0]))))
    lines = [(_name(cells, name), *(_shown(cells.get((name, metric))) for metric in metrics)) for name in names]
    why = [_reason([cells[key] for key in cells if key[0] == name]) for name in names]
    for row in cells.values():
        if row.get("limit") is not None:
            limit = {**row, "value": row["limit"], "low": row["limit_low"], "high": row["limit_high"]}
            lines.append(("ceiling, limit", *(_shown(limit) if m == row["metric"] else None for m in metrics)))
            why.append(None)
    if lines and all(why) and len(set(why)) == 1 and all(set(line[1:]) == {None} for line in lines):
        return f"{title}: not judged, {why[0]}"
    if any(why):
        lines = [(*line, reason) for line, reason in zip(lines, why, strict=True)]
    return Table(title, (*columns, _WHY) if any(why) else columns, lines, prose=(_WHY,))


def _name(cells: Mapping[tuple[str, str], Mapping], name: str) -> str:
    """An estimator, with the number of cells that it is where it is the ceiling."""
    n = next((row["cells"] for key, row in cells.items() if key[0] == name and row.get("cells")), None)
    return name if n is None else f"{name}, {n} cells"


def _many(rows: Sequence[Mapping], metric: str, conditions: Sequence[str], *, whole: bool) -> Table:
    """The model, the best of the others and the ceiling by condition."""
    model = rows[0]["estimator"]
    lines = []
    for condition in conditions:
        own = {r["estimator"]: r for r in rows if r["condition"] == condition and r["metric"] == metric}
        others = sorted(set(own) - {model, "ceiling"}, key=lambda name: _rank(own[name]))
        best = own[others[0]] if others and own[others[0]]["value"] is not None else None
        other = () if best is None else (best["estimator"], best["value"])
        why = _reason([own[model]]) if model in own else None
        lines.append((condition, _shown(own.get(model)), other, _shown(own.get("ceiling")), why))
    compared = any(other for _, _, other, _, _ in lines)
    columns = ["condition", model, *(["best other", "its value"] if compared else []), "ceiling"]
    cells = [(c, ours, *(other or (None, None) if compared else ()), top, why) for c, ours, other, top, why in lines]
    if not any(line[-1] for line in cells):
        cells = [line[:-1] for line in cells]
    else:
        columns.append(_WHY)
    heading = _HEADINGS.get(metric, metric)
    title = (
        f"{heading} by condition" if whole else f"{heading} at the {len(conditions)} conditions {model} predicts worst"
    )
    return Table(title, columns, cells, prose=(_WHY,))


def _worst(rows: Sequence[Mapping], metric: str) -> list[str]:
    """Conditions, that of the model's worst value first; those without one are last."""
    own = [row for row in rows if row["estimator"] == rows[0]["estimator"] and row["metric"] == metric]
    measured = [row for row in own if row["value"] is not None]
    ordered = sorted(measured, key=_rank, reverse=True)
    return list(dict.fromkeys(row["condition"] for row in [*ordered, *own, *rows]))


def _reason(rows: Sequence[Mapping]) -> str | None:
    """Why the metrics of an estimator are not there, without the kind of the error."""
    errors = [row["error"] for row in rows if row.get("error")]
    return errors[0].removeprefix("InputError: ") if errors else None


def goodness_tables(result: Mapping) -> list[str | Table]:
    """The goodness of fit by part and condition, and in words."""
    columns = ("part", "condition", "p", "Holm", "worth in cells", "p of less")
    lines = [
        (row["part"], row["condition"], row["p_value"], row["holm"], _worth(row), row["equivalence_p_value"])
        for row in result["rows"]
    ]
    title = f"Goodness of fit; the last column tests a worth of less than {result['cells']:g} cells"
    return [Table(title, columns, lines), result["in_words"]]


def observation_tables(name: str, fit: ObservationFit | None) -> list[str | Table]:
    """Features that an observation model does not fit, worst first, and in words; nothing if it has no noise."""
    if fit is None:
        return []
    columns = ("feature", "beside the model", "by how much", "Holm")
    lines = [(test.feature, test.fault, test.size, fit.tests.holm[test.name]) for test in fit.faults()]
    title = f"Observation model {name}, on {fit.cells:,} cells"
    more = f"{len(lines) - _SHOWN} further faults are in --json" if len(lines) > _SHOWN else ""
    table = Table(title, columns, lines[:_SHOWN])
    return [*([table] if lines else []), *([more] if more else []), f"observation model {name}: {fit.in_words()}"]


def _rank(row: Mapping | None) -> tuple:
    """Order of estimators by a metric, best first; failures stand last."""
    if row is None or row["value"] is None:
        return (True, 0.0)
    return (False, row["value"] if row["metric"] in study.LESS_IS_BETTER else -row["value"])


def _shown(row: Mapping | None) -> str | float | None:
    """A value with its interval or its place between pool and replicate.

    Its bound stands alone where an end is open, or a distance is not told apart from zero.
    """
    if row is None or row["value"] is None or row["low"] is None:
        place = None if row is None else row.get("scaled")
        value = None if row is None else row["value"]
        return value if place is None or value is None else f"{number(value)} ({place:.0%})".replace("-", "−")
    if row["metric"] == "energy_distance" and row["low"] <= 0:
        return f"≤ {number(row['high'])}"
    return with_interval(row["value"], _interval(row["low"], row["high"]))


def _worth(row: Mapping) -> str | None:
    if row["n_eff"] is None:
        return None
    return with_interval(row["n_eff"], _interval(row["n_eff_low"], row["n_eff_high"]))


def _interval(low: float, high: float | None) -> Interval:
    return Interval(low, math.inf if high is None else high)
