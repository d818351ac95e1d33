"""Energy distances of many cells: in blocks, against a closed form that adds no pairs, in little memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pdae_sim.energy import energy_distance


def on_a_line(x, y, unbiased=False):
    """The energy distance in one dimension with exponent 1, from sorted samples in O(n log n): 2 ∫ (F − G)²."""
    z = np.concatenate([x, y]).astype(np.longdouble)
    order = np.argsort(z, kind="stable")
    below = np.where(order < len(x), 1 / np.longdouble(len(x)), -1 / np.longdouble(len(y))).cumsum()
    value = 2 * (below[:-1] ** 2 * np.diff(z[order])).sum()
    for part in (x, y) if unbiased else ():
        ranks = 2 * np.arange(1, len(part) + 1) - len(part) - 1
        n = np.longdouble(len(part))
        value -= 2 * (np.sort(part).astype(np.longdouble) * ranks).sum() / (n * n * (n - 1))
    return float(value)


class TestManyCells:
    """Against a closed form that adds no pairs; a difference of 10⁻³ between means of pairs near 1 is what is left."""

    def lines(self, n, offset, scale=1.0):
        rng = np.random.default_rng(n)
        return scale * (offset + rng.normal(size=n)), scale * (offset + 0.03 + rng.normal(size=n + 7))

    @pytest.mark.parametrize("unbiased", [False, True])
    @pytest.mark.parametrize("d", [1, 3, 4])
    @pytest.mark.parametrize("offset", [0.0, 1e6])
    def test_in_blocks_it_is_the_closed_form(self, d, offset, unbiased):
        x, y = self.lines(3_000, offset)
        told = []
        turned = [np.outer(v, np.ones(d) / d**0.5) for v in (x, y)]
        found = energy_distance(*turned, unbiased=unbiased, on_block=told.append)
        assert abs(found - on_a_line(x, y, unbiased)) <= 1e-11 + 1e-14 * offset
        assert found == energy_distance(*turned, unbiased=unbiased)
        assert told == sorted(told)
        assert len(told) > 20
        assert abs(told[-1] - 1.0) < 1e-3

    @pytest.mark.parametrize("size", [1e-150, 1e-30, 1e30, 1e150])
    def test_at_any_scale(self, size):
        x, y = self.lines(2_000, 0.0, size)
        assert abs(energy_distance(x, y) / on_a_line(x, y) - 1) <= 1e-9

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("n", "dtype", "offset", "error"), [(50_000, np.float64, 1e6, 1e-8), (200_000, np.float32, 0.0, 1e-6)]
    )
    def test_many(self, n, dtype, offset, error):
        x, y = (v.astype(dtype) for v in self.lines(n, offset))
        told = []
        assert abs(energy_distance(x, y, on_block=told.append) - on_a_line(x, y)) <= error
        assert (len(told) > 100, round(told[-1], 3)) == (True, 1.0)


PEAK = """
import sys, numpy as np, torch
from pathlib import Path
from pdae_sim.energy import energy_distance
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
torch.set_num_threads(1)
def reset():
    Path("/proc/self/clear_refs").write_text("5")
    return peak()
n, kinds = int(sys.argv[1]), sys.argv[2:]
x, y = (torch.from_numpy(np.random.default_rng(s).normal(size=(n, 10)).astype(np.float32)) for s in (0, 1))
energy_distance(x[:100].clone().requires_grad_(), y[:100]).backward()
torch.cdist(x[:100], y[:100]).mean()
work = {
    "value": lambda: energy_distance(x, y),
    "gradient": lambda: energy_distance(x.clone().requires_grad_(), y).backward(),
    "all pairs": lambda: torch.cdist(x, y).mean(),
}
for kind in kinds:
    before = reset()
    work[kind]()
    print(peak() - before)
"""


def peaks_mib(n, *kinds):
    """Growth of the peak resident memory of a fresh process by one piece of work after another, in MiB.

    Not `ru_maxrss`, which starts from the peak of the process that started this one.
    """
    command = [sys.executable, "-c", PEAK, str(n), *kinds]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return dict(zip(kinds, map(float, told), strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestMemory:
    """All pairs of two samples of 8,000 take 244 MiB in float32."""

    def test_it_does_not_grow_with_the_square_of_n_and_a_matrix_of_all_pairs_would_be_noticed(self):
        peaks = peaks_mib(8_000, "value", "gradient", "all pairs")
        assert peaks["value"] < 60
        assert peaks["gradient"] < 60
        assert peaks["all pairs"] > 200

    @pytest.mark.slow
    def test_of_fifty_thousand_cells(self):
        assert peaks_mib(50_000, "value")["value"] < 256
