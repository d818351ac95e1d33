"""Which assumptions of the theory hold in a world, by the names that the theory uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from pdae_sim.simulation.observation.chain import Observation


@dataclass(frozen=True)
class Assumptions:
    """One flag per assumption.

    Args:
        additive: z = z_base + W l, linear in the dose.
        gaussian: z_base is Gaussian.
        shared_covariance: z has one covariance in all environments.
        noiseless: x = f(z), or a fixed transform of it.
        recoverable: The laws of f(z) and of x determine each other, without noise or through noise of a known law.
        injective: f is injective, transforms of it included. After transforms that lose k directions, such as a cell's
            total, it counts as injective if d_X − k > 2 d_Z: almost every smooth f then is.
        smooth: f is twice continuously differentiable.
        diverse: rank(W L) = d_Z, with the shifts l_e − l_0 of the training labels as the columns of L; None without
            training labels.

    Example:
        >>> Assumptions.without("noiseless").broken, Assumptions.without("noiseless").extrapolation
        (('noiseless',), True)

    References:
        Theory, claims 2.11 and 2.12 for noise; Whitney (1936), Differentiable manifolds, for the number of directions.
    """

    additive: bool
    gaussian: bool
    shared_covariance: bool
    noiseless: bool
    recoverable: bool
    injective: bool
    smooth: bool
    diverse: bool | None = None

    @classmethod
    def without(cls, *broken: str, diverse: bool | None = None) -> Assumptions:
        """All hold but those named."""
        names = [name for name in cls.__dataclass_fields__ if name != "diverse"]
        assert set(broken) <= set(names), broken
        return cls(**{name: name not in broken for name in names}, diverse=diverse)

    @classmethod
    def of_world(
        cls,
        latent: Iterable[str],
        mixing: Iterable[str],
        observation: Observation,
        *,
        n_latents: int,
        n_observed: int,
        diverse: bool | None = None,
    ) -> Assumptions:
        """The assumptions that hold given what the parts of a world break.

        Args:
            latent: What the latent model breaks.
            mixing: What the mixing breaks.
            observation: The law of x given f(z).
            n_latents: d_Z.
            n_observed: d_X.
            diverse: As above.
        """
        lost = set(observation.breaks)
        if n_observed - observation.lost > 2 * n_latents:
            lost.discard("injective")
        return cls.without(*{*latent, *mixing, *lost}, diverse=diverse)

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the assumptions known to fail."""
        return tuple(name for name, holds in asdict(self).items() if holds is False)

    def hold(self, *names: str) -> bool:
        """Whether all of the named assumptions are known to hold; without names, whether none is known to fail."""
        return all(asdict(self)[name] is True for name in names) if names else not self.broken

    @property
    def extrapolation(self) -> bool:
        """Whether a label in the span is identified (theory, claims 2.4 and 2.7), diverse and smooth or not."""
        return self.hold("additive", "gaussian", "shared_covariance", "recoverable", "injective")
