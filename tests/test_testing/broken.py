"""A sound estimator, and for each law one that breaks it: each line below is a mistake that was made somewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch


class Sound:
    """Residuals of all training cells around a regression of means on labels."""

    def fit(self, data):
        self.space, train = data.space, data.train
        labels, x = train.labels, train.x.astype(np.float64)
        weights = np.sqrt(1 / train.counts)[train.environment][:, None]
        design = np.column_stack([np.ones(len(labels)), labels])
        rows = design[train.environment]
        self.coefficients = np.linalg.lstsq(weights * rows, weights * x, rcond=None)[0]
        self.residuals = x - rows @ self.coefficients
        return self

    def label(self, condition):
        return self.space.label(condition)

    def sample(self, condition, n, *, rng=None):
        label = self.label(condition)
        rows = np.random.default_rng(rng).integers(len(self.residuals), size=n)
        return self.residuals[rows] + np.concatenate([[1.0], label]) @ self.coefficients

    def encode(self, x):
        if not np.isfinite(x).all():
            raise ValueError("x must be finite")
        return x

    def save(self, folder):
        Path(folder).mkdir()
        numbers = {"coefficients": self.coefficients.tolist(), "residuals": self.residuals.tolist()}
        (Path(folder) / "model.json").write_text(json.dumps(numbers | {"names": self.space.names}))

    @classmethod
    def load(cls, folder):
        from pdae_sim import LabelSpace

        model, numbers = cls(), json.loads((Path(folder) / "model.json").read_text())
        model.space = LabelSpace(tuple(numbers["names"]))
        model.coefficients, model.residuals = (np.array(numbers[k]) for k in ("coefficients", "residuals"))
        return model


class ReturnsNothing(Sound):
    def fit(self, data):
        super().fit(data)


class SinglePrecision(Sound):
    def sample(self, condition, n, *, rng=None):
        return super().sample(condition, n, rng=rng).astype(np.float32)


class OneRowForOne(Sound):
    def sample(self, condition, n, *, rng=None):
        return super().sample(condition, n, rng=rng).squeeze()


class OwnSeed(Sound):
    def sample(self, condition, n, *, rng=None):
        return super().sample(condition, n, rng=0)


class NeverTheSame(Sound):
    def sample(self, condition, n, *, rng=None):
        return super().sample(condition, n, rng=None)


class GlobalNumpy(Sound):
    def fit(self, data):
        np.random.normal()  # noqa: NPY002
        return super().fit(data)


class SeedsNumpy(Sound):
    def fit(self, data):
        np.random.seed(0)  # noqa: NPY002
        return super().fit(data)


class GlobalTorch(Sound):
    def sample(self, condition, n, *, rng=None):
        torch.manual_seed(0)
        torch.rand(1)
        return super().sample(condition, n, rng=rng)


class RandomStart(Sound):
    def fit(self, data):
        super().fit(data).coefficients += 1e-12 * np.random.default_rng().normal(size=self.coefficients.shape)
        return self


class WarmStart(Sound):
    def fit(self, data):
        before = getattr(self, "coefficients", None)
        super().fit(data)
        if before is not None:
            self.coefficients = (self.coefficients + before) / 2
        return self


class LooksUpText(Sound):
    """A dictionary by text; `B+A` is not in it."""

    def label(self, condition):
        label = self.space.label(condition)
        known = not isinstance(condition, str) or condition == self.space.condition(label)
        return label if known else 0 * label


class KeyErrors(Sound):
    def label(self, condition):
        try:
            return self.space.label(condition)
        except ValueError:
            raise KeyError(condition) from None


class DropsUnknown(Sound):
    def label(self, condition):
        try:
            return self.space.label(condition)
        except ValueError:
            return np.zeros(len(self.space))


class TakesNaN(Sound):
    def label(self, condition):
        return super().label(condition if isinstance(condition, str) else np.nan_to_num(condition, posinf=0))


class EncodesNaN(Sound):
    def encode(self, x):
        return x


class ScalesByAllCells(Sound):
    def fit(self, data):
        super().fit(data).residuals *= 1 + 1e-9 * data.x.std()
        return self


class CountsAllConditions(Sound):
    def fit(self, data):
        super().fit(data).residuals *= 1 + 0.01 * len(data.labels)
        return self


class TakesBlocks(Sound):
    """Takes cells for sorted by condition."""

    def fit(self, data):
        train = data.train
        return super().fit(
            train.rows(np.argsort(np.sort(train.environment), kind="stable")).__class__(
                train.x, train.labels, np.sort(train.environment), train.names
            )
        )


class FirstIsControl(Sound):
    """Takes the first environment for the control, whatever its label, and predicts its cells."""

    def fit(self, data):
        super().fit(data).cells = data.train.samples(0).astype(np.float64)
        return self

    def sample(self, condition, n, *, rng=None):
        self.label(condition)
        return self.cells[np.random.default_rng(rng).integers(len(self.cells), size=n)]


class SortsNames(Sound):
    """Numbers the columns of labels by the sorted names when it fits, and as they come when it predicts."""

    def fit(self, data):
        super().fit(data)
        order = np.argsort(data.names)
        self.coefficients[1:] = self.coefficients[1:][order]
        return self


class KnowsCtrl(Sound):
    """Looks for conditions without effect by the word."""

    def fit(self, data):
        super().fit(data)
        if "ctrl" not in data.conditions:
            self.coefficients[1:] = 0
        return self


class FirstPartOnly(Sound):
    """Of a combination only the first perturbation acts."""

    def label(self, condition):
        label = super().label(condition)
        return np.where(np.arange(len(label)) == np.argmax(label != 0), label, 0)


class NoIntercept(Sound):
    """Without doses there is no mean either."""

    def fit(self, data):
        super().fit(data)
        train = data.train
        means = np.array([train.samples(e).mean(0, dtype=np.float64) for e in range(len(train.labels))])
        self.coefficients[1:] = np.linalg.lstsq(train.labels, means, rcond=None)[0]
        self.coefficients[0] = 0
        return self


class OnOrOff(Sound):
    """Doses are on or off."""

    def label(self, condition):
        return np.clip(super().label(condition), -1, 1)


class DropsFirst(Sound):
    """Leaves out the first column of labels, as of a one-hot code."""

    def fit(self, data):
        super().fit(data).coefficients[1] = 0
        return self


class MovesFirstFeatures(Sound):
    """Only the first two features move: those that vary most, it is hoped."""

    def fit(self, data):
        super().fit(data).coefficients[1:, 2:] = 0
        return self


class ClipsAtOne(Sound):
    def sample(self, condition, n, *, rng=None):
        return np.clip(super().sample(condition, n, rng=rng), -1, 1)


class IndependentFeatures(Sound):
    """Every feature on its own: correlations are lost."""

    def fit(self, data):
        super().fit(data)
        self.residuals = np.random.default_rng(0).permuted(self.residuals, axis=0)
        return self


class WrongSign(Sound):
    def label(self, condition):
        return -super().label(condition)


class SavesRounded(Sound):
    @classmethod
    def load(cls, folder):
        model = super().load(folder)
        model.residuals = model.residuals.round(6)
        return model


class Lying(Sound):
    """Features by cells."""

    def sample(self, condition, n, *, rng=None):
        return super().sample(condition, n, rng=rng).T


class Lazy(Sound):
    def sample(self, condition, n, *, rng=None):
        return (row for row in super().sample(condition, n, rng=rng))


class Silent(Sound):
    def sample(self, condition, n, *, rng=None):
        return None


class NotFinite(Sound):
    def sample(self, condition, n, *, rng=None):
        return np.nan * super().sample(condition, n, rng=rng)


MALFORMED = {
    Lying: "gives ndarray of shape",
    Lazy: "gives generator of shape () and object",
    Silent: "gives NoneType of shape () and object",
    NotFinite: "gives cells that are not finite",
}
"""Estimators whose cells are none, with what is said of them."""


BREAKS = {
    "fit": [ReturnsNothing],
    "shape": [SinglePrecision, OneRowForOne],
    "rng": [OwnSeed, NeverTheSame],
    "global_state": [GlobalNumpy, SeedsNumpy, GlobalTorch],
    "refit": [RandomStart, WarmStart],
    "spelling": [LooksUpText],
    "unknown_label": [KeyErrors, DropsUnknown],
    "not_finite": [TakesNaN, EncodesNaN],
    "held_out": [ScalesByAllCells, CountsAllConditions],
    "cell_order": [TakesBlocks],
    "environment_order": [FirstIsControl],
    "names": [SortsNames, KnowsCtrl],
    "perturbation_order": [FirstPartOnly],
    "reference": [NoIntercept],
    "dose_units": [OnOrOff],
    "empty_perturbation": [DropsFirst],
    "feature_order": [MovesFirstFeatures],
    "feature_units": [ClipsAtOne],
    "rotation": [IndependentFeatures],
    "training_fit": [WrongSign],
    "saving": [SavesRounded],
}
"""Estimators that break a law, by its name."""
