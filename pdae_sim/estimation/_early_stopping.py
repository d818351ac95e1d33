"""Early stopping: the parameters of a phase that do best on the cells it keeps out, replicate by replicate."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class EarlyStopping:
    """The least loss of each replicate on the cells kept out, and the parameters that had it.

    Args:
        moved: The parameters that move, (R, …) each.
        best: What an interrupted fit had seen: its losses (R,), then one tensor for each parameter.
    """

    def __init__(self, moved: Sequence[torch.nn.Parameter], best: Sequence[torch.Tensor] = ()) -> None:
        self._moved = moved
        self.best = list(best)

    @torch.no_grad()
    def look(self, losses: torch.Tensor) -> None:
        """Take over the parameters of the replicates whose losses (R,) are the least yet; NaN losses never win."""
        if not self.best:
            self.best = [losses.clone(), *(p.detach().clone() for p in self._moved)]
            return
        better = ~(losses >= self.best[0]) & ~losses.isnan()
        for kept, now in zip(self.best, (losses, *self._moved), strict=True):
            kept.copy_(torch.where(better.view(-1, *[1] * (now.ndim - 1)), now, kept))

    @torch.no_grad()
    def restore(self) -> None:
        """Go back to the best parameters, if any were seen."""
        for p, kept in zip(self._moved, self.best[1:], strict=False):
            p.copy_(kept)
