"""Simple estimators, each with the two methods of every estimator: `fit(data)` and `sample(label, n, rng=…)`.

All weigh training environments equally, whatever their numbers of cells, but for those of so few that their cells
weigh as others do (`weights`), and draw with replacement: the law they predict is an empirical one. None looks at a
held-out environment but the ceiling, which is made to.
"""

from __future__ import annotations

import numpy as np

from pdae_sim._arguments import checked
from pdae_sim._contexts import is_context
from pdae_sim._random import SeedLike
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation import _resampling as resampling
from pdae_sim.estimation._base import BaseEstimator
from pdae_sim.estimation.compositions import COMPOSITIONS, AdditiveParts, LinearNear, TransportParts
from pdae_sim.labels import Condition


class Pool(BaseEstimator):
    """All training environments mixed, whatever the condition.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> data = PerturbationData.from_arrays(np.arange(6.0)[:, None], ["ctrl", "ctrl", "A", "A", "B", "B"])
        >>> set(Pool().fit(data).sample("A+B", 200, rng=0).ravel()) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}
        True
    """

    @checked
    def fit(self, data: PerturbationData) -> Pool:
        self._train, self.space_ = data.train, data.space
        return self

    @checked
    def sample(self, label: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        self.space.label(label)
        return resampling.mixture(self._train, range(len(self._train.labels)), n, rng)


class Pseudobulk(BaseEstimator):
    """Training environments that share a perturbation with the condition, mixed; all of them if none does.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> data = PerturbationData.from_arrays(np.arange(6.0)[:, None], ["ctrl", "ctrl", "A", "A", "B", "B"])
        >>> set(Pseudobulk().fit(data).sample("A:2", 200, rng=0).ravel()) == {2.0, 3.0}
        True
    """

    def fit(self, data: PerturbationData) -> Pseudobulk:
        self._train, self.space_ = data.train, data.space
        return self

    def sample(self, label: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        label, train = self.space.label(label), self._train
        effects = ~is_context(train.names, train.control)
        target = (label != 0) & (effects if label[effects].any() else ~effects)
        shared = np.flatnonzero(((train.labels != 0) & target).any(1))
        return resampling.mixture(train, shared if shared.size else range(len(train.labels)), n, rng)


class Control(BaseEstimator):
    """The reference environment, whatever the condition; in contexts the control of its own.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> data = PerturbationData.from_arrays(np.arange(6.0)[:, None], ["ctrl", "ctrl", "A", "A", "B", "B"])
        >>> set(Control().fit(data).sample("A+B", 200, rng=0).ravel()) == {0.0, 1.0}
        True
    """

    def fit(self, data: PerturbationData) -> Control:
        self._train, self.space_ = data.train, data.space
        return self

    def sample(self, label: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        label = self.space.label(label)
        own = resampling.own_control(self._train, label)
        return resampling.mixture(self._train, [own], n, rng)


class Additive(BaseEstimator):
    """Reference cells moved by Σ_e α_e (mean_e − mean_0), with the least-norm α that best solves Σ_e α_e Δ_e = Δ_t.

    In contexts they are cells of the control of the condition's own.

    For singles this is the sum of the singles' mean shifts; the same rule serves combinations of any order and doses.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> data = PerturbationData.from_arrays(np.arange(6.0)[:, None], ["ctrl", "ctrl", "A", "A", "B", "B"])
        >>> set(Additive().fit(data).sample("A+B", 200, rng=0).ravel()) == {6.0, 7.0}  # 0 or 1, and 2 + 4
        True
    """

    def fit(self, data: PerturbationData) -> Additive:
        self._train, self.space_ = (train := data.train), data.space
        self._effects = resampling.additive_effects(train)
        return self

    def sample(self, label: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        label = self.space.label(label)
        own = resampling.own_control(self._train, label)
        shift = label - self._train.labels[own]
        return resampling.mixture(self._train, [own], n, rng) + shift @ self._effects


class Linear(BaseEstimator):
    """Regression of the environments' means on the labels with an intercept; residuals of all training cells on top.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> data = PerturbationData.from_arrays(np.arange(6.0)[:, None], ["ctrl", "ctrl", "A", "A", "B", "B"])
        >>> set(Linear().fit(data).sample("A+B", 200, rng=0).round(9).ravel()) == {6.0, 7.0}
        True
    """

    @checked
    def fit(self, data: PerturbationData) -> Linear:
        self._train, self.space_ = (train := data.train), data.space
        self._coefficients = resampling.linear_coefficients(train)
        return self

    def sample(self, label: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        label = self.space.label(label)
        rows = resampling.draw_rows(self._train, range(len(self._train.labels)), n, rng)
        fitted = self._mean(self._train.labels[self._train.environment[rows]])
        return self._train.gathered(rows) - fitted + self._mean(label[None])

    def _mean(self, labels: np.ndarray) -> np.ndarray:
        return self._coefficients[0] + labels @ self._coefficients[1:]


class Ceiling(BaseEstimator):
    """The cells of the very condition, had it been measured: what any prediction can hope for.

    Give `fit` one half of the cells of the held-out conditions and judge against the other half.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> data = PerturbationData.from_arrays(np.arange(6.0)[:, None], ["ctrl", "ctrl", "A", "A", "B", "B"])
        >>> set(Ceiling().fit(data).sample("B", 200, rng=0).ravel()) == {4.0, 5.0}
        True
    """

    def fit(self, data: PerturbationData) -> Ceiling:
        self._measured, self.space_ = data, data.space
        return self

    def sample(self, label: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        wanted = self.space.label(label)
        found = np.flatnonzero((self._measured.labels == wanted).all(1))
        if not found.size:
            raise InputError(f"the ceiling has no cells of condition {self.space.condition(wanted)!r}")
        return resampling.mixture(self._measured, found, n, rng)


BASELINES: dict[
    str, type[Pool | Pseudobulk | Control | Additive | Linear | AdditiveParts | LinearNear | TransportParts]
] = {
    "pool": Pool,
    "pseudobulk": Pseudobulk,
    "control": Control,
    "additive": Additive,
    "linear": Linear,
    **COMPOSITIONS,
}
"""Simple estimators by name, as evaluations and declarations know them."""
