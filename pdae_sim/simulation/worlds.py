"""Named worlds: a small zoo from two latents to the size of a genome-wide screen, and one world for each violation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pdae_sim._checks import near_misses
from pdae_sim.errors import InputError
from pdae_sim.simulation.config import WorldConfig


@dataclass(frozen=True)
class _NamedWorld:
    """A configuration and how hard it is.

    Args:
        difficulty: What makes the world easy or hard, in a sentence or two.
        table: The configuration, as `WorldConfig` reads it.
    """

    difficulty: str
    table: dict[str, Any]


_PLANE: dict[str, dict[str, Any]] = {
    "latent": {
        "n_latents": 2,
        "n_perturbations": 2,
        "adjacency": [[0.0, 0.0], [0.8, 0.0]],
        "noise_variances": [1.0, 1.0],
        "targets": [[1.5, 0.0], [0.0, 1.5]],
    },
    "mixing": {"n_observed": 10},
    "design": {"train": ["ctrl", "A", "B"], "test": ["A+B"], "test_cells": 16384},
}


def _plane(difficulty: str, **changes: Any) -> _NamedWorld:
    """The world of two latents with some tables changed in part."""
    tables = {name: {**_PLANE.get(name, {}), **t} if isinstance(t, dict) else t for name, t in changes.items()}
    return _NamedWorld(difficulty, {**_PLANE, **tables})


WORLDS: dict[str, _NamedWorld] = {
    "two-latents": _plane("The easiest: two latents, both singles measured, their double between them."),
    "demo": _plane(
        "Easy, with one condition for each verdict: A+B between the measured conditions, three doses of each far "
        "beyond them, and A+C with C never measured.",
        latent={"n_perturbations": 3, "targets": [[1.5, 0.0, 1.0], [0.0, 1.5, 1.0]]},
        mixing={"kind": "stack", "depth": 2, "activation": "tanh"},
        design={"names": ["A", "B", "C"], "test": ["A+B", "A:3+B:3", "A+C"], "cells": 4096},
    ),
    "three-singles": _NamedWorld(
        "Easy: more perturbations than latents, so that W is determined beyond what the span needs.",
        {
            "latent": {
                "n_latents": 2,
                "n_perturbations": 3,
                "base": "isotropic",
                "targets": [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]],
            },
            "mixing": {"n_observed": 10},
            "design": {"train": ["ctrl", "A", "B", "C"], "test": ["A+B", "A+B+C"], "test_cells": 16384},
        },
    ),
    "one-short": _NamedWorld(
        "Diversity d_Z − 1: the shifts span two of three latent directions, which is just enough; A+B is identified.",
        {
            "latent": {
                "n_latents": 3,
                "n_perturbations": 2,
                "base": "isotropic",
                "targets": [[1.5, 0.0], [0.0, 1.5], [0.0, 0.0]],
            },
            "mixing": {"n_observed": 3, "kind": "coupling"},
            "design": {"train": ["ctrl", "A", "B"], "test": ["A+B"], "test_cells": 16384},
        },
    ),
    "polynomial": _plane(
        "Two latents under a polynomial diffeomorphism of the plane: densities of x are exact, tails are stretched.",
        mixing={"n_observed": 2, "kind": "henon"},
    ),
    "curved": _plane(
        "Two latents on a curved surface in ten dimensions; a tenth of the variance is beyond any affine map.",
        mixing={"kind": "coupling", "embedding": "curved", "nonlinearity": 0.1, "condition": 4.0},
    ),
    "doses": _NamedWorld(
        "Four latents and six perturbations in 20 random combinations of two or three at random doses, 1,000 cells "
        "each; five more are held out.",
        {
            "latent": {"n_latents": 4, "n_perturbations": 6, "normalise": True, "shift": 1.0},
            "mixing": {"n_observed": 20, "kind": "coupling", "embedding": "curved"},
            "design": {
                "kind": "random_doses",
                "n_environments": 20,
                "n_test": 5,
                "per_environment": [2, 3],
                "cells": 1000,
                "test_cells": 8192,
            },
        },
    ),
    "planted": _NamedWorld(
        "Six perturbations seen through a design of rank three: three test labels inside the span and three outside, "
        "known by construction.",
        {
            "latent": {"n_latents": 3, "n_perturbations": 6, "normalise": True, "targets": "multi", "shift": 1.0},
            "mixing": {"n_observed": 15},
            "design": {"kind": "planted", "n_environments": 8, "rank": 3, "n_in_span": 3, "n_out_of_span": 3},
        },
    ),
    "ten-latents": _NamedWorld(
        "Middling: ten latents of a random graph, 15 singles, 50 observed coordinates; a dozen doubles held out.",
        {
            "latent": {"n_latents": 10, "n_perturbations": 15, "normalise": True, "targets": "multi"},
            "mixing": {"n_observed": 50},
            "design": {"kind": "singles_and_doubles", "n_doubles": 12, "n_held_out": 12},
        },
    ),
    "norman-like": _NamedWorld(
        "Hard, and large: the shape of the Norman et al. (2019) screen. 105 singles and 131 doubles, of which 26 are "
        "held out; 90,000 cells, some 8,000 of them control and the rest spread unevenly; 1,000 genes in counts that "
        "are normalised and log-transformed. Counts are noise, so that no claim holds exactly.",
        {
            "latent": {
                "n_latents": 20,
                "n_perturbations": 105,
                "graph": "scale_free",
                "normalise": True,
                "targets": "sparse",
                "density": 0.15,
                "shift": 1.0,
            },
            "mixing": {"n_observed": 1000, "kind": "coupling", "embedding": "curved"},
            "observation": [{"kind": "negative_binomial"}, {"kind": "log_normalise"}],
            "design": {
                "kind": "singles_and_doubles",
                "n_doubles": 131,
                "n_held_out": 26,
                "total": 90_000,
                "control_excess": 21.0,
                "spread": 0.5,
            },
        },
    ),
    "epistatic": _plane(
        "Two latents; A and B together do more, or less, than the sum of each.",
        latent={"departures": {"epistasis": 0.75}},
    ),
    "saturating": _plane(
        "Two latents; doses saturate, so that two units of A do less than twice one.",
        latent={"departures": {"saturation": 1.0}},
        design={"train": ["ctrl", "A", "B", "A:2"], "test": ["A+B", "A:3"], "test_cells": 16384},
    ),
    "hard-interventions": _plane(
        "Three latents in a chain; perturbations fix their target instead of shifting it, which leaves it no density.",
        latent={
            "n_latents": 3,
            "adjacency": [[0.0, 0.0, 0.0], [0.8, 0.0, 0.0], [0.0, 0.8, 0.0]],
            "noise_variances": [1.0, 1.0, 1.0],
            "targets": [[1.5, 0.0], [0.0, 1.5], [0.0, 0.0]],
            "departures": {"do": 1.0},
        },
    ),
    "variance-changes": _plane(
        "Two latents; perturbations scale the noise of their target as well as shifting it.",
        latent={"departures": {"variance": 0.7}},
    ),
    "mechanism-changes": _plane(
        "Two latents; perturbations cut the effect of the causes of their target as well as shifting it.",
        latent={"departures": {"mechanism": 1.5}},
    ),
    "heavy-tails": _plane(
        "Two latents with Student's t noise of five degrees of freedom.",
        latent={"noise": {"kind": "student_t", "df": 5.0}},
    ),
    "laplace": _plane("Two latents with Laplace noise.", latent={"noise": "laplace"}),
    "skewed": _plane("Two latents with centred gamma noise.", latent={"noise": "skewed"}),
    "bimodal": _plane("Two latents whose noise is a mixture of two Gaussians.", latent={"noise": "bimodal"}),
    "folded": _plane(
        "Two latents; the mixing folds the plane, so that two latents give one observation.", mixing={"kind": "folding"}
    ),
    "periodic": _plane("Two latents; one coordinate is observed through a sine.", mixing={"kind": "periodic"}),
    "splined": _plane(
        "Two latents under monotone splines, which have one continuous derivative and not two.",
        mixing={"kind": "spline"},
    ),
    "noisy": _plane(
        "Two latents and additive Gaussian noise at a signal-to-noise ratio of ten.",
        observation={"kind": "gaussian", "snr": 10.0},
    ),
    "heteroscedastic": _plane(
        "Two latents and noise that grows with the signal, at a signal-to-noise ratio of ten.",
        observation={"kind": "heteroscedastic", "snr": 10.0},
    ),
    "dropout": _plane("Two latents; a fifth of the entries reads zero.", observation={"kind": "dropout", "rate": 0.2}),
    "counts": _plane(
        "Two latents seen through negative binomial counts of 50 genes, normalised and log-transformed.",
        mixing={"n_observed": 50},
        observation=[{"kind": "negative_binomial"}, {"kind": "log_normalise"}],
    ),
    "proteins": _plane(
        "Two latents seen through eleven log-normal abundances, as centred log-ratios.",
        mixing={"n_observed": 11},
        observation=[{"kind": "log_normal"}, {"kind": "clr"}],
    ),
}


def world(name: str, overrides: tuple[str, ...] = (), *, seed: int | None = None) -> WorldConfig:
    """A named world.

    Args:
        name: One of `WORLDS`.
        overrides: ``key=value`` settings to change.
        seed: The world's seed; 0 when absent.

    Example:
        >>> world("heavy-tails", ("design.cells=100",)).breaks
        ('gaussian',)
    """
    if name not in WORLDS:
        raise InputError(f"unknown world {name!r}; {near_misses(name, WORLDS)}")
    table = WORLDS[name].table if seed is None else {**WORLDS[name].table, "seed": seed}
    return WorldConfig.parse(table, overrides)
