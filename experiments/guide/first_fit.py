"""First fit: predict a combination that nobody measured.

Perturbations act as additive shifts in latent space, z = z_base + W l, and what is measured is x = f(z) with f unknown
and curved. We simulate such a world, show cells of `ctrl`, `A` and `B` to a model, and ask for `A+B`.
"""

from pdae_sim import PDAE, LinearLatentModel, Simulator, align, check_span, energy_distance
from pdae_sim.estimation import DEFAULT, Additive


def guide(cells: int = 4096, steps: int = 2000) -> None:
    # ## A world whose truth is known
    # Two latents under a random graph, three perturbations, ten observed coordinates.
    latent = LinearLatentModel.random(n_latents=2, n_perturbations=3, rng=0)
    simulator = Simulator.random(latent, n_observed=10, rng=0)
    simulation = simulator.sample(["ctrl", "A", "B"], cells, rng=0)
    print(dict(zip(simulation.data.conditions, simulation.data.counts.tolist(), strict=True)))

    # `simulation.data` is what an estimator may see; `simulation.truth` lies apart from it.
    #
    # ## Is the answer determined at all?
    # Before any model is fitted: A+B is in the span of the training labels, and A+C is not. Each verdict comes with
    # its proof: coefficients α, or a witness v that is orthogonal to every training shift.
    names, conditions = simulation.data.names, simulation.data.conditions
    for condition in ("A+B", "A+C"):
        (certificate,) = check_span(simulation.data.labels, [simulation.data.space.vector(condition)])
        print(certificate.in_words(condition, conditions, names))

    # ## Fit, and sample the unseen condition
    # The fit sees data and never truth. The default plan has three phases; here each takes so many `steps`.
    model = PDAE(n_latents=2, phases=DEFAULT.shortened(steps).phases, random_state=0).fit(simulation.data)
    predicted = model.sample("A+B", cells, rng=0)

    # ## How good is it?
    # The simulator draws the true cells of A+B. The energy distance is 0 only between equal laws; beside it stands the
    # rival that adds up mean shifts in the space of cells, which f bends.
    true = simulator.sample(["A+B"], cells, rng=1).data.x
    rival = Additive().fit(simulation.data).sample("A+B", cells, rng=0)
    print(f"PDAE {energy_distance(predicted, true):.4f}, additive means {energy_distance(rival, true):.4f}")

    # ## Were the latents recovered?
    # Up to a rotation, which is all that data can tell (theory, claim 2.3): R² of the best orthogonal map.
    alignment = align(model.encode(simulation.data.x), simulation.truth.isotropic().z)
    print(f"orthogonal R² {alignment.orthogonal_r2:.3f}, affine R² {alignment.affine_r2:.3f}")


if __name__ == "__main__":
    guide()
