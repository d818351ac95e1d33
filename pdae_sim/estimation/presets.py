"""Training plans by name: the phases, and the networks they are meant for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.phases import Phase


@dataclass(frozen=True)
class Preset:
    """Phases, and the networks they are meant for.

    Args:
        phases: The training plan.
        architecture: Shapes of encoder and decoder.

    Example:
        >>> from pdae_sim.estimation import PRESETS
        >>> quick = PRESETS["staged"].shortened(10)
        >>> [phase.steps for phase in quick.phases] == [10, 10, 10]
        True
    """

    phases: tuple[Phase, ...]
    architecture: Architecture

    def shortened(self, steps: int | None) -> Preset:
        """The preset with `steps` gradient steps in each phase; as it is if `steps` is None."""
        return self if steps is None else replace(self, phases=tuple(replace(p, steps=steps) for p in self.phases))


DEFAULT = Preset(
    (
        Phase(
            "chart",
            500,
            {"chart_reconstruction": 1.0},
            ("chart", "decoder"),
            cells=128,
            learning_rate=3e-3,
            held_out=0.1,
            whiten=True,
        ),
        Phase(
            "refine",
            1500,
            {"likelihood": 1.0, "density_ratio": 1.0, "inversion": 1.0},
            ("encoder", "shift", "decoder"),
            cells=128,
            learning_rate=5e-3,
            held_out=0.1,
            whiten=True,
        ),
        Phase("decode", 1000, {"decoding": 1.0}, ("decoder",), cells=128, learning_rate=3e-3, held_out=0.1),
    ),
    Architecture(),
)
"""Three phases: a chart of the manifold of cells; latents and Ŵ by the likelihood of its coordinates and the density
ratios between environments; then the decoder for these latents."""

_QUICK = Preset(
    tuple(replace(phase, steps=steps, cells=64) for phase, steps in zip(DEFAULT.phases, (200, 400, 300), strict=True)),
    Architecture(width=64),
)
"""The default in a few seconds: fewer and smaller steps of narrower networks."""

MARGINAL = Preset(
    (
        Phase(
            "marginal",
            1500,
            {"marginal_likelihood": 1.0},
            ("encoder", "shift", "decoder", "noise"),
            cells=128,
            learning_rate=5e-3,
            held_out=0.1,
            whiten=True,
        ),
    ),
    Architecture(width=96),
)
"""One phase, for cells that are measured with noise: encoder, decoder, Ŵ and the noise by marginal likelihood."""

MARGINAL_SCREEN = Preset(
    (
        replace(
            MARGINAL.phases[0],
            steps=6000,
            cells=192,
            sampling="cells",
            learning_rate=3e-3,
        ),
    ),
    Architecture(width=192),
)
"""The same for screens of many conditions: every step takes cells of all of them together, as many as there are."""

LATENTS = Preset(DEFAULT.phases[:-1], DEFAULT.architecture)
"""The part of the default that learns encoder and Ŵ."""

_DIRECT = Architecture(charted=False)
"""An encoder that is one MLP on x."""

_AS_PUBLISHED = Phase(
    "published",
    100_000,
    {"all_pairs": 10.0, "reconstruction": 0.1, "pooled_prior": 1e-4, "sparsity": 1e-4},
    cells=128,
    learning_rate=1e-4,
    clip=1e9,
    schedule="constant",
    sampling="cells",
)

_PUBLISHED = Preset(
    (_AS_PUBLISHED,),
    Architecture(
        activation="elu",
        skip=False,
        widths=(512, 256, 256, 128),
        n_noise=27,
        noise_scale=0.1,
        output="softplus",
        charted=False,
    ),
)
"""As published for the screen of Norman et al. (2019): all pairs of 128 individual cells, ELU, Adam at 1e-4.

The reconstruction does not move the encoder. Steps stand for 1,500 epochs of some 85,000 cells, cut to a tenth.
"""

_PUBLISHED_SMALL = Preset(
    (
        replace(
            _AS_PUBLISHED,
            steps=6000,
            weights={"all_pairs": 1.0, "reconstruction": 0.1, "pooled_prior": 1.0},
            cells=64,
            learning_rate=3e-3,
            schedule="cosine",
        ),
    ),
    Architecture(activation="elu", skip=False, charted=False),
)
"""The published loss at the size of a toy, two layers of 128 units. Weights, rate and schedule were chosen among eight
on two worlds of two latents: with the prior at 0.1 the Gram error was 0.9, with even weights or a constant rate as bad.
"""

_REPRESENT = Preset(
    (
        Phase(
            "represent",
            1500,
            {"density_ratio": 1.0, "prior": 2.0},
            ("encoder", "shift"),
            cells=256,
            learning_rate=1e-2,
        ),
    ),
    _DIRECT,
)
"""Encoder and Ŵ from the log-linear density ratios alone, for an encoder without a chart; no decoder."""

_JOINT = Preset(
    (Phase("joint", 2000, {"perturbation": 1.0, "autoencoding": 1.0, "prior": 0.1}, cells=64, learning_rate=1e-3),),
    _DIRECT,
)
"""Encoder, Ŵ and decoder together, by energy scores alone, environment by environment."""

_SCREEN = Preset(
    (
        Phase(
            "refine",
            400,
            {"density_ratio": 1.0, "moments": 1.0},
            ("encoder", "shift"),
            cells=64,
            learning_rate=1e-3,
            decay=0.1,
            whiten=True,
        ),
        Phase("decode", 700, {"reconstruction": 1.0}, ("decoder",), cells=32, learning_rate=3e-3),
    ),
    Architecture(own_noise=True, output="softplus"),
)
"""For screens of hundreds of conditions and a thousand genes in counts, log-normalised or not: x ≥ 0.

Counts are noise gene by gene, and a decoder without such noise lacks most of the spread of cells: even the true
conditional means lie farther from them than any baseline. The chart stays at the leading principal components, where it
begins: beside noise as large, training it costs more of the latents than it gives. There is no likelihood, which asks
for noiseless cells on a manifold of d_Z dimensions and costs a Jacobian for every cell; moments fix the gauge. Give
`n_latents`: the rank of the shifts of a hundred perturbations says little about the dimension of cells.
"""

PRESETS: dict[str, Preset] = {
    "staged": DEFAULT,
    "quick": _QUICK,
    "marginal": MARGINAL,
    "marginal_screen": MARGINAL_SCREEN,
    "screen": _SCREEN,
    "represent": _REPRESENT,
    "joint": _JOINT,
    "published": _PUBLISHED,
    "published_small": _PUBLISHED_SMALL,
}
"""By name, as the command line (``--plan``) and declarations (``plan``) know them."""
