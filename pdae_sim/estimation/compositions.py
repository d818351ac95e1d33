"""Baselines that start from the nearest measured cells: those of the parts of a combination, or of a neighbour.

Cells keep what is theirs (spread, skewness, correlations that mean shifts leave alone); only what they lack of the
label is added, as a shift of the mean or as a map of optimal transport.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from pdae_sim._random import SeedLike, child, seed_sequence, stream
from pdae_sim.data import PerturbationData
from pdae_sim.estimation import _resampling as resampling
from pdae_sim.estimation._base import BaseEstimator
from pdae_sim.estimation._cell_numbers import sits_out
from pdae_sim.estimation._sources import environment_weights, parts_of
from pdae_sim.labels import Condition

_MATCHED = 1000
"""Cells of a condition, and of the reference, that are matched to one another."""
_NEIGHBOURS = 5
"""Reference cells whose displacements a cell is moved by the mean of."""


class AdditiveParts(BaseEstimator):
    """Cells of the parts of a combination, each moved by the mean effects of what it lacks.

    Parts are the training conditions that share a perturbation with the label and hold no other; reference cells stand
    in where there is none. Effects are those of `Additive`.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> data = PerturbationData.from_arrays(np.arange(6.0)[:, None], ["ctrl", "ctrl", "A", "A", "B", "B"])
        >>> set(AdditiveParts().fit(data).sample("A+B", 200, rng=0).ravel()) == {6.0, 7.0}  # 2 or 3, and 4
        True
    """

    def fit(self, data: PerturbationData) -> AdditiveParts:
        self.cells, self.space_ = data.train, data.space
        self._effects = resampling.additive_effects(data.train)
        return self

    def sample(self, label: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        label, train = self.space.label(label), self.cells
        parts = np.flatnonzero(parts_of(label, train.labels))
        return resampling.moved(train, parts if len(parts) else [train.reference], label, self._effects, n, rng)


class LinearNear(BaseEstimator):
    """Cells of the nearest training condition, moved by the effects of a regression of means on labels.

    Nearest is least in the mean effect of the difference of labels, features in units of their standard deviation
    within conditions.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> x = np.random.default_rng(0).normal(size=(300, 1)) + np.repeat([0.0, 1.0, 5.0], 100)[:, None]
        >>> data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B"], 100))
        >>> near = LinearNear().fit(data).sample("A+B", 500, rng=0)  # cells of B, moved by 1
        >>> bool(np.isin(near.round(6), (x[200:] + x[100:200].mean() - x[:100].mean()).round(6)).all())
        True
    """

    def fit(self, data: PerturbationData) -> LinearNear:
        self.cells, self.space_ = (train := data.train), data.space
        self._effects = resampling.linear_coefficients(train)[1:]
        squares = np.array([train.samples(e).var(0, dtype=np.float64) for e in range(len(train.labels))])
        spread = np.sqrt(train.counts @ squares / train.counts.sum())
        self._scaled = self._effects / np.where(spread > 0, spread, np.inf)
        return self

    def sample(self, label: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        label, train = self.space.label(label), self.cells
        near = np.flatnonzero(environment_weights("near", label, train.labels, self._scaled.T, train.counts))
        return resampling.moved(train, near, label, self._effects, n, rng)


class TransportParts(BaseEstimator):
    """Cells of each single of a combination, moved by the optimal transport maps of the others.

    The map of a single is that of reference cells to its own, of least mean squared distance; a cell elsewhere is moved
    as its nearest reference cells are on average. At another dose the map is taken in proportion; what no single holds
    is added as by `Additive`.

    References:
        Bunne et al. (2023), Learning single-cell perturbation responses using neural optimal transport, Nat. Methods,
        has maps of singles; to compose them is the simplest use of them for combinations.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> data = PerturbationData.from_arrays(np.arange(6.0)[:, None], ["ctrl", "ctrl", "A", "A", "B", "B"])
        >>> set(TransportParts().fit(data).sample("A+B", 200, rng=0).ravel()) == {6.0, 7.0}
        True
    """

    def fit(self, data: PerturbationData) -> TransportParts:
        self.cells, self.space_ = data.train, data.space
        self._effects = resampling.additive_effects(data.train)
        self._maps: dict[int, tuple[cKDTree, np.ndarray]] = {}
        return self

    def sample(self, label: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        label, train, root = self.space.label(label), self.cells, seed_sequence(rng)
        singles = _singles_of(label, train)
        if not singles:
            return resampling.moved(train, [train.reference], label, self._effects, n, root)
        sizes = np.full(len(singles), n // len(singles)) + (np.arange(len(singles)) < n % len(singles))
        cells = [
            self._composed(e, singles, label, size, child(root, "part", e))
            for e, size in zip(singles, sizes.tolist(), strict=True)
            if size
        ]
        return stream(root, "order").permutation(np.concatenate(cells))

    def _composed(
        self, start: int, singles: list[int], label: np.ndarray, n: int, root: np.random.SeedSequence
    ) -> np.ndarray:
        """n cells of one single, moved by the maps of the others and the mean effects of what is left."""
        train = self.cells
        x = train.gathered(resampling.draw_rows(train, [start], n, root)).astype(np.float64)
        left = label - train.labels[start]
        for e in singles:
            if e != start:
                (k,) = np.flatnonzero(train.labels[e])
                ratio = label[k] / train.labels[e, k]
                x = x + ratio * self._displacement(e, x)
                left = left - ratio * train.labels[e]
        return x + left @ self._effects

    def _displacement(self, e: int, x: np.ndarray) -> np.ndarray:
        """How cells (n, d_X) are moved by the map of one single."""
        if e not in self._maps:
            self._maps[e] = self._matched(e)
        tree, moves = self._maps[e]
        return moves[tree.query(x, k=min(_NEIGHBOURS, len(moves)))[1].reshape(len(x), -1)].mean(1)

    def _matched(self, e: int) -> tuple[cKDTree, np.ndarray]:
        train = self.cells
        before, after = (train.samples(i).astype(np.float64) for i in (train.reference, e))
        n = min(len(before), len(after), _MATCHED)
        rng = stream(seed_sequence(0), "transport", e)
        before, after = (rng.permutation(cells)[:n] for cells in (before, after))
        rows, columns = linear_sum_assignment(cdist(before, after, "sqeuclidean"))
        return cKDTree(before[rows]), after[columns] - before[rows]


def _singles_of(label: np.ndarray, train: PerturbationData) -> list[int]:
    """For each perturbation of a label (K,) the training condition of it alone whose dose is nearest."""
    alone, found = ((train.labels != 0).sum(1) == 1) & ~sits_out(train.counts), []
    for k in np.flatnonzero(label):
        own = np.flatnonzero(alone & (train.labels[:, k] != 0))
        if own.size:
            found.append(int(own[np.abs(train.labels[own, k] - label[k]).argmin()]))
    return found


COMPOSITIONS: dict[str, type[AdditiveParts | LinearNear | TransportParts]] = {
    "additive_parts": AdditiveParts,
    "linear_near": LinearNear,
    "transport_parts": TransportParts,
}
"""Compositions of measured cells by name."""
