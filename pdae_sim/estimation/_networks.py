"""The parts of a PDAE: encoder, decoder (deterministic or noise-injected) and the perturbation matrix Ŵ.

Every module is a bank of R replicates of one shape: its parameters carry a leading axis R, its products are batched,
and no replicate sees another. A single fit is a bank of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from pdae_sim import _random
from pdae_sim.estimation.architecture import Architecture

Generators = Sequence[torch.Generator]

PRECISIONS = ("float32", "bfloat16")
"""Of the products inside networks while they train; parameters, losses and predictions are float32 in any case."""


@dataclass(frozen=True)
class Activation:
    """A nonlinearity u ↦ a(u) and its slope a′(u), both differentiable by autograd."""

    value: Callable[[torch.Tensor], torch.Tensor]
    slope: Callable[[torch.Tensor], torch.Tensor]


def _silu_slope(u: torch.Tensor) -> torch.Tensor:
    s = torch.sigmoid(u)
    return s * (1 + u * (1 - s))


def _tanh_slope(u: torch.Tensor) -> torch.Tensor:
    return 1 - torch.tanh(u).square()


ACTIVATIONS = {
    "elu": Activation(functional.elu, lambda u: torch.exp(u.clamp(max=0.0))),
    "silu": Activation(functional.silu, _silu_slope),
    "relu": Activation(functional.relu, lambda u: (u > 0).to(u)),
    "tanh": Activation(torch.tanh, _tanh_slope),
}


class MLP(nn.Module):
    """R multilayer perceptrons with an optional linear skip from input to output.

    Args:
        sizes: Units from input to output.
        shape: Activation and skip.
        generators: One source of starting values for each replicate.
    """

    def __init__(self, sizes: Sequence[int], shape: Architecture, generators: Generators) -> None:
        super().__init__()
        pairs = list(pairwise(sizes))
        self.weights = nn.ParameterList(_uniform((a, b), a, generators) for a, b in pairs)
        self.biases = nn.ParameterList(_uniform((1, b), a, generators) for a, b in pairs)
        skips = shape.skip and len(pairs) > 1
        self.skip = _uniform((sizes[0], sizes[-1]), sizes[0], generators) if skips else None
        self._activation = ACTIVATIONS[shape.activation]
        self.lowered = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(R, …, n_in) to (R, …, n_out); where `lowered`, products are taken in bfloat16 and the result is float32."""
        if not self.lowered:
            return self._value(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            y = self._value(x)
        return y.float()

    def _value(self, x: torch.Tensor) -> torch.Tensor:
        rows = _rows(x)
        h = rows
        for weight, bias in self._hidden():
            h = self._activation.value(torch.baddbmm(bias, h, weight))
        return self._last(h, rows).unflatten(1, x.shape[1:-1])

    def tangents(self, x: torch.Tensor, directions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Values at x and derivatives there along some directions.

        Args:
            x: (R, m, n_in).
            directions: (R, m, k, n_in).

        Returns:
            (R, m, n_out) and (R, m, k, n_out).
        """
        h, t = x, directions
        for weight, bias in self._hidden():
            u = torch.baddbmm(bias, h, weight)
            h, t = self._activation.value(u), _along(t, weight) * self._activation.slope(u)[..., None, :]
        last = _along(t, self.weights[-1])
        return self._last(h, x), last if self.skip is None else last + _along(directions, self.skip)

    @torch.no_grad()
    def compose(self, matrix: torch.Tensor, offset: torch.Tensor) -> None:
        """Let the output y become (y − offset) @ matrix, for matrix (R, n_out, n_out) and offset (R, n_out)."""
        self.biases[-1].copy_((self.biases[-1] - offset[:, None]) @ matrix)
        for weight in (self.weights[-1], *([] if self.skip is None else [self.skip])):
            weight.copy_(weight @ matrix)

    @torch.no_grad()
    def precompose(self, matrix: torch.Tensor, offset: torch.Tensor) -> None:
        """Let the first inputs u enter as u @ matrix + offset, for matrix (R, n, n) and offset (R, n)."""
        n, skipped = matrix.shape[-1], [] if self.skip is None else [(self.skip, self.biases[-1])]
        for weight, bias in [(self.weights[0], self.biases[0]), *skipped]:
            bias.add_(offset[:, None] @ weight[:, :n])
            weight[:, :n] = matrix @ weight[:, :n]

    @torch.no_grad()
    def init_linear(self, matrix: torch.Tensor) -> None:
        """Let the output be x @ matrix, (R, n_in, n_out), and hidden layers add nothing yet.

        A deep network without a skip is left as it is.
        """
        if self.skip is not None:
            self.skip.copy_(matrix)
            self.weights[-1].zero_()
            self.biases[-1].zero_()
        elif len(self.weights) == 1:
            self.weights[0].copy_(matrix)
            self.biases[0].zero_()

    def _hidden(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return zip(self.weights[:-1], self.biases[:-1], strict=True)

    def _last(self, h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        y = torch.baddbmm(self.biases[-1], h, self.weights[-1])
        return y if self.skip is None else torch.baddbmm(y, x, self.skip)


class Encoder(nn.Module):
    """g(x) = h(y(x)): a chart y of the manifold of cells, and a map h of its coordinates; or one MLP on x."""

    def __init__(self, d_X: int, d_Z: int, shape: Architecture, generators: Generators) -> None:
        super().__init__()
        self.chart = MLP([d_X, *shape.hidden, d_Z], shape, generators) if shape.charted else None
        self.map = MLP([d_Z if shape.charted else d_X, *shape.hidden, d_Z], shape, generators)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Latents (R, …, d_Z) of cells (R, …, d_X)."""
        return self.map(self.coordinates(x))

    def coordinates(self, x: torch.Tensor) -> torch.Tensor:
        """y(x), or x itself where there is no chart."""
        return x if self.chart is None else self.chart(x)

    def only(self, r: int) -> Callable[[torch.Tensor], torch.Tensor]:
        """One replicate as a function of cells (1, m, d_X)."""
        state = {name: value[r : r + 1] for name, value in self.state_dict().items()}
        return lambda x: torch.func.functional_call(self, state, (x,))


class Decoder(nn.Module):
    """f̂(z, ε'): an MLP on z and fresh noise; coordinates with noise of their own are u(z) + softplus(v(z)) ε'."""

    def __init__(self, n_latents: int, n_observed: int, shape: Architecture, generators: Generators) -> None:
        super().__init__()
        self.n_noise, self.noise_scale, self.positive = shape.n_noise, shape.noise_scale, shape.output == "softplus"
        self.own_noise, self.stochastic = shape.own_noise, shape.stochastic
        n_outputs = n_observed * (1 + shape.own_noise)
        self.network = MLP([n_latents + shape.n_noise, *reversed(shape.hidden), n_outputs], shape, generators)

    def forward(self, z: torch.Tensor, generators: Generators = ()) -> torch.Tensor:
        """Cells (R, …, d_X) of latents (R, …, d_Z); `generators` feed ε', if there is any."""
        if self.n_noise:
            z = torch.cat([z, self.noise_scale * normal((*z.shape[1:-1], self.n_noise), generators, z)], -1)
        x = self.network(z)
        if self.own_noise:
            x, spread = x.chunk(2, -1)
            x = torch.addcmul(x, functional.softplus(spread), normal(x.shape[1:], generators, x))
        return functional.softplus(x) if self.positive else x


class ShiftedLatents(nn.Module):
    """Ŵ of R replicates, and what every network does with it."""

    shift: nn.Parameter

    @staticmethod
    def random_shift(d_Z: int, K: int, generators: Generators) -> nn.Parameter:
        """Ŵ (R, d_Z, K) before the first step."""
        return nn.Parameter(torch.stack([torch.randn(d_Z, K, generator=g) for g in generators]) / math.sqrt(d_Z))

    def shifts(self, labels: torch.Tensor) -> torch.Tensor:
        """Ŵ l for each label: (R, E, K) to (R, E, d_Z)."""
        return labels @ self.shift.mT

    def replicate(self, r: int) -> dict[str, torch.Tensor]:
        """The state of one replicate, as that of a bank of one."""
        return {name: value[r : r + 1].clone() for name, value in self.state_dict().items()}


class Network(ShiftedLatents):
    """Encoder g, decoder f̂ and Ŵ of R replicates, with the latent arithmetic of the model.

    Args:
        sizes: d_X, d_Z and K.
        shape: Shapes of the networks.
        generators: One source of starting values for each replicate.
        precision: One of `PRECISIONS`, inside `lowered`.
    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        shape: Architecture,
        generators: Generators,
        *,
        precision: str = "float32",
    ) -> None:
        super().__init__()
        self.precision = precision
        d_X, d_Z, K = sizes
        self.encoder = Encoder(d_X, d_Z, shape, generators)
        self.decoder = Decoder(d_Z, d_X, shape, generators)
        self.shift = self.random_shift(d_Z, K, generators)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """The parameters by the part they belong to."""
        return {
            "chart": [] if self.encoder.chart is None else list(self.encoder.chart.parameters()),
            "encoder": list(self.encoder.map.parameters()),
            "shift": [self.shift],
            "decoder": list(self.decoder.parameters()),
        }

    @contextmanager
    def lowered(self) -> Iterator[None]:
        """Inside, values of the networks are taken in `precision`; tangents and losses in float32 all the same."""
        networks = [module for module in self.modules() if isinstance(module, MLP)]
        for network in networks:
            network.lowered = self.precision == "bfloat16"
        try:
            yield
        finally:
            for network in networks:
                network.lowered = False


def root_generator(random_state: int, *names: object) -> torch.Generator:
    """A source of starting values, on the processor."""
    return torch.Generator().manual_seed(_random.torch_seed(_random.seed_sequence(random_state), *names))


def normal(shape: Sequence[int], generators: Generators, like: torch.Tensor) -> torch.Tensor:
    """Standard normal draws (R, *shape), those of each replicate from its own generator."""
    return torch.stack([torch.randn(shape, generator=g, dtype=like.dtype, device=like.device) for g in generators])


def uniform(shape: Sequence[int], generators: Generators, like: torch.Tensor) -> torch.Tensor:
    """Uniform draws (R, *shape) from [0, 1), those of each replicate from its own generator."""
    return torch.stack([torch.rand(shape, generator=g, dtype=like.dtype, device=like.device) for g in generators])


def _uniform(shape: tuple[int, int], n_in: int, generators: Generators) -> nn.Parameter:
    """Starting values uniform in ± 1/√n_in, as torch's default, but from generators of their own."""
    draws = torch.stack([torch.rand(shape, generator=g) for g in generators])
    return nn.Parameter((2 * draws - 1) / math.sqrt(n_in))


def _rows(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(len(x), -1, x.shape[-1])


def _along(t: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Directions (R, m, k, n_in) through a linear map (R, n_in, n_out)."""
    return torch.bmm(_rows(t), weight).unflatten(1, t.shape[1:-1])
