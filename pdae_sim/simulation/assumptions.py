"""Which assumptions of the theory hold in a world, by the names that the theory uses."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Assumptions:
    """One flag per assumption.

    Args:
        additive: z = z_base + W l, linear in the dose.
        gaussian: z_base is Gaussian.
        shared_covariance: z has one covariance in all environments.
        noiseless: x = f(z), or a fixed transform of it.
        injective: f is injective, and so is each transform of it, on all of its domain.
        smooth: f is twice continuously differentiable.
        diverse: rank(W L) = d_Z, with the shifts l_e − l_0 of the training labels as the columns of L; None without
            training labels.

    Example:
        >>> Assumptions.without("noiseless").broken
        ('noiseless',)
    """

    additive: bool
    gaussian: bool
    shared_covariance: bool
    noiseless: bool
    injective: bool
    smooth: bool
    diverse: bool | None = None

    @classmethod
    def without(cls, *broken: str, diverse: bool | None = None) -> Assumptions:
        """All hold but those named."""
        names = [name for name in cls.__dataclass_fields__ if name != "diverse"]
        assert set(broken) <= set(names), broken
        return cls(**{name: name not in broken for name in names}, diverse=diverse)

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
        return self.hold("additive", "gaussian", "shared_covariance", "noiseless", "injective")
