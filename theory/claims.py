"""All claims, in the order of their numbers."""

import difflib
from collections.abc import Sequence

from theory.causal import co_targets, graph_targets, graphs, latent_causal
from theory.energy import distance as energy
from theory.energy import gaussian, maps, worth
from theory.engine.record import Claim
from theory.identifiability import (
    affine,
    affinity,
    bounds,
    changing_spread,
    contexts,
    converse,
    counts,
    density_ratio,
    depth,
    diversity,
    diversity_tight,
    error_propagation,
    extrapolation,
    free_noise,
    gram_law,
    gram_matrix,
    jacobian,
    known_noise,
    limits,
    lossy_noise,
    noise_level,
    orthogonal,
)
from theory.prediction import (
    disjoint_mechanisms,
    efficiency,
    escaping,
    lifted,
    minimax,
    noise_gain,
    only_gaussian,
    posterior_variance,
    product_formula,
    support,
    unknown_fields,
    unknown_mixing,
    verdicts,
)
from theory.training import classifier, classifier_form, loss, loss_batches, loss_within

CLAIMS: tuple[Claim, ...] = (
    latent_causal.CLAIM,
    graphs.CLAIM,
    graph_targets.CLAIM,
    co_targets.CLAIM,
    density_ratio.CLAIM,
    affine.CLAIM,
    jacobian.CLAIM,
    orthogonal.CLAIM,
    extrapolation.CLAIM,
    error_propagation.CLAIM,
    gram_matrix.CLAIM,
    gram_law.CLAIM,
    converse.CLAIM,
    product_formula.CLAIM,
    disjoint_mechanisms.CLAIM,
    escaping.CLAIM,
    only_gaussian.CLAIM,
    diversity.CLAIM,
    diversity_tight.CLAIM,
    support.CLAIM,
    *verdicts.CLAIMS,
    *noise_gain.CLAIMS,
    efficiency.CLAIM,
    minimax.CLAIM,
    unknown_mixing.CLAIM,
    unknown_fields.CLAIM,
    known_noise.CLAIM,
    noise_level.CLAIM,
    free_noise.CLAIM,
    *lossy_noise.CLAIMS,
    *counts.CLAIMS,
    depth.CLAIM,
    *posterior_variance.CLAIMS,
    affinity.CLAIM,
    *limits.CLAIMS,
    lifted.CLAIM,
    bounds.CLAIM,
    contexts.CLAIM,
    changing_spread.CLAIM,
    energy.CLAIM,
    maps.CLAIM,
    worth.CLAIM,
    gaussian.CLAIM,
    loss.CLAIM,
    loss_within.CLAIM,
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
