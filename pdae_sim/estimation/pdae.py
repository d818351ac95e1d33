"""The perturbation distribution autoencoder (PDAE): encode, shift, decode."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim._checks import between, choice, matrix, whole
from pdae_sim._random import SeedLike
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation import _bank as bank
from pdae_sim.estimation import _dimension as dimension
from pdae_sim.estimation import _persistence as persistence
from pdae_sim.estimation._base import BaseEstimator
from pdae_sim.estimation._batches import by_environment
from pdae_sim.estimation._dimension import Dimension
from pdae_sim.estimation._networks import PRECISIONS
from pdae_sim.estimation._scaling import LabelScaling, Scaling, block_rows, blocks
from pdae_sim.estimation._training import train
from pdae_sim.estimation._validation import canonical, check_phases, fittable
from pdae_sim.estimation._weighted_terms import WeightedTerms
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.phases import Phase, Progress
from pdae_sim.estimation.presets import DEFAULT, PRESETS
from pdae_sim.labels import Condition, LabelSpace

_PROBE = (replace(DEFAULT.phases[0], steps=300, cells=32, whiten=False),)
"""A short chart, to compare numbers of coordinates."""


class PDAE(BaseEstimator):
    """An estimator of P(x | l) at unseen labels under the additive-latent-shift model.

    A cell x of environment e under target h is simulated as f̂(g(x) + Ŵ (l_h − l_e), ε').

    Args:
        n_latents: d_Z; None estimates it from the cells, and `dimension_` says how sure that is.
        architecture: Shapes of encoder and decoder.
        phases: The training plan: that of a preset, or phases of your own.
        beta: Exponent of the energy terms, in (0, 2).
        random_state: Seed; the same seed, data and number of threads give the same fit on a CPU.
        device: Where to train, for example ``cpu`` or ``cuda``.
        precision: ``float32``, or ``bfloat16`` for the products inside the networks while they train, which halves
            their activations and is fast on CUDA; on a CPU it is as good, and mostly slower. Parameters, distances,
            likelihood, whitening and predictions stay in float32 or better.

    Attributes:
        perturbation_matrix_: Ŵ (d_Z, K) in the units of the labels; zero on perturbations outside the training span.
        train_labels_, train_counts_: (E, K) labels and (E,) cells of the training environments.
        base_latents_: (n, d_Z) g(x) − Ŵ l of the training cells.
        history_: One dictionary per recorded step: phase, step, the loss terms.
        dimension_: The choice of d_Z with its evidence; None if `n_latents` is given.

    References:
        von Kügelgen et al. (2025), arXiv:2504.18522. The terms of the loss are in `TERMS`.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> z = np.random.default_rng(0).normal(size=(600, 2)) + np.repeat([[0, 0], [2, 0], [0, 2]], 200, axis=0)
        >>> x = np.tanh(0.3 * z @ [[1, 0, 1], [0, 1, -1]])  # a curved surface in three dimensions
        >>> data = PerturbationData.from_arrays(x, ["ctrl"] * 200 + ["A"] * 200 + ["B"] * 200)
        >>> model = PDAE(2, phases=DEFAULT.shortened(60).phases).fit(data)
        >>> bool(np.abs(model.sample("A+B", 500, rng=0).mean(0) - np.tanh([0.6, 0.6, 0.0])).max() < 0.1)
        True
    """

    def __init__(
        self,
        n_latents: int | None = None,
        *,
        architecture: Architecture = DEFAULT.architecture,
        phases: Sequence[Phase] = DEFAULT.phases,
        beta: float = 1.0,
        random_state: int = 0,
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ) -> None:
        self.n_latents, self.architecture, self.phases = n_latents, architecture, phases
        self.beta, self.random_state, self.device, self.precision = beta, random_state, device, precision
        self._check_parameters()

    @classmethod
    def published(cls, n_latents: int | None = None, *, steps: int | None = None, **settings: Any) -> PDAE:
        """The estimator with the terms, weights, networks and optimiser of the paper's largest experiment.

        Args:
            n_latents: d_Z; there it was 101.
            steps: Gradient steps; there 1,500 epochs of batches of 128 cells.
            **settings: Further arguments of `PDAE`, which take precedence.

        References:
            von Kügelgen et al. (2025), arXiv:2504.18522; `PRESETS` has the settings under ``published``.

        Example:
            >>> PDAE.published(101, steps=10).architecture.hidden
            (512, 256, 256, 128)
        """
        preset = PRESETS["published"].shortened(steps)
        return cls(n_latents, **{"architecture": preset.architecture, "phases": preset.phases, **settings})

    def fit(
        self,
        data: PerturbationData,
        *,
        checkpoint: str | PathLike | None = None,
        on_step: Callable[[Progress], None] | None = None,
    ) -> PDAE:
        """Fit on the training environments of `data`; held-out ones are never looked at.

        Args:
            data: The data.
            checkpoint: A file to save progress to and, if it is there and belongs to this fit, to resume from. It is
                left behind for the caller to delete once the model is saved.
            on_step: Called with the progress after every step.

        Raises:
            InputError: If `data` cannot be fitted with these settings, or not in the memory that there is.
            TrainingError: If a loss or gradient is not finite, named with phase, step and term.
        """
        bank.fit_bank([self], [data], checkpoint=checkpoint, on_step=on_step)
        return self

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Latents g(x) (n, d_Z) of cells (n, d_X), in float64."""
        self._check_fitted()
        precision = np.float32 if getattr(x, "dtype", None) == np.float32 else np.float64
        return self._encoded(matrix("x", x, columns=len(self.features_), dtype=precision), slice(None))

    def decode(self, z: np.ndarray, *, rng: SeedLike = None) -> np.ndarray:
        """Cells f̂(z, ε') (n, d_X) of latents (n, d_Z), in the data's units; `rng` feeds ε', if there is any."""
        self._check_fitted()
        z = matrix("z", z, columns=self._d_Z)
        generator = torch.Generator(device=self.device)
        generator.manual_seed(_random.torch_seed(_random.seed_sequence(rng), "decoder"))
        with np.errstate(over="ignore"):
            decoded = self._in_parts(lambda t: self._network.decoder(t, [generator]), z.astype(np.float32))
        if not np.isfinite(decoded).all():
            raise InputError(
                f"z is too far from the training latents to decode (up to {np.abs(z).max():.3g}); lower the dose"
            )
        return self._scaling.inverse(decoded)

    def transport(self, x: np.ndarray, source: Condition, target: Condition, *, rng: SeedLike = None) -> np.ndarray:
        """Counterfactual cells: what each row of x, measured under `source`, would have been under `target`.

        Args:
            x: (n, d_X) cells of one condition.
            source: The condition or label they were measured under.
            target: The condition or label to move them to.
            rng: Seed or generator of the decoder's noise.

        Returns:
            (n, d_X), row for row.
        """
        self._check_fitted()
        shift = self.space_.label(target) - self.space_.label(source)
        return self.decode(self.encode(x) + self.perturbation_matrix_ @ shift, rng=rng)

    def sample(self, condition: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        """n draws (n, d_X) from the predicted population at a label.

        Base latents g(x_i) − Ŵ l_e are drawn with replacement from the training cells, every environment with the same
        weight, shifted by Ŵ l and decoded. Whether the label is identified is `check_span`'s answer, not this method's.
        """
        self._check_fitted()
        shift = self.perturbation_matrix_ @ self.space_.label(condition)
        root = _random.seed_sequence(rng)
        picked = _random.stream(root, "base").choice(len(self.base_latents_), whole("n", n), p=self._base_weights)
        return self.decode(self.base_latents_[picked] + shift, rng=_random.child(root, "noise"))

    @staticmethod
    def check_save(directory: str | PathLike, *, force: bool = False) -> None:
        """Refuse a directory that `save` could not write; worth asking before a long fit."""
        persistence.check_place(Path(directory), force=force)

    def save(self, directory: str | PathLike, *, force: bool = False) -> None:
        """Write the fitted model as a directory of safetensors and JSON, whole or not at all."""
        self._check_fitted()
        tensors = {f"network.{k}": v.detach().cpu() for k, v in self._network.state_dict().items()}
        tensors |= {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in self._arrays().items()}
        persistence.save(Path(directory), self._config(), tensors, self.history_, force=force)

    @classmethod
    def load(cls, directory: str | PathLike, *, device: str | torch.device = "cpu") -> PDAE:
        """A fitted model from its directory; needs neither the data nor the device it was fitted on."""
        config, tensors, history = persistence.load(Path(directory))
        try:
            model = cls(
                config["n_latents"],
                architecture=Architecture(**config["architecture"]),
                phases=[Phase(**phase) for phase in config["phases"]],
                beta=config["beta"],
                random_state=config["random_state"],
                device=device,
                precision=config.get("precision", "float32"),
            )
            model._restore(config, tensors, history)
        except (KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{directory}: config.json and weights.safetensors do not fit together ({reason})"
            ) from None
        return model

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """d_X, d_Z and K, once they are known."""
        return len(self.features_), self._d_Z, len(self.space_)

    def _config(self) -> dict:
        """Settings and label space as plain JSON values."""
        return {
            "n_latents": None if self.n_latents is None else int(self.n_latents),
            "architecture": vars(self.architecture).copy(),
            "phases": [phase.to_json() for phase in self.phases],
            "beta": float(self.beta),
            "random_state": int(self.random_state),
            "precision": self.precision,
            "dimension": self.dimension_ and self.dimension_.to_json(),
            "names": list(self.space_.names),
            "control": self.space_.control,
            "features": list(self.features_),
        }

    def _identity(self) -> dict:
        """All that a fit depends on beside its cells."""
        return self._config() | {"dimension": self._d_Z}

    def _check_parameters(self) -> None:
        if self.n_latents is not None:
            whole("n_latents", self.n_latents)
        check_phases(self.phases, self.architecture)
        between("beta", self.beta, 0.0, 2.0)
        whole("random_state", self.random_state, at_least=0)
        torch.device(self.device)
        choice("precision", self.precision, PRECISIONS)

    def _check_fitted(self) -> None:
        if not hasattr(self, "perturbation_matrix_"):
            raise InputError("this PDAE is not fitted; call fit(data) or PDAE.load(directory) first")

    def _checked(self, data: PerturbationData) -> PerturbationData:
        """`data`, if these settings can be fitted to its training conditions."""
        d_X = fittable(data).x.shape[1]
        if self.n_latents is not None and self.n_latents > d_X:
            raise InputError(f"n_latents must not exceed the observed dimension {d_X}; received {self.n_latents}")
        return data

    def _frame(self, data: PerturbationData, known: Dimension | None = None) -> PerturbationData:
        """Learn what is fixed before the first step, label space, scalings and d_Z; the training data in order.

        Args:
            data: The data.
            known: The number of latents of these data, if it was estimated before.
        """
        data = canonical(self._checked(data).train)
        self.space_, self.features_ = data.space, data.features
        self.train_labels_ = data.labels.copy()
        self.train_counts_ = data.counts.copy()
        self._scaling = Scaling.of(data, centred=self.architecture.output == "linear")
        self._label_scaling = LabelScaling.of(data.labels)
        if self.n_latents is not None:
            self.dimension_, self._d_Z = None, int(self.n_latents)
        else:
            self.dimension_ = known or self._estimated_dimension(data)
            self._d_Z = self.dimension_.n_latents
        return data

    def _adopt(self, state: Mapping[str, torch.Tensor], history: list[dict], data: PerturbationData) -> None:
        """Store the trained parameters, Ŵ in label units restricted to the training span, and the base latents."""
        self._network, self.history_ = bank.untrained([self]), history
        self._network.load_state_dict(state)
        internal = self._network.shift.detach()[0].cpu().numpy().astype(np.float64)
        self.perturbation_matrix_ = self._label_scaling.matrix(internal, self.train_labels_)
        order, environment = by_environment(data.rows_by_environment)
        latents = self._encoded(data.x, order)
        self.base_latents_ = latents - (self.train_labels_ @ self.perturbation_matrix_.T)[environment]
        self._base_environment = environment

    def _estimated_dimension(self, data: PerturbationData) -> Dimension:
        """The number of latents from the data alone, whatever the seed."""
        rng = _random.stream(_random.seed_sequence(0), "dimension")
        few = np.sort(rng.permutation(len(data.x))[: dimension.CELLS])
        rank = self._label_scaling.rank(data.labels, at_most=data.x.shape[1])
        return dimension.choose(self._scaling.gathered(data.x, few), rank, partial(self._chart_error, data), rng)

    def _chart_error(self, data: PerturbationData, d_Z: int) -> float:
        """Error of rebuilding cells kept out from d_Z coordinates, after a short training; NaN if none are."""
        probe = PDAE(d_Z, phases=_PROBE, device=self.device)
        network, cells = bank.start([probe], bank.frame([probe], [data]))
        (history,) = train(WeightedTerms(network, probe.beta), cells, [probe.phases])
        return min((row["held_out"] for row in history if "held_out" in row), default=math.nan)

    @property
    def _base_weights(self) -> np.ndarray:
        counts = np.bincount(self._base_environment)
        return 1.0 / (len(counts) * counts[self._base_environment])

    def _encoded(self, x: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
        """Latents (n, d_Z) of the chosen rows of x, without a copy of them all."""
        rows = np.arange(len(x))[rows]
        parts = [rows[part] for part in blocks(len(rows), x.shape[1])]
        latents = [self._in_parts(self._network.encoder, self._scaling.gathered(x, part)) for part in parts]
        return np.concatenate(latents) if latents else np.empty((0, self._d_Z))

    def _in_parts(self, function: Callable[[torch.Tensor], torch.Tensor], values: np.ndarray) -> np.ndarray:
        """Apply a network to many rows without holding all of its activations."""
        tensor, rows = torch.as_tensor(values), block_rows(max(len(self.features_), *self.architecture.hidden, 1))
        with torch.no_grad():
            parts = [function(part.to(self.device)[None])[0].cpu() for part in tensor.split(rows)]
        return torch.cat(parts).numpy().astype(np.float64)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "scaling.centre": self._scaling.centre,
            "scaling.scale": self._scaling.scale,
            "train_labels": self.train_labels_,
            "train_counts": self.train_counts_,
            "perturbation_matrix": self.perturbation_matrix_,
            "base": self.base_latents_.astype(np.float32),
            "base_environment": self._base_environment.astype(np.int64),
        }

    def _restore(self, config: dict, tensors: dict[str, torch.Tensor], history: list[dict]) -> None:
        arrays = {k: v.numpy() for k, v in tensors.items() if not k.startswith("network.")}
        self.space_ = LabelSpace(tuple(config["names"]), control=config["control"])
        self.features_, self.history_ = tuple(config["features"]), history
        self.dimension_ = Dimension.from_json(config.get("dimension"))
        self.train_labels_, self.train_counts_ = arrays["train_labels"], arrays["train_counts"]
        self._scaling = Scaling(arrays["scaling.centre"], arrays["scaling.scale"])
        self._label_scaling = LabelScaling.of(self.train_labels_)
        self.perturbation_matrix_, self._d_Z = arrays["perturbation_matrix"], len(arrays["perturbation_matrix"])
        self.base_latents_, self._base_environment = arrays["base"].astype(np.float64), arrays["base_environment"]
        self._network = bank.untrained([self])
        self._network.load_state_dict(
            {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        )
