"""Mixings f from latents to noiseless observations, injective ones with an exact inverse on their image."""

from pdae_sim.simulation.mixings.affine import Affine, Orthonormal
from pdae_sim.simulation.mixings.composition import LAYERS, Mixing
from pdae_sim.simulation.mixings.coupling import AffineCoupling
from pdae_sim.simulation.mixings.difficulty import condition_numbers, linear_r2, reference_latents
from pdae_sim.simulation.mixings.draws import ACTIVATIONS, FAMILIES
from pdae_sim.simulation.mixings.embeddings import Curved
from pdae_sim.simulation.mixings.families import EMBEDDINGS, random_mixing
from pdae_sim.simulation.mixings.folding import Fold, Periodic
from pdae_sim.simulation.mixings.layer import Layer
from pdae_sim.simulation.mixings.monotone import LinearTanh, SinhArcsinh, SmoothLeaky
from pdae_sim.simulation.mixings.polynomial import QuadraticShear
from pdae_sim.simulation.mixings.splines import Spline

__all__ = [
    "ACTIVATIONS",
    "EMBEDDINGS",
    "FAMILIES",
    "LAYERS",
    "Affine",
    "AffineCoupling",
    "Curved",
    "Fold",
    "Layer",
    "LinearTanh",
    "Mixing",
    "Orthonormal",
    "Periodic",
    "QuadraticShear",
    "SinhArcsinh",
    "SmoothLeaky",
    "Spline",
    "condition_numbers",
    "linear_r2",
    "random_mixing",
    "reference_latents",
]
