"""Add a world: a TOML file of your own, how hard it is, and which assumptions it breaks.

A world is a latent model, a mixing, an assay and a design. Those of `pdae-sim worlds` have names; yours is a file that
`pdae-sim simulate FILE --out cells.h5ad` reads, and that any study takes as a base.
"""

import tomllib

import numpy as np

from pdae_sim import Simulator
from pdae_sim.simulation import WorldConfig

WORLD = """
seed = 7

[latent]
n_latents = 3
n_perturbations = 4
graph = "chain"
normalise = true
targets = "multi"
departures = { epistasis = 0.5 }

[mixing]
kind = "coupling"
embedding = "curved"
n_observed = 12
condition = 8.0

[design]
names = ["KRAS", "TP53", "MYC", "EGFR"]
train = ["ctrl", "KRAS", "TP53", "MYC", "KRAS+TP53"]
test = ["KRAS+MYC", "KRAS:2", "EGFR"]
cells = 500
"""


def guide(cells: int = 500) -> None:
    # ## Read it
    # Unknown keys are refused with the nearest known one; what is left out has the defaults of the table above.
    config = WorldConfig.parse(tomllib.loads(WORLD), [f"design.cells={cells}"])

    # ## Which assumptions hold?
    # The theory asks for additive shifts, a Gaussian base, an injective f and no noise, or noise of a known law. This
    # world breaks the first on purpose: where two perturbations meet, half of an interaction is added.
    print("breaks:", *config.breaks)

    # ## What is the truth about its unseen conditions?
    for condition, verdict in config.verdicts().items():
        print(f"{condition}: {verdict.name}")

    # ## Sample it, and ask for exact laws
    # Densities, their ratios and moments are exact, for conditions that were never sampled too.
    simulation = config.simulate()
    simulator = Simulator.from_state(simulation.simulator)
    print(simulation.data.x.shape, simulation.truth.z.shape)
    x = simulator.sample(["KRAS:0.5+MYC"], 5, rng=0).data.x
    print("log density ratio to control", np.round(simulator.log_density_ratio(x, "KRAS:0.5+MYC", "ctrl"), 2))

    # ## Give it a name
    # A world that the project should keep is an entry of `WORLDS` in `pdae_sim/simulation/worlds.py`: the same table,
    # and a sentence that says what makes it hard. The tests of that module then hold it to its assumptions.


if __name__ == "__main__":
    guide()
