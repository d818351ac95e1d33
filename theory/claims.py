"""All claims, in the order of their numbers."""

import difflib
from collections.abc import Sequence

from theory import (
    affine,
    classifier,
    classifier_form,
    converse,
    density_ratio,
    disjoint_mechanisms,
    diversity,
    efficiency,
    energy,
    energy_gaussian,
    energy_maps,
    energy_worth,
    extrapolation,
    functionals,
    graph_targets,
    graphs,
    identifiability,
    jacobian,
    latent_causal,
    loss,
    loss_batches,
    loss_itself,
    noise_gain,
    product_formula,
    support,
    verdicts,
)
from theory import diversity_tight as turning
from theory.record import Claim

CLAIMS: tuple[Claim, ...] = (
    latent_causal.CLAIM,
    graphs.CLAIM,
    graph_targets.CLAIM,
    density_ratio.CLAIM,
    affine.CLAIM,
    jacobian.CLAIM,
    identifiability.CLAIM,
    extrapolation.CLAIM,
    functionals.CLAIM,
    converse.CLAIM,
    product_formula.CLAIM,
    disjoint_mechanisms.CLAIM,
    diversity.CLAIM,
    turning.CLAIM,
    support.CLAIM,
    *verdicts.CLAIMS,
    *noise_gain.CLAIMS,
    efficiency.CLAIM,
    energy.CLAIM,
    energy_maps.CLAIM,
    energy_worth.CLAIM,
    energy_gaussian.CLAIM,
    loss.CLAIM,
    loss_itself.CLAIM,
    classifier.CLAIM,
    classifier_form.CLAIM,
    loss_batches.CLAIM,
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
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known claims: {', '.join(known)}"
    return f"unknown claim {name!r}; {hint}"
