"""The records that flow: what is observed (`PerturbationData`) and, in a vessel of its own, what is true (`Truth`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdae_sim import _matrices as matrices
from pdae_sim._arguments import checked
from pdae_sim._checks import check_control, finite, likely_controls
from pdae_sim._coding import by_appearance, factorize, factorize_rows, marks_by_code, plain_labels, separators
from pdae_sim._linalg import whitening_root
from pdae_sim.errors import InputError
from pdae_sim.labels import LabelSpace

if TYPE_CHECKING:
    from os import PathLike

    from anndata import AnnData
    from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False, init=False)
class PerturbationData(matrices.Locked):
    """Samples of x under E environments with known labels.

    Sparse x stays sparse: `stored` is what is held, `gathered` and `samples` are dense rows of it, and `x` is all of
    them as one array, made on first use and then held beside it (n · d_X values).

    Args:
        x: (n, d_X) observations, rows = samples, float32 or float64, finite; an array, or sparse of any kind.
        labels: (E, K) doses, one row per environment; no two rows are equal.
        environment: (n,) integers, the row of `labels` each sample belongs to.
        names: The K elementary perturbations.
        held_out: (E,) booleans; a held-out environment is unseen by every `fit`. None is held out by default.
        features: d_X names of the observed coordinates; x0, x1, … by default.
        control: The name of the zero label.
        read_as: Options it was read with, for files of the same kind (see `pdae_sim.io.ReadOptions`).

    Raises:
        InputError: If shapes disagree, a value is not finite, two environments share a label or one has no sample.

    Example:
        >>> x = np.array([[0.0, 1.0], [2.0, 1.0], [2.0, 3.0]])
        >>> data = PerturbationData(x, labels=[[0, 0], [1, 0.5]], environment=[0, 1, 1], names=("A", "B"))
        >>> data.conditions == ("ctrl", "A+B:0.5") and data.counts.tolist() == [1, 2]
        True
    """

    x: np.ndarray = field(repr=False)
    labels: np.ndarray
    environment: np.ndarray = field(repr=False)
    names: tuple[str, ...]
    held_out: np.ndarray
    features: tuple[str, ...]
    control: str
    read_as: Mapping[str, object]

    @checked
    def __init__(
        self,
        x: ArrayLike | matrices.Matrix,
        labels: ArrayLike,
        environment: ArrayLike,
        names: Sequence[str],
        held_out: ArrayLike | None = None,
        features: Sequence[str] | None = None,
        control: str = "ctrl",
        read_as: Mapping[str, object] | None = None,
    ) -> None:
        stored, labels = matrices.unshared(matrices.as_matrix(x)), np.array(labels, dtype=np.float64)
        features = [f"x{j}" for j in range(stored.shape[-1] if stored.ndim else 0)] if features is None else features
        arrays = {
            "labels": labels,
            "environment": np.array(environment),
            "held_out": np.zeros(len(labels), bool) if held_out is None else np.array(held_out, bool),
        }
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "x" if isinstance(stored, np.ndarray) else "_sparse", stored)
        object.__setattr__(self, "names", tuple(map(str, names)))
        object.__setattr__(self, "features", tuple(map(str, features)))
        object.__setattr__(self, "control", control)
        object.__setattr__(self, "read_as", dict(read_as or {}))
        self._check()

    def __getattr__(self, name: str) -> np.ndarray:
        if name != "x" or "_sparse" not in vars(self):  # only sparse cells have no x until it is asked for
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        x = matrices.freeze(matrices.dense(self.stored))
        object.__setattr__(self, "x", x)
        return x

    @property
    def stored(self) -> matrices.Matrix:
        """x (n, d_X) as it is held: an array, or sparse rows."""
        return vars(self).get("_sparse", vars(self).get("x"))

    def gathered(self, rows: np.ndarray | slice) -> np.ndarray:
        """The chosen rows of x (mask, indices or slice) as an array."""
        return matrices.dense(self.stored[rows])

    def _check(self) -> None:
        matrices.check_shapes(self.stored, self.labels, self.environment, len(self.names))
        if len(self.held_out) != len(self.labels) or len(self.features) != self.stored.shape[1]:
            raise InputError("held_out needs one value per environment and features one name per column of x")
        matrices.finite_matrix("x", self.stored)
        finite("labels", self.labels)
        self._check_environments(len(self.labels))

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
        if len(factorize_rows(self.labels)[0]) < n_environments:
            raise InputError("two environments have the same label; merge their samples into one")

    @cached_property
    def space(self) -> LabelSpace:
        """The label space of the names."""
        return LabelSpace(self.names, self.control, **separators(self.read_as))

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

    @checked
    def samples(self, environment: int) -> np.ndarray:
        """The rows of x (n_e, d_X) of one environment."""
        return self.gathered(self.rows_by_environment[environment])

    @checked
    def select(self, environments: np.ndarray | Sequence) -> PerturbationData:
        """The part that holds the chosen environments (mask or indices), renumbered in the order chosen."""
        chosen = matrices.row_numbers("environments", environments, len(self.labels))
        if not chosen.size:
            every = "held out" if self.held_out.all() else "for training"
            raise InputError(f"no environment is left, for every one is {every}; mark each as train or test")
        position = np.full(len(self.labels), -1)
        position[chosen] = np.arange(len(chosen))
        kept = position[self.environment] >= 0
        return replace(
            self,
            x=self.stored if kept.all() else matrices.freeze(self.stored[kept]),
            labels=self.labels[chosen],
            environment=position[self.environment[kept]],
            held_out=self.held_out[chosen],
        )

    @checked
    def rows(self, chosen: np.ndarray) -> PerturbationData:
        """The chosen samples (mask or indices, in that order); every environment must keep at least one."""
        chosen = matrices.row_numbers("chosen", chosen, len(self.environment))
        return replace(self, x=matrices.freeze(self.stored[chosen]), environment=self.environment[chosen])

    @classmethod
    @checked
    def from_arrays(
        cls,
        x: ArrayLike | matrices.Matrix,
        labels: ArrayLike | matrices.Matrix,
        *,
        names: Sequence[str] | None = None,
        held_out: ArrayLike | None = None,
        features: Sequence[str] | None = None,
        control: str = "ctrl",
        no_control: bool = False,
        read_as: Mapping[str, object] | None = None,
    ) -> PerturbationData:
        """Data from one label per sample.

        Args:
            x: (n, d_X) observations.
            labels: (n, K) the label of each row of x; or n condition strings.
            names: The K elementary perturbations; P0, P1, … (or the names in the strings) when absent.
            held_out: (n,) whether the condition of each row of x is held out.
            features: d_X names of the observed coordinates.
            control: The name of the zero label, the reference.
            no_control: The design has no control: its first condition is the reference.
            read_as: Options it was read with, for files of the same kind.

        Returns:
            Data whose environments are the distinct labels in order of first appearance.

        Raises:
            InputError: If no condition to learn from is the control and `no_control` is not said.

        Example:
            >>> data = PerturbationData.from_arrays(np.eye(3), ["ctrl", "A", "A+ctrl"])
            >>> data.conditions == ("ctrl", "A") and data.environment.tolist() == [0, 1, 1]
            True
        """
        table = plain_labels(labels)
        if table.ndim == 1 and table.dtype.kind in "UO":
            texts, codes = factorize(table.tolist())
            grammar = {"control": control} | separators(read_as or {})
            known = LabelSpace.from_conditions(texts, **grammar).names if names is None else tuple(names)
            space, names = LabelSpace(known, **grammar), known
            rows = np.array([space.vector(text) for text in texts])
        elif table.ndim == 2:
            rows, codes = factorize_rows(table)
        else:
            raise InputError(f"labels must be conditions as texts, or doses (n, K); received shape {table.shape}")
        data = cls.from_codes(
            x, codes, rows, names=names, held_out=held_out, features=features, control=control, read_as=read_as
        )
        if not no_control and (table.ndim == 1 or likely_controls(data.names)):  # other matrices say what is zero
            check_control(data.labels, data.held_out, data.names, control)
        return data

    @classmethod
    def from_codes(
        cls,
        x: ArrayLike | matrices.Matrix,
        codes: ArrayLike,
        labels: ArrayLike,
        *,
        names: Sequence[str] | None = None,
        held_out: ArrayLike | None = None,
        features: Sequence[str] | None = None,
        control: str = "ctrl",
        read_as: Mapping[str, object] | None = None,
    ) -> PerturbationData:
        """Data from one code per sample: memory grows with samples and with labels, not with their product.

        Args:
            x: (n, d_X) observations.
            codes: (n,) for each row of x the row of `labels` that it has.
            labels: (C, K) doses; equal rows become one environment, and rows without a code none.
            names: As in `from_arrays`, like all that follow.

        Returns:
            Data whose environments are the distinct labels in order of first appearance.

        Example:
            >>> data = PerturbationData.from_codes(np.eye(3), [2, 0, 2], [[1.0], [0.0], [0.5]], names=("A",))
            >>> data.conditions == ("A:0.5", "A") and data.environment.tolist() == [0, 1, 0]
            True
        """
        x, codes, table = matrices.as_matrix(x), np.asarray(codes, dtype=np.intp), np.asarray(labels, dtype=np.float64)
        if codes.shape != x.shape[:1]:
            raise InputError(f"labels must have one row per row of x {x.shape}; received {codes.size}")
        if codes.size and not 0 <= codes.min() <= codes.max() < len(table):
            raise InputError(f"codes must lie in 0 … {len(table) - 1}; received {codes.min()} … {codes.max()}")
        rows, merged = factorize_rows(finite("labels", table))
        used, environment = by_appearance(merged[codes])
        parts = None if held_out is None else marks_by_code(np.asarray(held_out, bool), environment, len(used))
        names = [f"P{k}" for k in range(table.shape[1])] if names is None else names
        return cls(x, rows[used], environment, names, parts, features, control, read_as)

    @classmethod
    def from_anndata(cls, adata: AnnData, **options: Any) -> PerturbationData:
        """Data from an AnnData object in memory.

        Args:
            adata: n cells with condition strings in `obs`.
            options: Those of `pdae_sim.io.ReadOptions`: `condition`, `dose`, `split`, `control`, `separator`, …

        Raises:
            InputError: With the field and the fix.

        Example:
            >>> data = PerturbationData.from_arrays(np.eye(2), ["ctrl", "A:0.5"])
            >>> PerturbationData.from_anndata(data.to_anndata()).conditions == data.conditions
            True
        """
        from pdae_sim.io import from_anndata

        return from_anndata(adata, **options)

    def to_anndata(self) -> AnnData:
        """An AnnData object: X in float32, condition and split in `obs`, doses in ``obsm["dose"]``."""
        from pdae_sim.io import to_anndata

        return to_anndata(self)

    @classmethod
    def read(cls, path: str | PathLike, **options: Any) -> PerturbationData:
        """Data from an `.h5ad` file.

        Args:
            path: The file.
            options: Those of `pdae_sim.io.ReadOptions`.

        Raises:
            InputError: With the file, the field and the fix.
        """
        from pdae_sim.io import read_data

        return read_data(Path(path), **options)

    def write(self, path: str | PathLike, *, force: bool = False) -> None:
        """Write an `.h5ad` file, whole or not at all; over what is there only with `force`."""
        from pdae_sim.io import write_data

        write_data(Path(path), self, force=force)


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth of a simulation, never passed to estimators.

    Args:
        z: (n, d_Z) latents, z = z_base + W l under pure shifts.
        z_base: (n, d_Z) base latents: the same cells under no perturbation.
        perturbation_matrix: W (d_Z, K).
        covariance: Σ (d_Z, d_Z), the covariance of z_base.

    Example:
        >>> truth = Truth(z=np.ones((1, 1)), z_base=np.zeros((1, 1)), perturbation_matrix=[[1.0]], covariance=[[4.0]])
        >>> truth.isotropic().z.item() == 0.5
        True
    """

    z: np.ndarray = field(repr=False)
    z_base: np.ndarray = field(repr=False)
    perturbation_matrix: np.ndarray
    covariance: np.ndarray

    @cached_property
    def whitening(self) -> np.ndarray:
        """R (d_Z, d_Z) with R Σ Rᵀ = I."""
        return whitening_root(self.covariance)

    def isotropic(self) -> Truth:
        """Truth in isotropic form: latents R z, matrix R W, covariance I."""
        R = self.whitening
        return Truth(self.z @ R.T, self.z_base @ R.T, R @ self.perturbation_matrix, np.eye(len(R)))


@dataclass(frozen=True, eq=False)
class Simulation:
    """Simulated data beside its truth, row for row, and the state that rebuilds its simulator.

    Args:
        data: What an estimator sees.
        truth: What it never sees; rows as in `data.x`.
        simulator: The simulator's state: `Simulator.from_state` takes it.
        config: The resolved configuration of its world, where there is one.
        seed: The seed it was drawn with, as text.
    """

    data: PerturbationData
    truth: Truth = field(repr=False)
    simulator: dict = field(default_factory=dict, repr=False)
    config: dict = field(default_factory=dict, repr=False)
    seed: str | None = None

    @classmethod
    def read(cls, path: str | PathLike, **options: Any) -> Simulation:
        """A simulation from an `.h5ad` file that carries its truth, under the options of `pdae_sim.io.ReadOptions`."""
        from pdae_sim.io import read_simulation

        return read_simulation(Path(path), **options)

    def write(self, path: str | PathLike, *, force: bool = False) -> None:
        """Write data and truth to one `.h5ad` file, whole or not at all."""
        from pdae_sim.io import write_simulation

        write_simulation(Path(path), self, force=force)
