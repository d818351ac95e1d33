"""Early stopping: cells of training environments kept out of a phase's steps, and the parameters best on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass
class Best:
    """The least loss of each replicate on the cells kept out, and the parameters that had it.

    Args:
        losses: (R,).
        parameters: One tensor (R, …) for each that moves.
    """

    losses: torch.Tensor
    parameters: list[torch.Tensor]

    def improve(self, losses: torch.Tensor, parameters: list[torch.Tensor]) -> None:
        """Take over the replicates that do better; a loss that is no number is worse than any."""
        better = ~(losses >= self.losses) & ~losses.isnan()
        self.losses = torch.where(better, losses, self.losses)
        for kept, now in zip(self.parameters, parameters, strict=True):
            kept.copy_(torch.where(better.view(-1, *[1] * (now.ndim - 1)), now, kept))


class Watch:
    """Looks at the loss on the cells kept out, and remembers the best parameters.

    Args:
        loss: The loss (R,) on those cells.
        moved: The parameters that move.
    """

    def __init__(self, loss: Callable[[], torch.Tensor], moved: list[torch.nn.Parameter]) -> None:
        self._loss, self._moved = loss, moved
        self.best: Best | None = None

    @torch.no_grad()
    def look(self) -> torch.Tensor:
        """The loss (R,) now."""
        losses = self._loss()
        if self.best is None:
            self.best = Best(losses.clone(), [p.detach().clone() for p in self._moved])
        else:
            self.best.improve(losses, self._moved)
        return losses

    @torch.no_grad()
    def restore(self) -> None:
        """Go back to the best parameters, if any were seen."""
        if self.best is not None:
            for p, kept in zip(self._moved, self.best.parameters, strict=True):
                p.copy_(kept)
