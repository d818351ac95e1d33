"""The perturbation loss per sample pair, as published: B individual cells, all B² source → target pairs, B³ distances.

Written from the formula, for comparison: every cell i is shifted to the environment of every cell j, x_{i→j}; the loss
of target j is mean_i ‖x_j − x_{i→j}‖ − ½ mean_{i,i'} ‖x_{i→j} − x_{i'→j}‖.
"""

from __future__ import annotations

import torch

from pdae_sim.estimation._networks import Generators, Network


def pairwise_loss(network: Network, x: torch.Tensor, labels: torch.Tensor, generators: Generators = ()) -> torch.Tensor:
    """The loss of one batch.

    Args:
        network: Encoder, decoder and Ŵ.
        x: (B, d_X) cells.
        labels: (B, K) the label of each cell.
        generators: One source of the decoder's noise, if it draws any.
    """
    B = len(x)
    shifts = network.shifts(labels[None])  # (1, B, d_Z), a bank of one
    base = network.encoder(x[None]) - shifts
    simulated = network.decoder(base[:, None] + shifts[:, :, None], generators)[0]  # (target B, source B, d_X)
    cross = torch.linalg.vector_norm(simulated - x[:, None], dim=-1)
    within = torch.cdist(simulated, simulated)
    off_diagonal = 1 - torch.eye(B)
    return (cross * off_diagonal).sum() / (B * (B - 1)) - 0.5 * within.sum() / (B * B * (B - 1))
