"""The simulator: a latent model, a mixing and an observation law, sampled label by label, with its exact laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers, shown
from pdae_sim._checks import matrix, whole
from pdae_sim._matrices import freeze
from pdae_sim.data import PerturbationData, Simulation, Truth
from pdae_sim.errors import InputError
from pdae_sim.labels import Condition, LabelSpace
from pdae_sim.simulation._blocks import blocks, chunks, run_in_threads
from pdae_sim.simulation._oracles import TrueVerdict, true_verdicts
from pdae_sim.simulation.assumptions import Assumptions
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.mixings import Mixing, random_mixing
from pdae_sim.simulation.observation import OBSERVATIONS, Noiseless, Observation

_MOST_CELLS = 2**31
_Cells = int | Sequence[int] | np.ndarray


@dataclass(frozen=True, eq=False)
class Simulator:
    """A world x = f(z) (or f(z) with noise), z = z_base + W l (or a departure), with its laws in closed form.

    Args:
        latent: The linear latent causal model.
        mixing: f, a `Mixing`.
        observation: The law of x given f(z).
        names: The K elementary perturbations; A, B, C, … (P0, P1, … beyond 26) when absent.

    Example:
        >>> latent = LinearLatentModel.random(n_latents=2, n_perturbations=3, rng=0)
        >>> simulator = Simulator.random(latent, n_observed=10, rng=0)
        >>> simulation = simulator.sample(["ctrl", "A", "A+B"], 50, rng=0)
        >>> bool(np.allclose(simulator.encode(simulation.data.x), simulation.truth.z))
        True
    """

    latent: LinearLatentModel
    mixing: Mixing
    observation: Observation = field(default_factory=Noiseless)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        K = self.latent.n_perturbations
        names = tuple(self.names) or LabelSpace.lettered(K).names
        if len(names) != K:
            raise InputError(f"names must name all {K} perturbations; received {len(names)}")
        if self.mixing.n_latents not in (None, self.latent.n_latents):
            raise InputError(
                f"mixing takes {self.mixing.n_latents} latents where the model has {self.latent.n_latents}"
            )
        object.__setattr__(self, "names", LabelSpace(names).names)

    @classmethod
    @checked_numbers
    def random(
        cls, latent: LinearLatentModel, *, n_observed: int, rng: _random.SeedLike = None, **fields: Any
    ) -> Simulator:
        """A simulator with a random mixing of the given latent model.

        Args:
            latent: The latent model.
            n_observed: d_X ≥ d_Z.
            rng: Seed or generator.
            fields: `observation` and `names`; the rest goes to `random_mixing`, whose difficulty is measured over
                Gaussian latents with the covariance of z_base, whatever its law: the law of the noises changes no f.
        """
        own = {name: fields.pop(name) for name in ("observation", "names") if name in fields}
        rng = _random.stream(_random.seed_sequence(rng), "mixing")
        arguments = {"covariance": latent.covariance, **fields}
        return cls(latent, random_mixing(latent.n_latents, n_observed, rng=rng, **arguments), **own)

    @property
    def space(self) -> LabelSpace:
        """The label space of the names."""
        return LabelSpace(self.names)

    @property
    def n_observed(self) -> int:
        """d_X."""
        return self.mixing(np.zeros((1, self.latent.n_latents))).shape[1]

    def labels(self, conditions: Sequence[Condition] | np.ndarray) -> np.ndarray:
        """(E, K) doses of E condition strings or labels."""
        if isinstance(conditions, str):
            raise InputError(f"conditions must be several, in a list; received {conditions!r}, write [{conditions!r}]")
        return np.array([self.space.label(c) for c in conditions]).reshape(len(conditions), len(self.names))

    @checked_numbers
    def sample(
        self,
        labels: Sequence[Condition] | np.ndarray,
        n: _Cells,
        *,
        rng: _random.SeedLike = None,
        held_out: Sequence[bool] | np.ndarray | None = None,
    ) -> Simulation:
        """Samples under each label, with the truth.

        Each environment draws from streams named by its label, in blocks of a fixed number of cells: adding or
        reordering environments, drawing more cells, or using more threads, leaves the cells already drawn as they were
        (the products of matrices up to rounding).

        Args:
            labels: (E, K) doses, or E condition strings.
            n: Cells per environment, one number or one per environment.
            rng: Seed or generator.
            held_out: (E,) booleans, the environments to mark as test.
        """
        labels, root = self.labels(labels), _random.seed_sequence(rng)
        counts = self._counts(n, len(labels))
        d, p, total = self.latent.n_latents, self.n_observed, sum(counts)
        base, z, x = np.empty((total, d)), np.empty((total, d)), np.empty((total, p))

        def fill(block: tuple[int, int, slice]) -> None:
            environment, number, rows = block
            label = labels[environment]
            path = (root, "environment", _label_key(label), number)
            rng, streams = _random.stream(*path, "base"), _random.Streams(*path, "observation")
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below, with its place
                for part in chunks(rows, p):
                    base[part], z[part] = self.latent.draw(part.stop - part.start, label, rng=rng)
                    x[part] = self.observation.sample(self.mixing(z[part]), streams=streams)

        run_in_threads(fill, list(blocks(counts)), total * p)
        data = PerturbationData(
            freeze(x), labels, np.repeat(np.arange(len(labels)), counts), self.names, held_out=held_out
        )
        truth = Truth(z, base, self.latent.perturbation_matrix, self.latent.covariance)
        return Simulation(data, truth, simulator=self.state(), seed=_random.written(root))

    @staticmethod
    def _counts(n: _Cells, n_environments: int) -> list[int]:
        single = not isinstance(n, Sequence) and not getattr(n, "shape", None)
        each = [n] * n_environments if single else list(cast(Sequence, n))
        if len(each) != n_environments:
            raise InputError(f"n must be a number, or one per environment ({n_environments}); received {len(each)}")
        counts = [whole("n", count) for count in each]
        if sum(counts) > _MOST_CELLS:
            raise InputError(f"n must be {_MOST_CELLS:,} cells at most in all; received {shown(n)}")
        return counts

    @checked_numbers
    def encode(self, x: np.ndarray) -> np.ndarray:
        """z = f⁻¹(x) (n, d_Z), exact on the image of f."""
        return self.mixing.inverse(matrix("x", x, columns=self.n_observed))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """x = f(z) (n, d_X), before any observation noise."""
        return self.mixing(matrix("z", z, columns=self.latent.n_latents))

    def mean(self, condition: Condition) -> np.ndarray:
        """E z (d_Z,) under a condition."""
        return self.latent.mean(self.space.label(condition))

    def covariance(self, condition: Condition) -> np.ndarray:
        """Cov z (d_Z, d_Z) under a condition."""
        return self.latent.covariance_under(self.space.label(condition))

    def log_density(self, x: np.ndarray, condition: Condition) -> np.ndarray:
        """log p(x | l) = log p_z(f⁻¹(x) | l) − ½ log det JᵀJ (n,), with respect to volume on the image of f.

        Args:
            x: (n, d_X) points in the image of f; a point off it is answered for the point of the image that
                `encode` takes it to.
            condition: A label or condition string.

        Raises:
            InputError: If there is observation noise, f is not injective, or the latent law has no density.
        """
        z = self._latents_of(x)
        return self.latent.log_density(z, self.space.label(condition)) - self.mixing.log_volume(z)

    def log_density_ratio(self, x: np.ndarray, condition: Condition, reference: Condition = "ctrl") -> np.ndarray:
        """log p(x | l) − log p(x | l_0) (n,); the volume of f cancels (theory, claim 2.1).

        Args:
            x: (n, d_X) points in the image of f.
            condition: l.
            reference: l_0.
        """
        z = self._latents_of(x)
        top, bottom = (self.latent.log_density(z, self.space.label(c)) for c in (condition, reference))
        return top - bottom

    def _latents_of(self, x: np.ndarray) -> np.ndarray:
        if not isinstance(self.observation, Noiseless):
            kind = OBSERVATIONS.state(self.observation)["kind"]
            raise InputError(f"x has no closed-form density under observation {kind!r}; use observation 'none'")
        return self.encode(x)

    def assumptions(self, train: Sequence[Condition] | np.ndarray | None = None) -> Assumptions:
        """Which assumptions of the theory hold.

        Args:
            train: Training labels; without them diversity is not judged.

        Raises:
            InputError: If there are none, or one is unknown.
        """
        if train is not None:
            _some(train)
        return Assumptions.of_world(
            self.latent.breaks,
            self.mixing.breaks,
            self.observation,
            n_latents=len(self.latent.adjacency),
            n_observed=self.mixing.n_observed or len(self.latent.adjacency),
            diverse=None if train is None else self.latent.diverse(self.labels(train)),
        )

    def verdicts(
        self,
        test: Sequence[Condition] | np.ndarray,
        train: Sequence[Condition] | np.ndarray,
        counts: _Cells,
    ) -> list[TrueVerdict]:
        """The truth about each test label: in the span or not, supported or not.

        Args:
            test: T labels or condition strings.
            train: E labels or condition strings.
            counts: Training cells, one number or one per environment.
        """
        _some(train)
        cells = self._counts(counts, len(train))
        return true_verdicts(
            self.latent, self._exact(train), self._exact(test), cells, self.assumptions(), self.observation.recovery
        )

    def _exact(self, conditions: Sequence[Condition] | np.ndarray) -> np.ndarray:
        """Labels (E, K) as objects, the doses of condition strings as Fractions."""
        rows = [self.space.exact(c) if isinstance(c, str) else self.space.label(c) for c in conditions]
        return np.array(rows, dtype=object).reshape(len(rows), len(self.names))

    def state(self) -> dict[str, Any]:
        """Every parameter as plain values and arrays; `from_state` rebuilds the same simulator."""
        return {
            "latent": self.latent.state(),
            "mixing": self.mixing.state(),
            "observation": OBSERVATIONS.state(self.observation),
            "names": list(self.names),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Simulator:
        """The simulator that `state` described, for instance `Simulation.read(path).simulator`."""
        if not state:
            raise InputError("the file holds no simulator; only files written by a simulation can be sampled again")
        return cls(
            LinearLatentModel.from_state(state["latent"]),
            Mixing.from_state(state["mixing"]),
            OBSERVATIONS.from_state(state["observation"]),
            tuple(state["names"]),
        )


def _label_key(label: np.ndarray) -> str:
    """A name for a label that does not change when further perturbations are appended."""
    return ",".join(f"{k}:{float(dose).hex()}" for k, dose in enumerate(label) if dose)


def _some(train: Sequence[Condition] | np.ndarray) -> None:
    if not len(train):
        raise InputError("train must hold a condition at least; received none")
