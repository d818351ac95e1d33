"""The perturbation distribution autoencoder (PDAE): encode, shift, decode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between, choice, matrix, naming, repetitions, whole
from pdae_sim._matrices import Matrix, checked_matrix
from pdae_sim._random import SeedLike
from pdae_sim._seals import undamaged
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation import _bank as bank
from pdae_sim.estimation import _decoding as decoding
from pdae_sim.estimation import _framing as framing
from pdae_sim.estimation import _kept_cells as keeping
from pdae_sim.estimation import _pdae_files as files
from pdae_sim.estimation import _persistence as persistence
from pdae_sim.estimation import _posterior_prediction as prediction
from pdae_sim.estimation import _selection as selecting
from pdae_sim.estimation._base import BaseEstimator
from pdae_sim.estimation._batches import by_environment
from pdae_sim.estimation._composing import Composing
from pdae_sim.estimation._dimension import Dimension
from pdae_sim.estimation._fitted_to import moments
from pdae_sim.estimation._measurement import Units
from pdae_sim.estimation._networks import PRECISIONS, Network
from pdae_sim.estimation._observation import OBSERVATION_MODELS, ObservationChoice
from pdae_sim.estimation._posterior import PosteriorNetwork
from pdae_sim.estimation._scaling import LabelScaling, blocks
from pdae_sim.estimation._selection import Selection
from pdae_sim.estimation._sources import draw_base
from pdae_sim.estimation._validation import canonical, check_device, check_phases, fittable
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.compositions import COMPOSITIONS
from pdae_sim.estimation.phases import Phase, Progress
from pdae_sim.estimation.presets import PRESETS, Preset
from pdae_sim.labels import Condition


class PDAE(BaseEstimator):
    """An estimator of P(x | l) at unseen labels under the additive-latent-shift model.

    A cell x of environment e under target h is simulated as f̂(g(x) + Ŵ (l_h − l_e), ε').

    Args:
        n_latents: d_Z; None estimates it from the cells, and `dimension_` says how sure that is.
        observation: The law of a cell given its latents: ``noiseless``, where cells are a function of them; one of the
            models of `ObservationChoice` with noise; or ``auto``, where the training cells decide.
        architecture: Shapes of encoder and decoder; None takes those of the default plan.
        phases: The training plan: that of a preset, or phases of your own; None takes the default for cells with
            noise (`MARGINAL`) or without (`DEFAULT`).
        steps: Gradient steps of each phase, in place of the plan's.
        select: Whether to choose how to predict by leaving out training combinations, where three or more of them are
            identified by the others and x has at most 2²⁵ values (shorter fits without them take as long as the fit);
            or else, if no phases are given and up to 2²² values, by whether measured cells, composed, agree with it.
        beta: Exponent of the energy terms, in (0, 2).
        random_state: Seed; the same seed, data and number of threads give the same fit on a CPU.
        device: Where to train, for example ``cpu`` or ``cuda``.
        precision: ``float32``, or ``bfloat16`` for the products inside the networks while they train, which halves
            their activations and is fast on CUDA; on a CPU it is as good, and mostly slower. Parameters, distances,
            likelihood, whitening and predictions stay in float32 or better.

    Attributes:
        perturbation_matrix_: Ŵ (d_Z, K) in the units of the labels; zero outside the training span (that of the
            conditions that steps saw, where no phase whitens).
        train_labels_, train_counts_: (E, K) labels and (E,) cells of the training environments.
        observation_: The observation model (`name`), the evidence for it and whether that is `sure`.
        information_: (d_Z, d_Z) J = I − E Cov(z | x), the Fisher information about a shift that a cell carries; I
            where cells are noiseless.
        base_latents_: (n, d_Z) g(x) − Ŵ l of the training cells; under noise one posterior draw of each.
        plan_: Phases and networks of the fit.
        source_: How `sample` predicts unless it is told.
        selection_: Ways to predict compared on left-out training combinations; None where too few can be left out.
        composing_: Else what composed cells say of the model, and whether combinations of measured parts are composed.
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
        >>> model = PDAE(2, steps=60).fit(data)
        >>> bool(np.abs(model.sample("A+B", 500, rng=0).mean(0) - np.tanh([0.6, 0.6, 0.0])).max() < 0.1)
        True
    """

    _moments: np.ndarray | None
    observation_: ObservationChoice
    dimension_: Dimension | None
    plan_: Preset
    source_: str
    selection_: Selection | None
    composing_: Composing | None
    _kept: keeping.KeptCells | None
    _units: Units
    _d_Z: int  # noqa: N815
    _network: Network | PosteriorNetwork

    def __init__(
        self,
        n_latents: int | None = None,
        *,
        observation: str = "auto",
        architecture: Architecture | None = None,
        phases: Sequence[Phase] | None = None,
        steps: int | None = None,
        select: bool = True,
        beta: float = 1.0,
        random_state: int = 0,
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ) -> None:
        self.n_latents, self.observation = n_latents, observation
        self.architecture, self.phases, self.steps, self.select = architecture, phases, steps, select
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

    @checked_numbers
    def encode(
        self, x: Matrix, *, draws: int | None = None, condition: Condition | None = None, rng: SeedLike = None
    ) -> np.ndarray:
        """Latents of cells: g(x), or under noise their posterior means.

        Args:
            x: (n, d_X) cells, dense or sparse.
            draws: How many posterior draws of each cell to return in place of the mean.
            condition: What the cells were measured under, whose prior N(Ŵ l, I) is theirs; where it is not said, that
                of all training cells together.
            rng: Seed or generator of the draws.

        Returns:
            (n, d_Z), or (draws, n, d_Z), in float64. Without noise all draws are alike.
        """
        self._check_fitted()
        x = checked_matrix("x", x, names=self.features_)
        if draws is not None:
            repetitions("draws", draws)
        if not self.observation_.noisy:
            latents = self._encoded(x, slice(None))
            return latents if draws is None else np.repeat(latents[None], draws, axis=0)
        share, shifts = self.train_counts_ / self.train_counts_.sum(), self.train_labels_ @ self.perturbation_matrix_.T
        if condition is not None:
            share, shifts = np.ones(1), (self.perturbation_matrix_ @ self.space_.label(condition))[None]
        means = torch.from_numpy(shifts).float().to(self.device)
        generator = self._generator(_random.seed_sequence(rng), "posterior")
        if condition is None or draws is None:
            return prediction.encode(self._posterior, self._measured(x), means, share, draws, generator)
        return prediction.draw_under(self._posterior, self._measured(x), means[0], generator, draws)[0]

    @checked_numbers
    def decode(self, z: np.ndarray, *, rng: SeedLike = None) -> np.ndarray:
        """Cells f̂(z, ε') (n, d_X) of latents (n, d_Z), in the data's units; `rng` feeds ε', if there is any.

        Under noise ε' is that of the whole observation model, and counts are drawn at the totals of training cells.
        """
        root = _random.seed_sequence(rng)
        self._check_fitted()
        z = matrix("z", z, columns=self._d_Z)
        picked = _random.stream(root, "exposure").integers(len(self._exposure), size=len(z))
        return self._decoded(z, self._exposure[picked], root)

    @checked_numbers
    def transport(self, x: Matrix, source: Condition, target: Condition, *, rng: SeedLike = None) -> np.ndarray:
        """Counterfactual cells: what each row of x, measured under `source`, would have been under `target`.

        Under noise a posterior draw of the latents of each cell is moved, and the cell is measured anew.

        Args:
            x: (n, d_X) cells of one condition.
            source: The condition or label they were measured under.
            target: The condition or label to move them to.
            rng: Seed or generator of the decoder's noise.

        Returns:
            (n, d_X), row for row.
        """
        self._check_fitted()
        before, after = (self.perturbation_matrix_ @ self.space_.label(c) for c in (source, target))
        if not self.observation_.noisy:
            return self.decode(self.encode(x) + (after - before), rng=rng)
        root = _random.seed_sequence(rng)
        x = checked_matrix("x", x, names=self.features_)
        shift = torch.from_numpy(before).float().to(self.device)
        generator = self._generator(root, "posterior")
        (z,), (library,) = prediction.draw_under(self._posterior, self._measured(x), shift, generator, 1)
        return self._decoded(z + (after - before), prediction.exposure(self._units.exposure(x), library), root)

    @checked_numbers
    def sample(self, condition: Condition, n: int, *, rng: SeedLike = None, source: str | None = None) -> np.ndarray:
        """n draws (n, d_X) from the predicted population at a label.

        Base latents are those of training cells, drawn with replacement, or N(0, I); they are shifted by Ŵ l, decoded
        and, under noise, measured. Whether the label is identified is `check_span`'s answer, not this method's.

        Args:
            condition: A condition string or a label.
            n: Cells to draw.
            rng: Seed or generator.
            source: Where base latents come from: ``model`` is N(0, I); ``pool`` all training conditions, each with the
                same weight if it has some cells; ``near`` the training condition nearest in Ŵ; ``parts`` those that
                share a perturbation with the label; ``reference`` the control; each with ``-scaled`` behind it for
                the spread that labels predict. Under noise and where x is small, ``+tilting`` after any of them
                replaces half of the cells, or fewer where few bear the label, by training cells tilted to it. None
                takes `source_`: ``pool`` without noise, and with it ``model`` or ``near``, whichever stands for
                training conditions better, tilted where that can be; or the way that `selection_` has chosen, which
                may be a composition of measured cells; or that of a sum of measured parts, if `composing_` says so.
        """
        self._check_fitted()
        label, root = self.space_.label(condition), _random.seed_sequence(rng)
        source = keeping.source_given(self, label, source)
        if self._kept and source in COMPOSITIONS:
            return self._kept.composed(source, label, whole("n", n), root)
        base = source.removesuffix(keeping.TILTED)
        latents, exposure = draw_base(self, base, label, whole("n", n), root)
        latents += self.perturbation_matrix_ @ label
        drawn = self._decoded(latents, exposure, _random.child(root, "noise"))
        return self._kept.tilted(drawn, label, root) if self._kept and base != source else drawn

    def source_at(self, condition: Condition) -> str:
        """How `sample` predicts at a condition unless it is told: `source_`, or by composing cells of its parts."""
        self._check_fitted()
        return keeping.source_at(self, self.space_.label(condition))

    @staticmethod
    def check_save(directory: str | PathLike, *, force: bool = False) -> None:
        """Refuse a directory that `save` could not write; worth asking before a long fit."""
        persistence.check_place(Path(directory), force=force)

    def save(self, directory: str | PathLike, *, force: bool = False) -> None:
        """Write the fitted model as a directory of safetensors and JSON, whole or not at all."""
        self._check_fitted()
        persistence.save(Path(directory), files.config_of(self), files.tensors_of(self), self.history_, force=force)

    @classmethod
    def load(cls, directory: str | PathLike, *, device: str | torch.device = "cpu") -> PDAE:
        """A fitted model from its directory; needs neither the data nor the device it was fitted on."""
        config, tensors, history = persistence.load(Path(directory))
        with undamaged(directory, persistence.AGAIN), naming(directory):
            model = cls(**files.settings_of(config), device=device)
            files.restore(model, config, tensors, history)
        return model

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """d_X, d_Z and K, once they are known."""
        return len(self.features_), self._d_Z, len(self.space_)

    def _identity(self) -> dict:
        """All that a fit depends on beside its cells."""
        return files.config_of(self) | {"dimension": self._d_Z}

    def _check_parameters(self) -> None:
        if self.n_latents is not None:
            whole("n_latents", self.n_latents)
        if self.steps is not None:
            repetitions("steps", self.steps, at_least=0)
        choice("observation", self.observation, ("auto", *OBSERVATION_MODELS))
        plan = framing.plan_of(self, noisy=bool(framing.expects_noise(self)))
        check_phases(plan.phases, plan.architecture)
        between("beta", self.beta, 0.0, 2.0)
        whole("random_state", self.random_state, at_least=0)
        check_device(self.device)
        if not isinstance(self.select, bool):
            raise InputError(f"select must be True or False; received {self.select!r}")
        choice("precision", self.precision, PRECISIONS)

    def _check_fitted(self) -> None:
        if not hasattr(self, "perturbation_matrix_"):
            raise InputError("this PDAE is not fitted; call fit(data) or PDAE.load(directory) first")

    def _checked(self, data: PerturbationData) -> PerturbationData:
        """`data`, if these settings can be fitted to its training conditions."""
        d_X = fittable(data, self.architecture).stored.shape[1]
        if self.n_latents is not None and self.n_latents > d_X:
            raise InputError(f"n_latents must not exceed the observed dimension {d_X}; received {self.n_latents}")
        return data

    def _expected_plan(self, counts: np.ndarray | None = None) -> Preset:
        """The plan of a fit to conditions of so many cells, or the larger one where the data are to say which."""
        return framing.plan_of(self, counts, noisy=framing.expects_noise(self) is not False)

    def _frame(
        self, data: PerturbationData, known: tuple[ObservationChoice, Dimension | None] | None = None
    ) -> PerturbationData:
        """Learn what is fixed before the first step; the training data in order.

        Args:
            data: The data.
            known: Observation model and number of latents of these data, if they were chosen before.
        """
        data = canonical(self._checked(data).train)
        self.space_, self.features_, self.read_as_ = data.space, data.features, data.read_as
        self.train_labels_ = data.labels.copy()
        self.train_counts_, self._moments = data.counts.copy(), moments(data)
        self._label_scaling = LabelScaling.of(data.labels, data.counts)
        self.source_, self.selection_, self.composing_, self._kept = "pool", None, None, None
        framing.frame(self, data, known)
        return data

    def _adopt(self, state: Mapping[str, torch.Tensor], history: list[dict], data: PerturbationData) -> None:
        """Store the trained parameters, Ŵ in label units restricted to the training span, and the base latents."""
        self._network, self.history_ = bank.untrained([self]), history
        self._network.load_state_dict(state)
        internal = self._network.shift.detach()[0].cpu().numpy().astype(np.float64)
        self.perturbation_matrix_ = self._label_scaling.matrix(internal, framing.labels_behind(self))
        order, environment = by_environment(data.rows_by_environment)
        self._base_environment = environment
        self._exposure = self._units.exposure(data.stored)[order]
        if self.observation_.noisy:
            cells = bank.training_cells([self], [data])
            drawn = prediction.draw_training(self._posterior, cells, _random.torch_seed(cells.roots[0], "base"))
            latents, self.information_ = drawn.latents, drawn.information
            self._exposure = prediction.exposure(self._exposure, drawn.library)
        else:
            latents, self.information_ = self._encoded(data.stored, order), np.eye(self._d_Z)
        base = latents - (self.train_labels_ @ self.perturbation_matrix_.T)[environment]
        self.base_latents_ = base.astype(np.float32).astype(
            np.float64
        )  # what files keep: a loaded model draws the same
        selecting.choose(self, data)

    @property
    def _posterior(self) -> PosteriorNetwork:
        """The networks of a fit under noise."""
        assert isinstance(self._network, PosteriorNetwork), "this fit is noiseless"
        return self._network

    def _generator(self, root: np.random.SeedSequence, name: str) -> torch.Generator:
        """A source of draws on the device."""
        return torch.Generator(device=self.device).manual_seed(_random.torch_seed(root, name))

    def _measured(self, x: Matrix) -> torch.Tensor:
        """Cells (n, d_X) in the units of the measurement, on the device."""
        return torch.from_numpy(self._units.forward(x)).to(self.device)

    def _decoded(self, z: np.ndarray, exposure: np.ndarray, root: np.random.SeedSequence) -> np.ndarray:
        """Cells (n, d_X) of latents (n, d_Z), counts at the given totals and units."""
        return decoding.decoded(self, z, exposure, self._generator(root, "decoder"))

    def _encoded(self, x: Matrix, rows: np.ndarray | slice) -> np.ndarray:
        """Latents (n, d_Z) of the chosen rows of x, without a copy of them all."""
        rows = np.arange(x.shape[0])[rows]
        parts = [rows[part] for part in blocks(len(rows), x.shape[1])]
        latents = [decoding.in_parts(self, self._network.encoder, self._units.gathered(x, part)) for part in parts]
        return np.concatenate(latents) if latents else np.empty((0, self._d_Z))
