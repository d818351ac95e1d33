"""Tables and sentences of the READMEs that quote stored results, written anew from them.

Run: `make results`, or `python -m experiments.quoted`. A quotation stands between two comments; the first names it, the
stored results and the command that makes those. What is between is never written by hand.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from experiments import judges_page, readme
from experiments.benchmarks import accuracy, atlas, counts, dimension, geometry, halves, judges, limits, rivals
from pdae_sim.report import format_estimate
from pdae_sim.study.medians import median

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"
DOCUMENTS = (ROOT / "README.md", RESULTS / "README.md")
_QUOTED = re.compile(r"<!-- quoted: ([\w-]+), from [^>]*-->\n(?:(.*?)\n)??<!-- end of quotation -->", re.S)


@dataclass(frozen=True)
class Quotation:
    """Text made from stored results.

    Args:
        source: File in `experiments/results`.
        command: What makes the file.
        render: From its content to Markdown.
    """

    source: str
    command: str
    render: Callable[[Any], str]


def rewritten(text: str) -> str:
    """A document with every quotation as the stored results have it."""
    return _QUOTED.sub(lambda match: block(match[1]), text)


def block(name: str) -> str:
    """A quotation with its comments."""
    quotation = QUOTATIONS[name]
    results = json.loads((RESULTS / quotation.source).read_text(encoding="utf-8"))
    opening = f"<!-- quoted: {name}, from {quotation.source}, {quotation.command} -->"
    return f"{opening}\n{quotation.render(results)}\n<!-- end of quotation -->"


def quoted_names(text: str) -> list[str]:
    """Names of the quotations in a document, in order."""
    return [match[1] for match in _QUOTED.finditer(text)]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


_OWN = ("pdae", "tilting", "oracle")


def _energies(found: dict) -> dict[str, np.ndarray]:
    return {key.removeprefix("energy "): np.array(found[key]) for key in found if key.startswith("energy ")}


def _best_baseline(found: dict) -> tuple[str, float]:
    medians = {name: float(np.median(values)) for name, values in _energies(found).items() if name not in _OWN}
    best = min(medians, key=lambda name: medians[name])
    return best, medians[best]


def _noise_row(name: str, found: dict) -> list[str]:
    energies = _energies(found)
    ours, oracle, tilting = (energies[key] for key in ("pdae", "oracle", "tilting"))
    best, distance = _best_baseline(found)
    gram, efficient = np.array(found["gram_error"]), np.array(found.get("gram_oracle", np.nan), dtype=float)
    kinds, counts = np.unique(found["observation"], return_counts=True)
    return [
        name,
        format_estimate(median(ours.tolist())),
        f"{np.median(ours) / np.median(oracle):.1f}",
        f"{np.median(tilting):.4f}",
        f"{best} {distance:.3f}",
        f"{int((ours <= tilting).sum())} of {len(ours)}",
        format_estimate(median(gram.tolist())),
        f"{np.median(gram / efficient):.2g}" if np.isfinite(efficient).all() else "–",
        ", ".join(f"{kind} {count}" for kind, count in zip(kinds, counts, strict=True)),
        f"{np.median(found['seconds']):.0f}",
    ]


def _rows_of(benchmark: ModuleType) -> Callable[[Any], str]:
    """The table of a benchmark that words its own rows."""
    return lambda results: table(benchmark.HEADS, benchmark.table_rows(results))


def _noise(results: dict) -> str:
    heads = ("world", "energy distance", "over the oracle's", "tilting", "best baseline", "at or below tilting in")
    heads += ("Gram error", "over an efficient one", "chosen", "processor s")
    return table(heads, (_noise_row(name, found) for name, found in results.items()))


def _small(value: float) -> str:
    return f"{value:.3f}" if value >= 0.01 else f"{value:.4f}"


def _noise_in_words(results: dict) -> str:
    kinds = {
        "noisy": "Gaussian noise, signal-to-noise ratio 10",
        "heteroscedastic": "noise that grows",
        "proteins": "log-ratios of proteins",
        "dropout": "lost entries",
        "counts": "counts of 50 genes, 98 molecules a cell",
    }
    ours = [f"{np.median(results[kind]['energy pdae']):.4f} ({words})" for kind, words in kinds.items()]
    best = [_best_baseline(results[kind]) for kind in kinds]
    if {name for name, _ in best} != {"transport_parts"}:
        raise ValueError(f"the best baseline is no longer composed transport everywhere: {best}; say so in README.md")
    rivals = [_small(distance) if distance < 0.1 else f"{distance:.2f}" for _, distance in best]
    sentence = (
        "Through the noise of an assay the supported double is predicted at a median energy distance of "
        f"{', '.join(ours[:-1])} and {ours[-1]}, where the best baseline, optimal transport composed, has "
        f"{', '.join(rivals[:-1])} and {rivals[-1]}."
    )
    return textwrap.fill(sentence, 120)


def _rivals(results: dict) -> str:
    return table(("", *rivals.measured(results)), rivals.table_rows(results))


def _strays(results: list[dict]) -> str:
    found: dict[tuple, list[float]] = {}
    for row in results:
        found.setdefault((row["observation"], row["strays"], row["singletons"]), []).append(row["energy_distance"])
    rows = []
    for (observation, strays, singletons), values in found.items():
        what = f"{singletons:,} singletons alone" if singletons else f"{strays} strays" if strays != 1 else "1 stray"
        without = np.median(found[observation, 0, 0])
        rows.append([observation, what, f"{np.median(values):.4f}", f"{np.median(values) / without:.2f}"])
    return table(("cells", "conditions", "energy distance at A+B", "over that without strays"), rows)


def _geometry(results: dict) -> str:
    rows = (geometry.row(*key.split(", "), found) for key, found in results.items())
    return table(geometry.HEADS, rows)


def _atlas(results: dict) -> str:
    heads = ("table", "seeds", "default", "worst seed", "best baseline", "additive from parts", "tilting")
    heads += ("expected before", "predicted by", "processor s")
    shown = lambda v: "–" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v)  # noqa: E731
    rows = ([*map(shown, row[:-1]), f"{row[-1]:.0f}"] for row in atlas.summaries(results["fits"]))
    return table(heads, rows)


def _judges(results: dict) -> str:
    n, _ = judges_page.sizes(results)
    heads = (f"counts, {n} cells: %", *judges.PLANTED, "bias", "Spearman with KL")
    return table(heads, (_judges_row(results, n, name) for name in judges.METRICS))


def _judges_row(results: dict, n: int, name: str) -> list[str]:
    found = results["counts"]["cells"][str(n)][name]
    caught = [judges_page.power(results, "counts", n, name, error) for error in judges.PLANTED]
    first = [judges_page.prefers(results, "counts", n, name, error) for error in judges.PLANTED]
    cells = [f"{100 * c:.0f}" if f is None else f"first {100 * f:.0f}" for c, f in zip(caught, first, strict=True)]
    rank = found["agreement"]["all"][0]
    bias = "–" if found["bias"] is None else f"{100 * found['bias']:.0f}"
    return [name, *cells, bias, f"{rank[0]:.2f} ± {rank[1]:.2f}"]


def _demo(results: dict) -> str:
    words = (
        "The verdicts at the head of the columns are given before any cell of those conditions is seen. Orthogonal R² "
        f"of the latents in the same run: {results['orthogonal_r2']:.3f}; over random mixings, see "
        "[Studies](#studies)."
    )
    return f"{readme.table(results)}\n\n{textwrap.fill(words, 120)}"


def _accuracy_in_words(results: dict) -> str:
    plane = results["plane"]
    ratios = {part: accuracy.gram_ratio(results[part]) for part in accuracy.PARTS if part in results}
    others = {"few": f"{accuracy.FEW} cells a condition", "ten": "ten latents and 15 singles"}
    beside = [f"{ratios[part]:.2f} times with {words}" for part, words in others.items() if part in ratios]
    worths = {name: accuracy.worth(plane, name, "A+B")[0] for name in ("pdae", "linear", "additive")}
    best = max(("linear", "additive"), key=lambda name: worths[name])
    far = [f"{np.median(plane[f'energy distance at {c}']['pdae']):.2g} at {c}" for c in accuracy.OFF_SUPPORT]
    ours, rival = (accuracy.rounded(worths[name]) for name in ("pdae", best))
    sentence = (
        f"Over {len(plane['gram_error']['pdae'])} random worlds without noise (d_Z = 2, d_X = 10, control and three "
        f"singles, {accuracy.CELLS:,} cells each; medians) the Gram error of Ŵ is {ratios['plane']:.2f} times that of "
        f"an oracle that sees the latents{''.join(f', {words}' for words in beside)}; the prediction of the supported "
        f"A+B is worth {ours} measured cells, against {rival} for the {best} shift. Off support the energy distance is "
        f"{', '.join(far)}."
    )
    return textwrap.fill(sentence, 120)


def _limits_in_words(results: dict) -> str:
    cubic = max(limits.DEGREES)
    plane, ten = (limits.least(results["worlds"][limits.PARTS[part]], cubic) for part in ("plane", "ten"))
    sentence = (
        f"In root mean square no regular estimator that has to learn f can have a Gram error below {plane:.2f} times "
        f"that of the oracle in these worlds, or {ten:.2f} times with ten latents, however many cells there are "
        "([theory](theory/README.md), claim 2.10f; `efficient_limit`); medians of few worlds may."
    )
    return textwrap.fill(sentence, 120)


QUOTATIONS: dict[str, Quotation] = {
    "demo": Quotation("demo.json", "make demo", _demo),
    "accuracy-in-words": Quotation("accuracy.json", "python -m experiments.benchmarks.accuracy", _accuracy_in_words),
    "accuracy": Quotation("accuracy.json", "python -m experiments.benchmarks.accuracy", _rows_of(accuracy)),
    "limits-in-words": Quotation("limits.json", "python -m experiments.benchmarks.limits", _limits_in_words),
    "limits": Quotation("limits.json", "python -m experiments.benchmarks.limits", _rows_of(limits)),
    "counts": Quotation("counts.json", "python -m experiments.benchmarks.counts --latents 20", _rows_of(counts)),
    "atlas": Quotation("atlas.json", "python -m experiments.benchmarks.atlas", _atlas),
    "geometry": Quotation("geometry.json", "python -m experiments.benchmarks.geometry", _geometry),
    "halves": Quotation("halves.json", "python -m experiments.benchmarks.halves", _rows_of(halves)),
    "dimension": Quotation("dimension.json", "python -m experiments.benchmarks.dimension 6", _rows_of(dimension)),
    "judges": Quotation("judges.json", "python -m experiments.benchmarks.judges", _judges),
    "strays": Quotation("strays.json", "python -m experiments.benchmarks.strays", _strays),
    "noise-in-words": Quotation("noise.json", "python -m experiments.benchmarks.noise", _noise_in_words),
    "noise": Quotation("noise.json", "python -m experiments.benchmarks.noise", _noise),
    "rivals": Quotation("rivals.json", "python -m experiments.benchmarks.rivals 4", _rivals),
}
"""Quotations by the name that documents use."""


def main() -> None:
    """Write every document anew."""
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        path.write_text(rewritten(text), encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(quoted_names(text))} quotations")


if __name__ == "__main__":
    main()
