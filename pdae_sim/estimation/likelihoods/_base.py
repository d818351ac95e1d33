"""What every likelihood offers to the estimator: inputs for the encoder, a log-density, a sampler, a start."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from pdae_sim.estimation._networks import Generators


class Likelihood(nn.Module, ABC):
    """The law of a measured cell given the output u(z) of a decoder, for R replicates at once.

    Cells are in the units of the measurement, (R, …, d_X); outputs have the same shape, with more axes between where
    several latents are tried for each cell. The parameters of the law, (R, 1, d_X) each, are learnt with the decoder.

    Args:
        replicates: R.
        n_features: d_X.
    """

    def __init__(self, replicates: int, n_features: int) -> None:
        super().__init__()
        self.replicates, self.n_features = replicates, n_features

    @property
    def n_inputs(self) -> int:
        """Numbers that tell of z among the inputs of the encoder."""
        return self.n_features

    @property
    def n_own(self) -> int:
        """Standard normal latents of a cell beside z, which no label shifts; as many further inputs are near them."""
        return 0

    @property
    def n_outputs(self) -> int:
        """Numbers that the decoder says of a cell."""
        return self.n_features

    def inputs(self, x: torch.Tensor) -> torch.Tensor:
        """What the encoder sees (R, …, n_inputs + n_own) of cells (R, …, d_X)."""
        return x

    def learn_inputs(self, cells: Sequence[torch.Tensor]) -> None:
        """Learn what `inputs` is scaled by from the cells (n, d_X) of each replicate; nothing where it is identity."""

    def library(self, own: torch.Tensor) -> torch.Tensor:
        """Libraries (R, …, 1) of cells with latents of their own (R, …, 1); nothing where the law has neither."""
        return own

    @abstractmethod
    def log_prob(self, x: torch.Tensor, output: torch.Tensor, own: torch.Tensor | None = None) -> torch.Tensor:
        """log p(x | u) (R, …), features added.

        Args:
            x: (R, …, d_X) cells.
            output: (R, …, d_X) outputs of the decoder; axes of size 1 are broadcast.
            own: (R, …, n_own) latents of the cells' own, if the law has any.
        """

    @abstractmethod
    def sample(
        self, output: torch.Tensor, generators: Generators, exposure: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Cells (R, …, d_X) drawn given outputs of the same shape.

        Args:
            output: Outputs of the decoder.
            generators: One for each replicate.
            exposure: (R, …, 1) totals or libraries of the cells, where the law is one given them.
        """

    @abstractmethod
    def start(self, mean: torch.Tensor, residual: torch.Tensor) -> None:
        """Set the parameters to what fits a decoder that has seen only principal components.

        Args:
            mean: (R, d_X) means of the cells.
            residual: (R, d_X) variances of the encoder's inputs beside the leading components.
        """

    def linear_start(self, mean: torch.Tensor, loadings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Bias (R, d_X) and weights (R, d_Z, d_X) of a linear decoder, from a linear model of the encoder's inputs.

        Args:
            mean: (R, d_X) means of the cells.
            loadings: (R, d_Z, n_inputs) change of the inputs for each latent.
        """
        return mean, loadings


def parameter(replicates: int, n_features: int, value: float = 0.0) -> nn.Parameter:
    """A parameter (R, 1, d_X) of one value."""
    return nn.Parameter(torch.full((replicates, 1, n_features), value))


def of_each(replicates: int, values: torch.Tensor) -> torch.Tensor:
    """(R, 1, d_X) values, given for each replicate (R, d_X) or for all of them (d_X,)."""
    return values.expand(replicates, values.shape[-1])[:, None].clone()


def spread_to(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(R, 1, d_X) parameters with as many axes as some outputs (R, …, d_X)."""
    return values.view(len(values), *[1] * (like.ndim - 2), values.shape[-1])


def drawn(sampler: object, tensors: Sequence[torch.Tensor], generators: Generators) -> torch.Tensor:
    """Draws of `torch.poisson` or the like, those of each replicate from its own generator."""
    rows = zip(*tensors, generators, strict=True)
    return torch.stack([sampler(*row[:-1], generator=row[-1]) for row in rows])  # type: ignore[operator]
