"""The parts of a PDAE: encoder, decoder (deterministic or noise-injected) and the perturbation matrix Ŵ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from pdae_sim._checks import at_least, choice, whole

ACTIVATIONS = {"elu": nn.ELU, "silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh}


@dataclass(frozen=True)
class Architecture:
    """Shapes of the networks.

    Args:
        width: Units of each hidden layer.
        depth: Hidden layers; each is a module of its own.
        activation: One of `ACTIVATIONS`.
        skip: Add a linear map from input to output.
        n_noise: Noise coordinates fed to the decoder beside z; 0 is a deterministic decoder.
        noise_scale: Their standard deviation.
        output: ``linear`` or ``softplus`` (non-negative in the units of the data's own scale, centre not removed).
    """

    width: int = 128
    depth: int = 2
    activation: str = "silu"
    skip: bool = True
    n_noise: int = 0
    noise_scale: float = 1.0
    output: str = "linear"

    def __post_init__(self) -> None:
        whole("width", self.width)
        whole("depth", self.depth, at_least=0)
        whole("n_noise", self.n_noise, at_least=0)
        at_least("noise_scale", self.noise_scale, 0.0)
        choice("activation", self.activation, ACTIVATIONS)
        choice("output", self.output, ("linear", "softplus"))


class MLP(nn.Module):
    """A multilayer perceptron with an optional linear skip from input to output."""

    def __init__(self, n_in: int, n_out: int, shape: Architecture, generator: torch.Generator) -> None:
        super().__init__()
        sizes = [n_in, *[shape.width] * shape.depth, n_out]
        pairs = list(pairwise(sizes))
        self.layers = nn.ModuleList(_linear(a, b, generator) for a, b in pairs)
        self.skip = _linear(n_in, n_out, generator) if shape.skip and shape.depth else None
        self.activation = ACTIVATIONS[shape.activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x
        for layer in self.layers[:-1]:
            h = self.activation(layer(h))
        h = self.layers[-1](h)
        return h if self.skip is None else h + self.skip(x)


class Decoder(nn.Module):
    """f̂(z, ε'): an MLP on z and fresh noise."""

    def __init__(self, n_latents: int, n_observed: int, shape: Architecture, generator: torch.Generator) -> None:
        super().__init__()
        self.n_noise, self.noise_scale = shape.n_noise, shape.noise_scale
        self.network = MLP(n_latents + shape.n_noise, n_observed, shape, generator)
        self.output = nn.Softplus() if shape.output == "softplus" else nn.Identity()

    def forward(self, z: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        if self.n_noise:
            noise = torch.randn(*z.shape[:-1], self.n_noise, generator=generator, dtype=z.dtype, device=z.device)
            z = torch.cat([z, self.noise_scale * noise], -1)
        return self.output(self.network(z))


class Network(nn.Module):
    """Encoder g, decoder f̂ and Ŵ, with the latent arithmetic of the model."""

    def __init__(
        self, n_observed: int, n_latents: int, n_perturbations: int, shape: Architecture, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.encoder = MLP(n_observed, n_latents, shape, generator)
        self.decoder = Decoder(n_latents, n_observed, shape, generator)
        start = torch.randn(n_latents, n_perturbations, generator=generator) / math.sqrt(n_latents)
        self.shift = nn.Parameter(start)

    def shifts(self, labels: torch.Tensor) -> torch.Tensor:
        """Ŵ l for each label: (E, K) to (E, d_Z)."""
        return labels @ self.shift.T

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """The parameters by the part they belong to."""
        return {
            "encoder": list(self.encoder.parameters()),
            "shift": [self.shift],
            "decoder": list(self.decoder.parameters()),
        }


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer uniform in ± 1/√n_in, as torch's default, but drawn from a generator of its own."""
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    bound = 1 / math.sqrt(n_in)
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1) * bound)
    return layer
