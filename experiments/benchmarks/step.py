"""One gradient step of the perturbation loss: by environment against per sample pair (B³), same network, same B cells.

Run: `python -m experiments.benchmarks.step`. Prints a Markdown table with machine and versions.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from experiments.benchmarks._table import machine, print_table
from experiments.benchmarks._timing import alternate, apart, memory
from experiments.benchmarks.pairwise import pairwise_loss
from pdae_sim.estimation._losses import Step, perturbation
from pdae_sim.estimation._networks import Network
from pdae_sim.estimation.presets import PRESETS

ENVIRONMENTS, BATCH, D_X, D_Z, ROUNDS = 4, 128, 10, 2, 8


def grouped(network: Network, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss by environment, of the same cells as (E, b, d_X): B = E b cells in a step."""
    b = len(x) // ENVIRONMENTS
    step = Step(network, x.reshape(1, ENVIRONMENTS, b, D_X), labels[None, ::b], 1.0, [torch.Generator()])
    return perturbation(step)[0]


LOSSES = {"grouped": grouped, "pairwise": pairwise_loss}


def problem() -> tuple[Network, torch.Tensor, torch.Tensor]:
    """A network and B cells of E environments, control and three singles."""
    generator = torch.Generator().manual_seed(0)
    network = Network((D_X, D_Z, 3), PRESETS["represent"].architecture, [generator])
    labels = torch.cat([torch.zeros(1, 3), torch.eye(3)]).repeat_interleave(BATCH // ENVIRONMENTS, 0)
    return network, torch.randn(BATCH, D_X, generator=generator), labels


def take(name: str, network: Network, x: torch.Tensor, labels: torch.Tensor) -> None:
    """Forward and backward, once."""
    network.zero_grad(set_to_none=True)
    LOSSES[name](network, x, labels).backward()


def added_memory(name: str) -> float:
    """Peak resident memory in MiB that ten steps add to this process."""
    network, x, labels = problem()
    network.decoder(network.encoder(x[None, :2])).sum().backward()
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark to what is resident now
    before = memory("VmRSS")
    for _ in range(10):
        LOSSES[name](network, x, labels).backward()
    return memory() - before


def main() -> None:
    """Print the table."""
    cells = problem()
    times = alternate({name: partial(take, name, *cells) for name in LOSSES}, rounds=ROUNDS, calls=8, warm=2)
    columns = {"formulation": "", "step, ms": ".1f", "times grouped": ".1f", "peak memory added, MiB": ".0f"}
    setting = f"B = {BATCH} cells, {ENVIRONMENTS} environments, d_X = {D_X}, d_Z = {D_Z}"
    print_table(
        columns,
        (
            (name, times[name].scaled(1000), times.ratio(name, "grouped"), apart("step", "added_memory", name))
            for name in LOSSES
        ),
        title=f"{setting}; medians of {8 * ROUNDS} steps (quartiles); {machine()}",
    )


if __name__ == "__main__":
    main()
