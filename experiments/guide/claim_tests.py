"""Property tests of a claim about identifiability: one that is true, and one that falls to a world of two latents.

With z ~ N(W l, I) and x = f(z), the latents Q z, the matrix Q W and the map f ∘ Qᵀ give the very same laws of x, for
any orthogonal Q. A claim *x determines s(W)* is therefore a law: s(Q W) = s(W) in every world. `hypothesis` looks for a
world where it is not, and shrinks it to the smallest, which is often the proof.
"""

import numpy as np
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from pdae_sim import LinearLatentModel, Simulator, energy_distance, strategies


@st.composite
def indistinguishable(draw: st.DrawFn) -> tuple[LinearLatentModel, np.ndarray]:
    """A latent model of any size, and an orthogonal Q that turns its first two latents; shrinks to no effect."""
    turn, latent = draw(strategies.orthogonal_matrices(2)), draw(strategies.latent_models(n_perturbations=2))
    Q, both = np.eye(latent.n_latents), min(latent.n_latents, 2)
    Q[:both, :both] = turn if both == 2 else -1.0
    return latent, Q


def effects(latent: LinearLatentModel) -> np.ndarray:
    """W (d_Z, K) in units in which the base latents are N(0, I)."""
    return np.linalg.solve(np.linalg.cholesky(latent.covariance), latent.perturbation_matrix)


def n_targets(W: np.ndarray) -> int:
    """How many latents the first perturbation moves."""
    return int((np.abs(W[:, 0]) > 1e-9).sum())


def guide(examples: int = 100) -> None:
    # ## A claim that holds
    # *The laws of x determine the Gram matrix WᵀW: how large effects are and at which angles.* No world contradicts it.
    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(indistinguishable())
    def gram_matrices_agree(pair):
        W, Q = effects(pair[0]), pair[1]
        assert np.allclose(W.T @ W, (Q @ W).T @ (Q @ W), atol=1e-9 * (1 + np.abs(W).max() ** 2))

    gram_matrices_agree()
    print("no counterexample to the Gram matrix")

    # ## A claim that does not
    # *They determine how many latents a perturbation moves.* In one latent that is so, for Q is a sign; the smallest
    # world where it is not has two latents, independent, one of which the first perturbation moves.
    def contradicts(pair: tuple) -> bool:
        return n_targets(effects(pair[0])) != n_targets(pair[1] @ effects(pair[0]))

    search = settings(max_examples=5_000, derandomize=True, database=None, phases=[Phase.generate, Phase.shrink])
    latent, Q = find(indistinguishable(), contradicts, settings=search)
    print(f"{latent.n_latents} latents; W[:, 0] = {effects(latent)[:, 0]}, and Q W[:, 0] = {Q @ effects(latent)[:, 0]}")

    # ## Seen in cells
    # Fresh cells of both worlds under A and B together, through f and through f ∘ Qᵀ: no test could tell them apart.
    d, W = latent.n_latents, effects(latent)
    one, other = (LinearLatentModel(np.zeros((d, d)), np.ones(d), matrix) for matrix in (W, Q @ W))
    f = Simulator.random(one, n_observed=d + 1, rng=0).mixing
    z, turned = (
        model.draw(2000, [1, 1], rng=np.random.default_rng(seed))[1] for seed, model in enumerate((one, other))
    )
    print(f"energy distance of their cells: {energy_distance(f(z), f(turned @ Q), unbiased=True):.4f}")


if __name__ == "__main__":
    guide()
