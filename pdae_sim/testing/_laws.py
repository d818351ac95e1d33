"""The laws of every estimator: functions of a trial that return evidence, or raise what broke them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pdae_sim.data import PerturbationData
from pdae_sim.testing._trial import N_DRAWN, BrokenError, NotApplicableError, Trial, raising_nothing

_SOME = 20
"""Fewest cells of a training condition where laws of cells are compared."""


@dataclass(frozen=True)
class ContractLaw:
    """A law that every estimator should obey.

    Args:
        name: Its name.
        says: What it asks, in a sentence.
        check: From a trial to the evidence that it holds; raises where it does not.
        exact: Whether predictions are to agree bit for bit, or nothing of them is compared.

    Example:
        >>> from pdae_sim.testing import LAWS
        >>> LAWS["held_out"].exact, LAWS["rotation"].exact
        (True, False)
    """

    name: str
    says: str
    check: Callable[[Trial], str]
    exact: bool


LAWS: dict[str, ContractLaw] = {}
"""The laws by name, in the order in which they are tried."""


def _law(says: str, *, exact: bool = False) -> Callable[[Callable[[Trial], str]], Callable[[Trial], str]]:
    def enter(check: Callable[[Trial], str]) -> Callable[[Trial], str]:
        name = check.__name__.removeprefix("_")
        LAWS[name] = ContractLaw(name, says, check, exact)
        return check

    return enter


@_law("fit(data) returns the fitted estimator.", exact=True)
def _fit(trial: Trial) -> str:
    return type(trial.fitted).__name__


@_law("sample(condition, n) gives n finite cells of d_X features in float64.", exact=True)
def _shape(trial: Trial) -> str:
    for n in (1, 2, 7):
        for condition in trial.labels:
            with raising_nothing(f"sample(…, {n})"):
                x = np.asarray(trial.fitted.sample(condition, n, rng=0))
            wanted = (n, trial.data.stored.shape[1])
            if x.shape != wanted or x.dtype != np.float64:
                raise BrokenError(f"sample(…, {n}) has shape {x.shape} of {x.dtype}, not {wanted} of float64")
            if not np.isfinite(x).all():
                raise BrokenError(f"sample at {trial.data.space.condition(condition)} is not finite")
    return "shape, type, finite"


@_law("The same seed gives the same cells, another one others, and a generator moves on.", exact=True)
def _rng(trial: Trial) -> str:
    condition, generator = trial.labels[0], np.random.default_rng(1)

    def cells(rng: Any) -> np.ndarray:
        with raising_nothing(f"sample(…, rng={type(rng).__name__})"):
            return trial.cells(trial.fitted.sample(condition, N_DRAWN, rng=rng), N_DRAWN)

    equal = [(cells(seed), cells(seed)) for seed in (3, np.random.SeedSequence(3), [3, 4])]
    equal.append((cells(np.random.default_rng(1)), cells(generator)))
    if not all(np.array_equal(x, y) for x, y in equal):
        raise BrokenError("two calls with one seed differ")
    _enough(trial)
    for what, other in {"one generator": cells(generator), "two seeds": cells(2), "no seed": cells(None)}.items():
        if np.array_equal(other, equal[-1][0]):
            raise BrokenError(f"two calls with {what} give the same cells")
    if np.array_equal(cells(None), cells(None)):
        raise BrokenError("two calls without a seed give the same cells")
    return "seeds, sequences, generators, None"


@_law("Global random states (numpy, torch, Python) are neither read nor changed.", exact=True)
def _global_state(trial: Trial) -> str:
    _move_on()
    before = _states()
    trial.predict(trial.refitted(trial.data), n=5)
    changed = [name for name, state in _states().items() if state != before.get(name, state)]
    if changed:
        raise BrokenError(
            f"fit or sample draws from, or seeds, the global generator of {' and '.join(changed)}; take rng"
        )
    return ", ".join(before)


@_law("Two fits to the same data agree bit for bit, also in an object that was fitted to others before.", exact=True)
def _refit(trial: Trial) -> str:
    first = trial.identical(trial.predict(trial.refitted(trial.data)), "a second fit to the same data")
    rows = np.concatenate([rows[: -(-len(rows) // 2)] for rows in trial.data.rows_by_environment])
    used = trial.refitted(trial.data.rows(rows))
    with raising_nothing("a second call of fit"):
        used = used.fit(trial.data)
    trial.identical(trial.predict(used), "an object fitted to other cells before")
    return first


@_law("A label, its text in any spelling and order, and a list are one condition.", exact=True)
def _spelling(trial: Trial) -> str:
    space = trial.data.space
    texts = [space.condition(label) for label in trial.labels]
    turned = [space.separator.join(reversed(_parts(trial.data, label))) for label in trial.labels]
    padded = [f" {text} {space.separator} {space.control}" for text in texts]
    for conditions in (texts, turned, padded, [label.tolist() for label in trial.labels]):
        trial.identical(trial.predict(trial.fitted, conditions), f"{conditions[-1]!r}")
    return "bit for bit"


@_law("Unknown perturbations and labels of another length are refused by a ValueError that names them.", exact=True)
def _unknown_label(trial: Trial) -> str:
    unknown, K = "never_seen_", len(trial.data.names)
    refusal = _refused(lambda: trial.fitted.sample(unknown, 2, rng=0), f"the unknown perturbation {unknown!r}")
    if unknown not in str(refusal):
        raise BrokenError(f"the refusal does not name the unknown perturbation: {refusal}")
    _refused(lambda: trial.fitted.sample(np.zeros(K + 1), 2, rng=0), f"a label of {K + 1} doses for {K} perturbations")
    return "ValueError"


@_law("Doses and cells that are NaN or infinite are refused by a ValueError.", exact=True)
def _not_finite(trial: Trial) -> str:
    model, K, x = trial.fitted, len(trial.data.names), trial.data.train.gathered(slice(2)).astype(np.float64)
    for value in (np.nan, np.inf):
        label = np.zeros(K)
        label[-1] = value
        _refused(lambda label=label: model.sample(label, 2, rng=0), f"the dose {value}")  # type: ignore[misc]
        x[0, 0] = value
        if hasattr(model, "encode"):
            _refused(lambda: model.encode(x), f"a cell with {value} in encode")
        if hasattr(model, "transport"):
            source, target = trial.labels[0], trial.labels[1 % len(trial.labels)]
            _refused(lambda s=source, t=target: model.transport(x, s, t), f"a cell with {value} in transport")  # type: ignore[misc]
    return "ValueError"


@_law("Held-out cells are never read: others in their place, or none, change no bit.", exact=True)
def _held_out(trial: Trial) -> str:
    data = trial.data
    if not data.held_out.any() or data.held_out.all():
        raise NotApplicableError("no condition is held out")
    x, rows = data.x.copy(), np.flatnonzero(data.held_out[data.environment])
    x[rows] = 1000 + 3 * x[rows[::-1]]
    trial.identical(trial.predict(trial.refitted(replace(data, x=x))), "a fit beside poisoned held-out cells")
    return trial.identical(trial.predict(trial.refitted(data.train)), "a fit without held-out cells")


@_law("The order of cells does not matter.")
def _cell_order(trial: Trial) -> str:
    _enough(trial)
    order = trial.drawn("cells").permutation(len(trial.data.environment))
    return _same_law(trial, trial.data.rows(order), "a fit to the cells in another order")


@_law("The order of environments does not matter, the reference aside.")
def _environment_order(trial: Trial) -> str:
    _enough(trial)
    first, E = trial.data.reference, len(trial.data.labels)
    order = [*(e for e in reversed(range(E)) if e != first)]
    order.insert(len(order) if (trial.data.labels[first] == 0).all() else 0, first)
    return _same_law(trial, trial.data.select(order), "a fit to the environments in another order")


@_law("The names of perturbations and of the control do not matter.")
def _names(trial: Trial) -> str:
    _enough(trial)
    K = len(trial.data.names)
    data = replace(trial.data, names=tuple(f"p{K - k:03d}" for k in range(K)), control="nothing done")
    asked = [data.space.condition(label) for label in trial.labels]
    return _same_law(trial, data, "a fit under other names", asked)


@_law("The order of perturbations in a label does not matter.")
def _perturbation_order(trial: Trial) -> str:
    _enough(trial)
    K = len(trial.data.names)
    if K < 2:
        raise NotApplicableError("there is one perturbation")
    data = replace(trial.data, labels=trial.data.labels[:, ::-1], names=trial.data.names[::-1])
    return _same_law(trial, data, "a fit to perturbations in another order", trial.labels[:, ::-1])


@_law("Which condition is the reference does not matter: labels may be counted from any of them.")
def _reference(trial: Trial) -> str:
    _enough(trial)
    train = trial.data.train
    if len(train.labels) < 2:
        raise NotApplicableError("there is one training condition")
    origin = train.labels[-1 if train.reference != len(train.labels) - 1 else 0]
    data = replace(trial.data, labels=trial.data.labels - origin)
    what = f"a fit with {trial.data.space.condition(origin)} as the reference"
    return _same_law(trial, data, what, trial.labels - origin)


@_law("The unit of a dose does not matter.")
def _dose_units(trial: Trial) -> str:
    _enough(trial)
    units = np.where(np.arange(len(trial.data.names)) % 2, 0.5, 4.0)
    data = replace(trial.data, labels=trial.data.labels * units)
    return _same_law(trial, data, "a fit to doses in other units", trial.labels * units)


@_law("A perturbation that no condition has changes nothing.")
def _empty_perturbation(trial: Trial) -> str:
    _enough(trial)
    E, name = len(trial.data.labels), "never" + "_" * max(map(len, trial.data.names))
    data = replace(trial.data, labels=np.hstack([np.zeros((E, 1)), trial.data.labels]), names=(name, *trial.data.names))
    asked = np.hstack([np.zeros((len(trial.labels), 1)), trial.labels])
    return _same_law(trial, data, "a fit beside an empty perturbation", asked)


@_law("The order of features does not matter.")
def _feature_order(trial: Trial) -> str:
    _enough(trial)
    features = trial.data.features[::-1]
    return _same_law(trial, _with_cells(trial.data, trial.data.x[:, ::-1], features), "reversed features", back=_turned)


@_law("Units and origins of continuous features do not matter.")
def _feature_units(trial: Trial) -> str:
    _enough(trial)
    _continuous(trial)
    d = trial.data.stored.shape[1]
    unit, origin = 2.0 ** (np.arange(d) % 5 - 2), np.arange(d) % 3 - 1.0
    data = _with_cells(trial.data, trial.data.x.astype(np.float64) * unit + origin)
    return _same_law(trial, data, "a fit to features in other units", back=lambda x: (x - origin) / unit)


@_law("Rotating continuous features rotates predictions.")
def _rotation(trial: Trial) -> str:
    _enough(trial)
    _continuous(trial)
    d = trial.data.stored.shape[1]
    Q = np.linalg.qr(trial.drawn("rotation").normal(size=(d, d)))[0]
    data = _with_cells(trial.data, trial.data.x.astype(np.float64) @ Q)
    return _same_law(trial, data, "a fit to rotated features", back=lambda x: x @ Q.T)


@_law("Training conditions are predicted at least as well as by all training cells mixed.")
def _training_fit(trial: Trial) -> str:
    _enough(trial)
    train, rng = trial.data.train, trial.drawn("pool")
    parts = [train.samples(e)[:N_DRAWN] for e in range(len(train.labels))]
    pool = np.concatenate([part[rng.integers(len(part), size=N_DRAWN)] for part in parts])
    own = trial.predict(trial.fitted, train.labels)
    ours = np.mean([trial.distance(x, part) for x, part in zip(own, parts, strict=True)])
    pooled = np.mean([trial.distance(pool, part) for part in parts])
    told = f"mean energy distance {ours:.3f}, of the pool {pooled:.3f}"
    if ours > pooled + trial.noise(min(map(len, parts))):
        raise BrokenError(told)
    return told


@_law("A model that was saved and loaded predicts the same cells bit for bit.", exact=True)
def _saving(trial: Trial) -> str:
    model = trial.fitted
    if not (hasattr(model, "save") and hasattr(type(model), "load")):
        raise NotApplicableError("it has no save and load")
    with tempfile.TemporaryDirectory() as folder, raising_nothing("save or load"):
        model.save(Path(folder) / "model")
        loaded = type(model).load(Path(folder) / "model")
    return trial.identical(trial.predict(loaded), "the loaded model")


def _same_law(
    trial: Trial,
    data: PerturbationData,
    what: str,
    asked: Any = None,
    back: Callable[[np.ndarray], np.ndarray] = lambda x: x,
) -> str:
    """Evidence that a fit to other data predicts the cells of the first, once they are mapped back."""
    return trial.alike(back(trial.predict(trial.refitted(data), asked)), what)


def _refused(call: Callable[[], object], what: str) -> ValueError:
    try:
        call()
    except ValueError as error:
        return error
    except Exception as error:
        raise BrokenError(f"{what} raises {type(error).__name__}, not ValueError: {error}") from error
    raise BrokenError(f"{what} is not refused")


def _enough(trial: Trial) -> None:
    fewest = int(trial.data.train.counts.min())
    if fewest < _SOME:
        raise NotApplicableError(f"a training condition has {fewest} cells; laws are compared from {_SOME} on")


def _continuous(trial: Trial) -> None:
    if not np.mod(trial.data.stored[:100], 1).any():
        raise NotApplicableError("cells are counts")


def _with_cells(data: PerturbationData, x: np.ndarray, features: Any = None) -> PerturbationData:
    return replace(data, x=x, features=data.features if features is None else features)


def _turned(x: np.ndarray) -> np.ndarray:
    return x[..., ::-1]


def _parts(data: PerturbationData, label: np.ndarray) -> list[str]:
    """The parts of a condition, each as a condition of its own."""
    alone = [np.where(np.arange(len(label)) == k, label, 0.0) for k in np.flatnonzero(label)]
    return [data.space.condition(part) for part in alone] or [data.space.control]


def _move_on() -> None:
    """One draw of every global generator that is loaded: whoever seeds it before each fit would leave it as it was."""
    np.random.random_sample()  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].rand(1)
    if "random" in sys.modules:
        sys.modules["random"].random()


def _states() -> dict[str, object]:
    """States of the global generators that are loaded, in a form that compares."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    states: dict[str, object] = {"numpy": repr(numpy_state)}
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].random.get_rng_state().numpy().tobytes()
    if "random" in sys.modules:
        states["Python"] = sys.modules["random"].getstate()
    return states
