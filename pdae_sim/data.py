"""The records that flow: what is observed (`PerturbationData`) and, in a vessel of its own, what is true (`Truth`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pdae_sim._checks import finite
from pdae_sim._linalg import whitening_root
from pdae_sim.errors import InputError
from pdae_sim.labels import LabelSpace

if TYPE_CHECKING:
    from os import PathLike


@dataclass(frozen=True, eq=False)
class PerturbationData:
    """Samples of x under E environments with known labels.

    Args:
        x: (n, d_X) observations, rows = samples, float32 or float64, finite.
        labels: (E, K) doses, one row per environment; no two rows are equal.
        environment: (n,) integers, the row of `labels` each sample belongs to.
        names: The K elementary perturbations.
        held_out: (E,) booleans; a held-out environment is unseen by every `fit`.
        features: d_X names of the observed coordinates.
        control: The name of the zero label.

    Raises:
        InputError: If shapes disagree, a value is not finite, two environments share a label or one has no sample.
    """

    x: np.ndarray
    labels: np.ndarray
    environment: np.ndarray
    names: tuple[str, ...]
    held_out: np.ndarray | None = None
    features: tuple[str, ...] | None = None
    control: str = "ctrl"

    def __post_init__(self) -> None:
        x, labels = np.asarray(self.x), np.asarray(self.labels, dtype=np.float64)
        x = x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)
        self._set("x", x)
        self._set("labels", labels)
        self._set("environment", np.asarray(self.environment))
        self._set("names", tuple(str(name) for name in self.names))
        self._set("held_out", np.zeros(len(labels), bool) if self.held_out is None else np.asarray(self.held_out, bool))
        self._set("features", self._feature_names(x))
        self._check()
        for array in (self.x, self.labels, self.environment, self.held_out):
            array.flags.writeable = False

    def _set(self, name: str, value: object) -> None:
        if isinstance(value, np.ndarray):
            value = value.view()
        object.__setattr__(self, name, value)

    def _feature_names(self, x: np.ndarray) -> tuple[str, ...]:
        if self.features is None:
            return tuple(f"x{j}" for j in range(x.shape[-1] if x.ndim else 0))
        return tuple(str(name) for name in self.features)

    def _check(self) -> None:
        if self.x.ndim != 2 or self.labels.ndim != 2:
            raise InputError(f"x and labels must be matrices; received shapes {self.x.shape} and {self.labels.shape}")
        n, n_environments = len(self.x), len(self.labels)
        if self.labels.shape[1] != len(self.names):
            raise InputError(
                f"labels must have one column per name ({len(self.names)}); received {self.labels.shape[1]}"
            )
        if self.environment.shape != (n,) or not np.issubdtype(self.environment.dtype, np.integer):
            raise InputError(
                f"environment must hold {n} integers; received {self.environment.dtype} {self.environment.shape}"
            )
        if len(self.held_out) != n_environments or len(self.features) != self.x.shape[1]:
            raise InputError("held_out needs one value per environment and features one name per column of x")
        finite("x", self.x)
        finite("labels", self.labels)
        self._check_environments(n_environments)

    def _check_environments(self, n_environments: int) -> None:
        if n_environments == 0:
            raise InputError("data must have at least one environment")
        outside = self.environment[(self.environment < 0) | (self.environment >= n_environments)]
        if outside.size:
            raise InputError(f"environment must lie in 0 … {n_environments - 1}; received {int(outside[0])}")
        LabelSpace(self.names, control=self.control)
        empty = np.flatnonzero(np.bincount(self.environment, minlength=n_environments) == 0)
        if empty.size:
            raise InputError(f"environment {int(empty[0])} ({self.conditions[empty[0]]}) has no sample")
        if len(np.unique(self.labels + 0.0, axis=0)) < n_environments:
            raise InputError("two environments have the same label; merge their samples into one")

    @property
    def space(self) -> LabelSpace:
        """The label space of the names."""
        return LabelSpace(self.names, control=self.control)

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        """The condition string of each environment."""
        return tuple(self.space.condition(label) for label in self.labels)

    @cached_property
    def counts(self) -> np.ndarray:
        """(E,) number of samples per environment."""
        return np.bincount(self.environment, minlength=len(self.labels))

    @cached_property
    def rows_by_environment(self) -> tuple[np.ndarray, ...]:
        """For each environment the row numbers of its samples, in increasing order."""
        order = np.argsort(self.environment, kind="stable")
        return tuple(np.split(order, np.cumsum(self.counts)[:-1]))

    @property
    def reference(self) -> int:
        """The environment with the zero label where there is one, else the first."""
        zero = np.flatnonzero((self.labels == 0).all(axis=1))
        return int(zero[0]) if zero.size else 0

    @cached_property
    def train(self) -> PerturbationData:
        """The environments that are not held out, selected once however many estimators ask."""
        return self.select(~self.held_out) if self.held_out.any() else self

    @cached_property
    def test(self) -> PerturbationData:
        """The held-out environments."""
        return self.select(self.held_out)

    def samples(self, environment: int) -> np.ndarray:
        """The rows of x (n_e, d_X) of one environment."""
        return self.x[self.environment == environment]

    def select(self, environments: np.ndarray | Sequence) -> PerturbationData:
        """The part that holds the chosen environments (mask or indices), renumbered in the order chosen."""
        chosen = np.arange(len(self.labels))[np.asarray(environments, dtype=None if len(environments) else int)]
        if not chosen.size:
            which = "not held out" if not self.held_out.size or self.held_out.all() else "held out"
            raise InputError(f"no environment is {which}; mark each condition as train or test")
        position = np.full(len(self.labels), -1)
        position[chosen] = np.arange(len(chosen))
        kept = position[self.environment] >= 0
        return replace(
            self,
            x=self.x if kept.all() else self.x[kept],
            labels=self.labels[chosen],
            environment=position[self.environment[kept]],
            held_out=self.held_out[chosen],
        )

    def rows(self, chosen: np.ndarray) -> PerturbationData:
        """The chosen samples (mask or indices, in that order); every environment must keep at least one."""
        return replace(self, x=self.x[chosen], environment=self.environment[chosen])

    @classmethod
    def from_arrays(
        cls, x: np.ndarray, labels: np.ndarray, *, names: Sequence[str] | None = None, **fields: object
    ) -> PerturbationData:
        """Data from one label per sample.

        Args:
            x: (n, d_X) observations.
            labels: (n, K) the label of each row of x; or n condition strings.
            names: The K elementary perturbations; P0, P1, … (or the names in the strings) when absent.
            fields: Further fields of the record; `held_out` is then one boolean per row of x.

        Returns:
            Data whose environments are the distinct labels in order of first appearance.
        """
        labels = np.asarray(labels)
        if labels.dtype.kind in "UO" and labels.ndim == 1:
            grammar = {"control": fields.get("control", "ctrl")}
            space = (
                LabelSpace.from_conditions(labels, **grammar) if names is None else LabelSpace(tuple(names), **grammar)
            )
            vectors = {condition: space.vector(condition) for condition in dict.fromkeys(labels)}
            labels, names = np.array([vectors[c] for c in labels]), space.names
        labels = labels.astype(np.float64)
        if labels.ndim != 2 or len(labels) != len(x):
            raise InputError(f"labels must have one row per row of x ({len(x)}); received shape {labels.shape}")
        rows, environment = _first_appearance(finite("labels", labels))
        held_out = _per_environment(fields.pop("held_out", None), environment, len(rows))
        names = tuple(f"P{k}" for k in range(labels.shape[1])) if names is None else tuple(names)
        return cls(x=x, labels=rows, environment=environment, names=names, held_out=held_out, **fields)

    @classmethod
    def read(cls, path: str | PathLike, **columns: str) -> PerturbationData:
        """Data from an `.h5ad` file; see `pdae_sim.io._anndata.read_data` for the arguments."""
        from pdae_sim.io._anndata import read_data

        return read_data(Path(path), **columns)

    def write(self, path: str | PathLike, *, force: bool = False) -> None:
        """Write an `.h5ad` file, whole or not at all."""
        from pdae_sim.io._anndata import write_data

        write_data(Path(path), self, force=force)


@dataclass(frozen=True, eq=False)
class Truth:
    """What a simulation knows and an estimator never sees.

    Args:
        z: (n, d_Z) latents, z = z_base + W l under pure shifts.
        z_base: (n, d_Z) base latents: the same cells under no perturbation.
        perturbation_matrix: W (d_Z, K).
        covariance: Σ (d_Z, d_Z), the covariance of z_base.
    """

    z: np.ndarray
    z_base: np.ndarray
    perturbation_matrix: np.ndarray
    covariance: np.ndarray

    @cached_property
    def whitening(self) -> np.ndarray:
        """R (d_Z, d_Z) with R Σ Rᵀ = I."""
        return whitening_root(self.covariance)

    def isotropic(self) -> Truth:
        """The same truth in the isotropic form: latents R z, matrix R W, covariance I."""
        R = self.whitening
        return Truth(self.z @ R.T, self.z_base @ R.T, R @ self.perturbation_matrix, np.eye(len(R)))


@dataclass(frozen=True, eq=False)
class Simulation:
    """Simulated data beside its truth, row for row, and the state that rebuilds its simulator."""

    data: PerturbationData
    truth: Truth
    simulator: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)
    seed: str | None = None

    @classmethod
    def read(cls, path: str | PathLike) -> Simulation:
        """A simulation from an `.h5ad` file that carries its truth."""
        from pdae_sim.io._anndata import read_simulation

        return read_simulation(Path(path))

    def write(self, path: str | PathLike, *, force: bool = False) -> None:
        """Write data and truth to one `.h5ad` file, whole or not at all."""
        from pdae_sim.io._anndata import write_simulation

        write_simulation(Path(path), self, force=force)


def _first_appearance(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, first, inverse = np.unique(labels + 0.0, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return labels[first[order]], np.argsort(order)[inverse.ravel()]


def _per_environment(mask: np.ndarray | None, environment: np.ndarray, n_environments: int) -> np.ndarray | None:
    if mask is None:
        return None
    if np.shape(mask) != environment.shape:
        raise InputError(f"held_out must have one boolean per row of x ({len(environment)}); received {np.shape(mask)}")
    total = np.bincount(environment, minlength=n_environments)
    marked = np.bincount(environment, weights=np.asarray(mask, bool), minlength=n_environments)
    mixed = np.flatnonzero((marked > 0) & (marked < total))
    if mixed.size:
        raise InputError(f"environment {int(mixed[0])} has both train and test samples; a test condition is unseen")
    return marked > 0
