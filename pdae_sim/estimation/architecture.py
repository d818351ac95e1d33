"""Shapes of the networks: layers, nonlinearity, and the noise of the decoder."""

from __future__ import annotations

from dataclasses import dataclass

from pdae_sim._arguments import checked
from pdae_sim._checks import at_least, choice, whole

_ACTIVATIONS = ("elu", "silu", "relu", "tanh")


@dataclass(frozen=True)
class Architecture:
    """Shapes of encoder and decoder.

    Args:
        width: Units of each hidden layer.
        depth: Hidden layers; each has parameters of its own.
        activation: ``elu``, ``silu``, ``relu`` or ``tanh``.
        skip: Add a linear map from input to output.
        n_noise: Noise coordinates fed to the decoder beside z; 0 is a deterministic decoder.
        noise_scale: Their standard deviation.
        own_noise: Besides, every observed coordinate has a noise of its own, with a spread that is a function of z:
            what counts have, gene by gene, and few noise coordinates cannot give.
        output: ``linear`` or ``softplus`` (non-negative in the units of the data's own scale, centre not removed).
        widths: Units of the encoder's hidden layers one by one, in place of `width` and `depth`; the decoder has them
            in reverse.
        charted: The encoder is a map of the plane of latents after a chart of the manifold of cells, g(x) = h(y(x))
            with y in R^{d_Z}, so that it sees nothing of x but its place on the manifold; else it is one MLP on x.

    Raises:
        InputError: If a setting is out of range.

    Example:
        >>> Architecture(width=32, depth=3).hidden == Architecture(widths=(32, 32, 32)).hidden
        True
    """

    width: int = 128
    depth: int = 2
    activation: str = "silu"
    skip: bool = True
    n_noise: int = 0
    noise_scale: float = 1.0
    own_noise: bool = False
    output: str = "linear"
    widths: tuple[int, ...] | None = None
    charted: bool = True

    @checked
    def __post_init__(self) -> None:
        whole("width", self.width)
        whole("depth", self.depth, at_least=0)
        whole("n_noise", self.n_noise, at_least=0)
        at_least("noise_scale", self.noise_scale, 0.0)
        choice("activation", self.activation, _ACTIVATIONS)
        choice("output", self.output, ("linear", "softplus"))
        if self.widths is not None:
            object.__setattr__(self, "widths", tuple(whole("widths", width) for width in self.widths))

    @property
    def stochastic(self) -> bool:
        """Whether the decoder draws noise."""
        return self.n_noise > 0 or self.own_noise

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the encoder's hidden layers."""
        return (self.width,) * self.depth if self.widths is None else self.widths
