"""All claims, in the order of their numbers."""

import difflib
from collections.abc import Sequence

from theory import converse, density_ratio, extrapolation, identifiability, latent_causal
from theory.record import Claim

CLAIMS: tuple[Claim, ...] = (
    latent_causal.CLAIM,
    density_ratio.CLAIM,
    identifiability.CLAIM,
    extrapolation.CLAIM,
    converse.CLAIM,
)


def select(names: Sequence[str] = ()) -> tuple[Claim, ...]:
    """The claims with these names or numbers, in their own order; all of them for no names.

    Raises:
        ValueError: if a name is unknown, with the names nearest to it.
    """
    for name in names:
        if not any(name in (claim.name, claim.number) for claim in CLAIMS):
            raise ValueError(_unknown(name))
    return tuple(claim for claim in CLAIMS if not names or {claim.name, claim.number} & set(names))


def _unknown(name: str) -> str:
    known = [claim.name for claim in CLAIMS]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known claims: {', '.join(known)}"
    return f"unknown claim {name!r}; {hint}"
