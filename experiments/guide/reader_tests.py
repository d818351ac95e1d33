"""Property tests of a reader of files: what is written is what is read, whatever the names, doses and orders.

Tables of cells fail at their labels: names that hold the separator, doses spelt in another way, `B+A` beside `A+B`, a
control between the parts. `strategies.spellings` draws condition strings beside the label that they must be read as.
"""

import csv
import io

import numpy as np
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from pdae_sim import LabelSpace, PerturbationData, strategies


def naive_label(condition: str, names: tuple[str, ...]) -> list[float]:
    """The doses of a condition, by splitting at the separators."""
    doses = dict.fromkeys(names, 0.0)
    for part in condition.split("+"):
        name, _, dose = part.partition(":")
        if name != "ctrl":
            doses[name] = float(dose or 1)
    return list(doses.values())


def write(data: PerturbationData) -> str:
    """A table of cells: the condition, then the features."""
    file = io.StringIO()
    rows = zip(data.environment, data.x.tolist(), strict=True)
    csv.writer(file).writerows([data.conditions[e], *map(repr, x)] for e, x in rows)
    return file.getvalue()


def read(text: str, space: LabelSpace) -> PerturbationData:
    """The cells of a table, by condition."""
    conditions, *columns = zip(*csv.reader(io.StringIO(text)), strict=True)
    labels = np.array([space.label(condition) for condition in conditions])
    return PerturbationData.from_arrays(np.array(columns, float).T, labels, names=space.names, no_control=True)


def guide(examples: int = 50) -> None:
    # ## A reader that splits
    # Where it goes wrong first, shrunk: the shortest name and the simplest spelling at which it and the label part.
    def misread(drawn: tuple) -> bool:
        (condition, label), space = drawn
        try:
            return naive_label(condition, space.names) != [float(dose) for dose in label]
        except ValueError:
            return True

    spelt = strategies.label_spaces().flatmap(lambda s: st.tuples(strategies.spellings(s), st.just(s)))
    search = settings(max_examples=2_000, derandomize=True, database=None, phases=[Phase.generate, Phase.shrink])
    (condition, label), space = find(spelt, misread, settings=search)
    print(f"{condition!r} of {space.names} is {[str(dose) for dose in label]}")

    # ## One that reads conditions by the grammar
    # Every dataset survives the way through the file, in any order of its cells, environments and perturbations.
    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(strategies.perturbation_data().flatmap(lambda d: st.tuples(st.just(d), strategies.reorderings(d))))
    def what_is_written_is_read(pair):
        data, other = pair
        again = read(write(other), data.space)
        for e, label in enumerate(data.labels):
            (here,) = np.flatnonzero((again.labels == label).all(1))
            assert sorted(again.samples(here).tolist()) == sorted(data.samples(e).tolist())

    what_is_written_is_read()
    print("every table is read back")


if __name__ == "__main__":
    guide()
