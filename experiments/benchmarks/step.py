"""One gradient step of the perturbation loss: by environment against per sample pair (B³), same network, same B cells.

Run: `python -m experiments.benchmarks.step`. Prints a Markdown table with machine and versions.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from experiments.benchmarks.machine import describe
from experiments.benchmarks.pairwise import pairwise_loss
from pdae_sim.estimation.losses import Step, perturbation
from pdae_sim.estimation.networks import Network
from pdae_sim.estimation.presets import DIRECT

ENVIRONMENTS, BATCH, D_X, D_Z, ROUNDS = 4, 128, 10, 2, 8


def grouped(network: Network, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The same cells as (E, b, d_X): B = E b cells in a step."""
    b = len(x) // ENVIRONMENTS
    step = Step.of(network, x.reshape(1, ENVIRONMENTS, b, D_X), labels[None, ::b], 1.0, [torch.Generator()])
    return perturbation(step)[0]


LOSSES = {"grouped": grouped, "pairwise": pairwise_loss}


def problem() -> tuple[Network, torch.Tensor, torch.Tensor]:
    """A network and B cells of E environments, control and three singles."""
    generator = torch.Generator().manual_seed(0)
    network = Network((D_X, D_Z, 3), DIRECT, [generator])
    labels = torch.cat([torch.zeros(1, 3), torch.eye(3)]).repeat_interleave(BATCH // ENVIRONMENTS, 0)
    return network, torch.randn(BATCH, D_X, generator=generator), labels


def seconds() -> dict[str, list[float]]:
    """Wall times of single steps, forward and backward; ten of each formulation in turn, two of them to warm up."""
    network, x, labels = problem()
    times: dict[str, list[float]] = {name: [] for name in LOSSES}
    for _ in range(ROUNDS):
        for name, loss in LOSSES.items():
            rounds = [_timed(loss, network, x, labels) for _ in range(10)]
            times[name] += rounds[2:]
    return times


def _timed(loss, network: Network, x: torch.Tensor, labels: torch.Tensor) -> float:
    start = time.perf_counter()
    network.zero_grad(set_to_none=True)
    loss(network, x, labels).backward()
    return time.perf_counter() - start


def peak_mebibytes(name: str) -> float:
    """Peak resident memory that ten steps add to a fresh process."""
    command = [sys.executable, "-m", "experiments.benchmarks.step", name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _added_memory(name: str) -> float:
    network, x, labels = problem()
    network.decoder(network.encoder(x[None, :2]), None).sum().backward()
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark to what is resident now
    before = _resident("VmRSS")
    for _ in range(10):
        LOSSES[name](network, x, labels).backward()
    return (_resident("VmHWM") - before) / 1024


def _resident(field: str) -> int:
    """A memory field of this process in KiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main() -> None:
    """Print the table."""
    times = seconds()
    memory = {name: peak_mebibytes(name) for name in LOSSES}
    setting = f"B = {BATCH} cells, {ENVIRONMENTS} environments, d_X = {D_X}, d_Z = {D_Z}"
    print(f"{setting}; median of {8 * ROUNDS} steps; {describe()}\n")
    print("| formulation | step, ms (quartiles) | peak memory added, MiB |\n|---|---|---|")
    for name in LOSSES:
        low, middle, high = (1e3 * q for q in statistics.quantiles(times[name], n=4))
        print(f"| {name} | {middle:.1f} ({low:.1f} to {high:.1f}) | {memory[name]:.0f} |")
    ratio = statistics.median(times["pairwise"]) / statistics.median(times["grouped"])
    print(f"\npairwise / grouped: {ratio:.1f} × in time")


if __name__ == "__main__":
    print(_added_memory(sys.argv[1])) if len(sys.argv) > 1 else main()
