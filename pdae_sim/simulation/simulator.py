"""The simulator: a latent model, a mixing and an observation law, sampled label by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import InputError, whole
from pdae_sim.data import PerturbationData, Simulation, Truth
from pdae_sim.labels import LabelSpace
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.mixings import Mixing, mixing_from_state, mixing_state, random_mixing
from pdae_sim.simulation.observation import Noiseless, Observation, observation_from_state, observation_state


@dataclass(frozen=True, eq=False)
class Simulator:
    """x = f(z) (or f(z) with noise), z = z_base + W l.

    Args:
        latent: The linear latent causal model.
        mixing: f, a `Mixing`.
        observation: The law of x given f(z).
        names: The K elementary perturbations; A, B, C, … (P0, P1, … beyond 26) when absent.

    Example:
        >>> latent = LinearLatentModel.random(n_latents=2, n_perturbations=3, rng=0)
        >>> simulator = Simulator.random(latent, n_observed=10, rng=0)
        >>> simulation = simulator.sample(["ctrl", "A", "A+B"], 50, rng=0)
        >>> bool(np.allclose(simulator.mixing.inverse(simulation.data.x), simulation.truth.z))
        True
    """

    latent: LinearLatentModel
    mixing: Mixing
    observation: Observation = field(default_factory=Noiseless)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        K = self.latent.n_perturbations
        names = tuple(self.names) or default_names(K)
        if len(names) != K:
            raise InputError(f"names must name all {K} perturbations; received {len(names)}")
        object.__setattr__(self, "names", LabelSpace(names).names)

    @classmethod
    def random(cls, latent: LinearLatentModel, *, n_observed: int, rng: object = None, **fields: object) -> Simulator:
        """A simulator with a random mixing of the given latent model.

        Args:
            latent: The latent model.
            n_observed: d_X ≥ d_Z.
            rng: Seed or generator.
            fields: `observation` and `names`; the rest goes to `random_mixing`.
        """
        own = {name: fields.pop(name) for name in ("observation", "names") if name in fields}
        rng = _random.stream(_random.seed_sequence(rng), "mixing")
        return cls(latent, random_mixing(latent.n_latents, n_observed, rng=rng, **fields), **own)

    @property
    def space(self) -> LabelSpace:
        """The label space of the names."""
        return LabelSpace(self.names)

    def sample(
        self,
        labels: Sequence | np.ndarray,
        n: int | Sequence[int],
        *,
        rng: object = None,
        held_out: Sequence[bool] | None = None,
    ) -> Simulation:
        """Samples under each label, with the truth.

        Each environment draws from a stream named by its label: adding or reordering environments, or drawing more
        cells, leaves the cells already drawn as they were.

        Args:
            labels: (E, K) doses, or E condition strings.
            n: Cells per environment, one number or one per environment.
            rng: Seed or generator.
            held_out: (E,) booleans, the environments to mark as test.
        """
        labels = np.array([self.space.label(label) for label in labels]).reshape(len(labels), len(self.names))
        counts = np.broadcast_to(n, len(labels))
        root = _random.seed_sequence(rng)
        parts = [self._draw(label, whole("n", int(count)), root) for label, count in zip(labels, counts, strict=True)]
        base, z, x = (np.concatenate(part) for part in zip(*parts, strict=True))
        environment = np.repeat(np.arange(len(labels)), counts)
        data = PerturbationData(x, labels, environment, self.names, held_out=held_out)
        truth = Truth(z, base, self.latent.perturbation_matrix, self.latent.covariance)
        return Simulation(data, truth, simulator=self.state(), seed=str(root.entropy))

    def _draw(self, label: np.ndarray, n: int, root: np.random.SeedSequence) -> tuple[np.ndarray, ...]:
        key = _label_key(label)
        base = self.latent.sample_base(n, rng=_random.stream(root, "environment", key, "base"))
        z = base + self.latent.perturbation_matrix @ label
        noise = _random.stream(root, "environment", key, "observation")
        return base, z, self.observation.sample(self.mixing(z), rng=noise)

    def state(self) -> dict:
        """Every parameter as plain JSON values; `from_state` rebuilds the same simulator."""
        return {
            "latent": {k: getattr(self.latent, k).tolist() for k in ("adjacency", "noise_variances", "targets")},
            "mixing": mixing_state(self.mixing),
            "observation": observation_state(self.observation),
            "names": list(self.names),
        }

    @classmethod
    def from_state(cls, state: dict) -> Simulator:
        """The simulator that `state` described, for instance `Simulation.read(path).simulator`."""
        if not state:
            raise InputError("the file holds no simulator; only files written by a simulation can be sampled again")
        return cls(
            LinearLatentModel(**state["latent"]),
            mixing_from_state(state["mixing"]),
            observation_from_state(state["observation"]),
            tuple(state["names"]),
        )


def default_names(n_perturbations: int) -> tuple[str, ...]:
    """A, B, C, … for up to 26 perturbations, else P0, P1, …"""
    if n_perturbations <= 26:
        return tuple(chr(ord("A") + k) for k in range(n_perturbations))
    return tuple(f"P{k}" for k in range(n_perturbations))


def _label_key(label: np.ndarray) -> str:
    """A name for a label that does not change when further perturbations are appended."""
    return ",".join(f"{k}:{float(dose).hex()}" for k, dose in enumerate(label) if dose)
