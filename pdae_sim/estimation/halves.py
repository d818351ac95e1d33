"""Fits to halves of the cells: what a fit owes to its cells and its seed, and what to the world.

Every split deals the cells of each condition into two halves that share none, each fitted from a start of its own.
Half the difference of two such fits varies as a fit to all cells does around its mean by its cells, as long as its
error falls with their root, and half as much by its seed. The mean of the two has seen all cells, whatever the split:
that it differs between splits is the other half of what seeds do. No cell is seen twice, as in a bootstrap, where cells
that phases keep out would be among those that they see.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from pdae_sim._arguments import checked
from pdae_sim._checks import whole
from pdae_sim._files import whole_folder
from pdae_sim._random import SeedLike, seed_sequence, stream, torch_seed
from pdae_sim._seals import DamagedError, read_json, sealed, undamaged, unsealed
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._bank import fit_bank
from pdae_sim.estimation._kept_cells import keep
from pdae_sim.estimation._persistence import digest
from pdae_sim.estimation._validation import canonical
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.phases import Progress

_log = logging.getLogger(__name__)

_FOLDER, _OF = "halves", "of.json"
_MOST_SPLITS = 500
_AGAIN = "run stability with --model and --force, or remove this folder"


@dataclass(frozen=True, eq=False)
class HalfFits:
    """Pairs of fits, the two of a pair to halves of the cells that have none in common.

    Args:
        pairs: The fits.
        seed: Seed of splits and fits, with which more can be added; None where it is not known.

    Example:
        >>> from types import SimpleNamespace
        >>> pairs = HalfFits(tuple((SimpleNamespace(w=a), SimpleNamespace(w=b)) for a, b in ((1.0, 1.2), (0.9, 1.1))))
        >>> [round(float(end), 2) for end in pairs.interval(lambda fit: fit.w, 1.05)]
        [0.52, 1.58]
    """

    pairs: tuple[tuple[PDAE, PDAE], ...]
    seed: int | None = None

    @property
    def fits(self) -> tuple[PDAE, ...]:
        """All of them, pair after pair."""
        return tuple(fit for pair in self.pairs for fit in pair)

    def standard_error(self, statistic: Callable[[PDAE], np.ndarray | float]) -> np.ndarray:
        """Standard error (…) of a statistic (…) of a fit to all cells, by its cells and by its seed.

        Args:
            statistic: Of a fit; it must not depend on the rotation of the latents.
        """
        values = np.array([[statistic(fit) for fit in pair] for pair in self.pairs], dtype=np.float64)
        return np.sqrt(self.variance(values))

    @staticmethod
    def variance(values: np.ndarray) -> np.ndarray:
        """Variance (…) of a statistic of a fit to all cells, from those (S, 2, …) of the two fits of every split.

        With one split nothing is seen of what seeds do to the mean of a pair, and half of their share is left out.
        """
        values = np.asarray(values, dtype=np.float64)
        of_seeds = values.mean(1).var(0, ddof=1) if len(values) > 1 else 0.0
        return ((values[:, 0] - values[:, 1]) ** 2).mean(0) / 4 + of_seeds

    def interval(
        self, statistic: Callable[[PDAE], np.ndarray | float], value: np.ndarray | float, *, level: float = 0.95
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ends of an interval around the value of a statistic of the fit to all cells, by Student's quantile.

        Args:
            statistic: As in `standard_error`.
            value: That of the fit to all cells.
            level: Confidence.
        """
        wide = float(stdtrit(len(self.pairs), (1 + level) / 2)) * self.standard_error(statistic)
        return np.asarray(value) - wide, np.asarray(value) + wide

    def save(self, model: str | PathLike) -> None:
        """Keep the fits in the folder of the model whose halves they are, whole or not at all."""
        with whole_folder(Path(model) / _FOLDER) as folder:
            parts = [folder / f"{number:02d}" for number in range(len(self.fits))]
            for part, fit in zip(parts, self.fits, strict=True):
                fit.save(part)
            fits = [digest(part) for part in parts]
            told = {"model": digest(Path(model)), "seed": self.seed, "fits": fits}
            (folder / _OF).write_text(json.dumps(sealed(told)))

    @classmethod
    def load(cls, model: str | PathLike) -> HalfFits | None:
        """The fits that a model keeps in its folder; None if it keeps none.

        Raises:
            InputError: If they are not whole, or those of another model.
        """
        folder = Path(model) / _FOLDER
        if not folder.is_dir():
            return None
        with undamaged(folder, _AGAIN):
            if not (folder / _OF).is_file():
                raise DamagedError(f"{folder}: holds no {_OF}; {_AGAIN}")
            told = unsealed(read_json(folder / _OF, fix=_AGAIN), where=folder / _OF, fix=_AGAIN, required=True)
            if told["model"] != digest(Path(model)):
                raise InputError(f"{folder}: belongs to another fit; {_AGAIN}")
            parts = [folder / f"{number:02d}" for number in range(len(told["fits"]))]
            if [digest(part) for part in parts] != told["fits"]:
                raise DamagedError(f"{folder}: is not as it was written; {_AGAIN}")
            fits = [PDAE.load(part) for part in parts]
            return cls(tuple(zip(fits[::2], fits[1::2], strict=True)), told.get("seed"))


@checked
def fit_halves(
    model: PDAE,
    data: PerturbationData,
    *,
    n_splits: int = 5,
    rng: SeedLike = None,
    begun: HalfFits | None = None,
    on_step: Callable[[Progress], None] | None = None,
    on_split: Callable[[HalfFits], None] | None = None,
) -> HalfFits:
    """Fit to both halves of the training cells, split again and again.

    Args:
        model: The settings; where it is fitted, also its observation model, number of latents and way of prediction,
            else they are chosen once, from all training cells.
        data: The data; held-out conditions are never looked at. The one cell of a condition with no other is in both.
        n_splits: How often to split; every split takes as long as two fits.
        rng: Seed or generator of the splits and of the fits.
        begun: Fits to the first splits by the same model, data and seed, which are kept, all of them.
        on_step: Called with the progress of each pair after every step.
        on_split: Called after every split with all fits so far.

    Raises:
        InputError: If a half cannot be fitted with these settings, or `begun` is of another seed.
        TrainingError: If a loss or a gradient is not finite.

    References:
        Shao & Tu (1995), The jackknife and bootstrap, section 5.2: half-samples, whose spread needs no rescaling.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(400, 3)) + np.repeat([[0, 0, 0], [2, 0, 0]], 200, axis=0)
        >>> data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A"], 200))
        >>> one, two = fit_halves(PDAE(1, steps=3, observation="gaussian"), data, n_splits=1, rng=0).fits
        >>> one.train_counts_.tolist(), two.train_counts_.tolist()
        ([100, 100], [100, 100])
    """
    if whole("n_splits", n_splits) > _MOST_SPLITS:
        raise InputError(f"n_splits must be a whole number ≤ {_MOST_SPLITS}; received {n_splits}")
    seed = int(rng) if isinstance(rng, (int, np.integer)) else None
    done = begun or HalfFits((), seed)
    if 0 < len(done.pairs) < n_splits and (seed is None or done.seed != seed):
        raise InputError(f"begun must be of the same seed as rng, {seed}; received fits of seed {done.seed}")
    train, root = data.train, seed_sequence(rng)
    framed = _framed(model, train)
    for split in range(len(done.pairs), n_splits):
        _log.info("split %d of %d", split + 1, n_splits)
        halves = _halves(train, stream(root, "split", split))
        one, two = (_like(framed, torch_seed(root, "fit", 2 * split + half)) for half in (0, 1))
        fit_bank([one, two], halves, like=framed, on_step=on_step)
        if framed is model:
            _predict_alike(one, model, halves[0])
            _predict_alike(two, model, halves[1])
        done = HalfFits((*done.pairs, (one, two)), seed)
        if on_split is not None:
            on_split(done)
    return done


def _framed(model: PDAE, train: PerturbationData) -> PDAE:
    """The model, or one of its settings that has learnt from all training cells what is fixed before a first step."""
    if hasattr(model, "perturbation_matrix_"):
        return model
    framed = PDAE(**model.get_params())
    framed._frame(train)
    return framed


def _like(framed: PDAE, seed: int) -> PDAE:
    settings = {"n_latents": framed._d_Z, "observation": framed.observation_.name}
    return PDAE(**framed.get_params() | settings | {"random_state": seed, "select": False})


def _predict_alike(fit: PDAE, model: PDAE, half: PerturbationData) -> None:
    """Let a fit predict in the way that a model has chosen."""
    fit.source_, fit.composing_ = model.source_, model.composing_
    fit._kept = keep(fit, canonical(half))


def _halves(train: PerturbationData, rng: np.random.Generator) -> list[PerturbationData]:
    """Two data sets of the same conditions, which share no cell where a condition has more than one."""
    dealt = [rng.permutation(rows) for rows in train.rows_by_environment]
    parts = [(rows[: len(rows) // 2], rows[len(rows) // 2 :]) if len(rows) > 1 else (rows, rows) for rows in dealt]
    return [train.rows(np.sort(np.concatenate(half))) for half in zip(*parts, strict=True)]
