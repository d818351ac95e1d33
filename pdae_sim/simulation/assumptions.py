"""Which assumptions of the theory hold in a world, by the names that the theory uses."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Assumptions:
    """One flag per assumption; the words are those of MODEL section 2.

    Args:
        additive: z = z_base + W l, linear in the dose.
        gaussian: z_base is Gaussian.
        shared_covariance: z has one covariance in all environments.
        noiseless: x = f(z), or a fixed transform of it.
        injective: f is injective, and so is each transform of it, on all of its domain.
        smooth: f is twice continuously differentiable.
        diverse: rank(W L) = d_Z; None where no training labels were given.
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


EXTRAPOLATION = ("additive", "gaussian", "shared_covariance", "noiseless", "injective")
"""What claim 2.4 (and 2.7) needs beside a label in the span; neither diversity nor smoothness."""
