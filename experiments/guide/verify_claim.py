"""Verify an identifiability claim: its proof, an experiment, and what its converse looks like.

Claim 2.3: if base latents are N(0, I), f is injective and noiseless and the training shifts have rank d_Z, then whoever
fits every training condition has the latents up to an orthogonal map Q, and Ŵ L = Q W L. Claim 2.6 is the converse for
extrapolation: for a label outside the span there is a second model that fits as well and predicts something else.
"""

import numpy as np

from pdae_sim import PDAE, align, check_span, energy_distance
from pdae_sim.estimation import DEFAULT
from pdae_sim.simulation import second_simulator, world
from theory.claims import select
from theory.engine.checker import verify


def guide(cells: int = 2000, steps: int = 1000) -> None:
    # ## The proof
    # Every claim is a record: steps that sympy checks, a check on random instances, and for each assumption a
    # counterexample without it. `python -m theory check` runs them all.
    for claim in select(["2.3", "2.6"]):
        verdict = verify(claim)
        print(f"{claim.number} {claim.name}: {len(verdict.outcomes)} parts,", "all pass" if verdict.passed else "FAIL")

    # ## The experiment
    # Two fits from different seeds, of the same cells. Each has latents of its own; an orthogonal map takes one to the
    # other, and both to the truth.
    simulation = world("three-singles", (f"design.cells={cells}",)).simulate()
    first, second = (
        PDAE(2, phases=DEFAULT.shortened(steps).phases, random_state=seed).fit(simulation.data) for seed in (0, 1)
    )
    x, truth = simulation.data.x, simulation.truth.isotropic()
    for name, other in (("one another", second.encode(x)), ("the truth", truth.z)):
        alignment = align(first.encode(x), other)
        print(f"to {name}: orthogonal R² {alignment.orthogonal_r2:.3f}, affine R² {alignment.affine_r2:.3f}")

    # What has no arbitrary rotation in it are lengths and angles of effects: the Gram matrix (W L)ᵀ (W L).
    effects = {"fitted": first.perturbation_matrix_, "true": truth.perturbation_matrix}
    for name, W in effects.items():
        print(f"{name} Gram matrix", np.round(W.T @ W, 2).tolist())

    # ## The converse
    # With A and B measured alone, A+C is not in the span. The witness v gives W' = W + u vᵀ: the same law of cells at
    # every training condition, another one at A+C.
    simulator = world("demo").simulator()
    train = ["ctrl", "A", "B"]
    labels = [simulator.space.vector(condition) for condition in (*train, "A+C")]
    (certificate,) = check_span(labels[:3], labels[3:])
    other = second_simulator(simulator, [1.0, -1.0], witness=certificate.witness, train=train, test="A+C")
    for condition in (*train, "A+C"):
        x, y = (model.sample([condition], cells, rng=seed).data.x for seed, model in enumerate((simulator, other)))
        print(f"{condition}: energy distance of the two models {energy_distance(x, y, unbiased=True):.3f}")


if __name__ == "__main__":
    guide()
