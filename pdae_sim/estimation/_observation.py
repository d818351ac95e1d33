"""The observation model of a fit: its name, the evidence for it, and the networks and units that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from pdae_sim._checks import at_least, choice, near_misses
from pdae_sim._matrices import Matrix
from pdae_sim._seals import rebuilt
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._measurement import (
    TRANSFORMS,
    CountUnits,
    StandardUnits,
    Units,
    is_centred,
    recognise_counts,
    standardised,
)
from pdae_sim.estimation._scaling import Scaling
from pdae_sim.estimation.likelihoods._base import Likelihood
from pdae_sim.estimation.likelihoods.counts import NegativeBinomialLikelihood, PoissonLikelihood
from pdae_sim.estimation.likelihoods.dropout import DropoutLikelihood
from pdae_sim.estimation.likelihoods.gaussian import GaussianLikelihood

COUNTS = ("negative_binomial", "poisson")
GAUSSIAN = ("gaussian", "gaussian_by_feature", "gaussian_growing")
OBSERVATION_MODELS = ("noiseless", *GAUSSIAN, "log_normal", "dropout", *COUNTS)
"""The observation models by name. Of Gaussian noise: one σ, one by feature, or a quadratic variance function."""


@dataclass(frozen=True)
class ObservationChoice:
    """The observation model of a fit and the evidence for it.

    Args:
        name: One of ``noiseless``, ``gaussian``, ``gaussian_by_feature``, ``gaussian_growing``, ``log_normal``,
            ``dropout``, ``poisson`` and ``negative_binomial``.
        sure: Whether the evidence leaves little doubt; what was given is sure.
        reason: In words.
        evidence: Log-likelihood by cell of training cells kept out, of each model that was tried, in the units of x.
        transform: What was done to counts or values before they came as x: ``none``, ``log``, ``counts``, ``log1p``,
            ``log_normalise`` (one total for every cell) or ``log_scaled`` (totals went with features left out).
        target: Total of every cell under ``log_normalise``.
        centred: Whether cells are centred log-ratios, whose noise adds to zero.

    Example:
        >>> choice = ObservationChoice("gaussian", True, "given")
        >>> ObservationChoice.from_json(choice.to_json()) == choice
        True
    """

    name: str
    sure: bool
    reason: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    transform: str = "none"
    target: float = 0.0
    centred: bool = False

    @property
    def noisy(self) -> bool:
        """Whether cells are more than a function of their latents."""
        return self.name != "noiseless"

    def to_json(self) -> dict:
        """The choice as plain JSON values."""
        return vars(self) | {"evidence": dict(self.evidence)}

    @classmethod
    def from_json(cls, state: Mapping | None) -> ObservationChoice:
        """The choice written as `state`; that of a noiseless fit where none was written."""
        if not state:
            return cls("noiseless", True, "written before there was a choice")
        read = rebuilt(cls, state)
        choice("observation", read.name, OBSERVATION_MODELS)
        choice("transform", read.transform, TRANSFORMS)
        at_least("target", read.target, 0.0)
        return read

    def units(self, data: PerturbationData) -> Units:
        """The units of the measurement, learnt from training data."""
        if self.name in COUNTS:
            return CountUnits(self.transform, self.target)
        return standardised(data, self.transform)

    def restored_units(self, centre: np.ndarray | None, scale: np.ndarray | None) -> Units:
        """The units that were learnt in a fit, from what it saved of them."""
        if centre is None or scale is None:
            return CountUnits(self.transform, self.target)
        return StandardUnits(Scaling(centre, scale), self.transform)

    def likelihood(self, units: Sequence[Units], n_features: int, *, latent_library: bool = False) -> Likelihood:
        """The likelihood of replicates before the first step.

        Args:
            units: Of each replicate.
            n_features: d_X.
            latent_library: Whether the library of a cell with negative binomial counts is a latent, or its total.
        """
        replicates = len(units)
        if self.name == "poisson":
            return PoissonLikelihood(replicates, n_features)
        if self.name == "negative_binomial":
            return NegativeBinomialLikelihood(replicates, n_features, latent_library=latent_library)
        standard = [each for each in units if isinstance(each, StandardUnits)]
        if self.name == "dropout":
            zeros = [each.forward(np.zeros((1, n_features)))[0] for each in standard]
            return DropoutLikelihood(replicates, n_features, zero=torch.from_numpy(np.stack(zeros)))
        return GaussianLikelihood(
            replicates,
            n_features,
            by_feature=self.name != "gaussian",
            growing=self.name == "gaussian_growing",
            centred=self.centred,
            scale=torch.from_numpy(np.stack([each.scaling.scale for each in standard])),
        )


def as_given(name: str, x: Matrix) -> ObservationChoice:
    """The choice of a name by the user, with the transform of a table (n, d_X) that it has to find.

    Raises:
        InputError: If the name is unknown or the table is not what it says.
    """
    if name not in OBSERVATION_MODELS:
        raise InputError(f"unknown observation {name!r}; {near_misses(name, OBSERVATION_MODELS)}")
    if name in COUNTS:
        if x.shape[1] < 2:
            raise InputError(
                f"observation={name!r} is of counts given the total of their cell; one feature tells nothing"
            )
        counts = recognise_counts(x)
        if counts is None:
            raise InputError(
                f"observation={name!r} needs counts, or log-normalised values that counts can be recovered from "
                "exactly; give counts, or observation='gaussian_by_feature'"
            )
        return ObservationChoice(name, True, "given", transform=counts.transform, target=counts.target)
    if name == "log_normal":
        if not x.min() > 0:
            raise InputError(f"observation='log_normal' needs x > 0; received {x.min():g}")
        return ObservationChoice(name, True, "given", transform="log")
    return ObservationChoice(name, True, "given", centred=name in GAUSSIAN and is_centred(x))
