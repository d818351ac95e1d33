"""The contract of estimators as a suite: `check_estimator` tries every law and says which are broken."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdae_sim._checks import choice
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.testing._laws import LAWS, ContractLaw
from pdae_sim.testing._trial import BrokenError, NotApplicableError, Trial
from pdae_sim.testing.contract_worlds import contract_data

__all__ = ["LAWS", "ContractError", "ContractLaw", "LawResult", "check_estimator"]


@dataclass(frozen=True)
class LawResult:
    """What came of one law on one dataset.

    Args:
        law: Name of the law.
        on: Name of the world, or ``data``.
        status: ``held``, ``broken``, ``excepted`` (broken, and said to be) or ``skipped``.
        evidence: How it held, what broke it, or why it says nothing here.
        reason: Why it is excepted.

    Example:
        >>> LawResult("refit", "curved", "held", "bit for bit").held
        True
    """

    law: str
    on: str
    status: str
    evidence: str
    reason: str = ""

    @property
    def held(self) -> bool:
        """Whether the law was tried and held."""
        return self.status == "held"


class ContractError(AssertionError):
    """Laws that an estimator breaks, one a line.

    Args:
        estimator: Its name.
        results: All results.

    Example:
        >>> print(ContractError("Mine", [LawResult("refit", "curved", "broken", "two fits differ")]))
        Mine breaks 1 law
        refit on curved: two fits differ (Two fits to the same data agree bit for bit, also in an object that was \
fitted to others before.)
    """

    def __init__(self, estimator: str, results: Sequence[LawResult]) -> None:
        self.results = tuple(results)
        broken = [result for result in results if result.status == "broken"]
        lines = [f"{each.law} on {each.on}: {each.evidence} ({LAWS[each.law].says})" for each in broken]
        n = len({each.law for each in broken})
        super().__init__("\n".join([f"{estimator} breaks {n} law{'s' * (n != 1)}", *lines]))


def check_estimator(
    estimator: Any,
    on: str | PerturbationData | Sequence[str | PerturbationData] = "curved",
    *,
    laws: Collection[str] | None = None,
    exceptions: Mapping[str, str] | None = None,
    tolerance: float = 0.02,
    seed: int = 0,
) -> list[LawResult]:
    """Hold an estimator to the laws that every one should obey.

    Args:
        estimator: Unfitted, with `fit(data)` and `sample(condition, n, rng=…)`; or a class, or a function without
            arguments, that makes one. It is copied before every fit.
        on: What to try it on: names of `CONTRACT_WORLDS`, or data of your own, such as those that
            `strategies.perturbation_data` draws.
        laws: Names of the laws to try; all of `LAWS` when None.
        exceptions: Laws that it is known to break, with the reason.
        tolerance: Largest energy distance between two predictions that are to agree, in units of the mean energy
            distance between training conditions, beside the noise of samples.
        seed: Seed of worlds and draws.

    Returns:
        One result for each law and dataset: those that held, that do not apply, and that are excepted.

    Raises:
        ContractError: If a law is broken that is not excepted; its `results` are those of all laws.
        InputError: If a name is unknown or there is no estimator. A `ValueError` of a fit to data of your own, which it
            refuses, is raised as it is.

    Example:
        >>> from pdae_sim.estimation import Linear
        >>> results = check_estimator(Linear, "linear")
        >>> sum(result.held for result in results), [r.law for r in results if r.status == "skipped"]
        (20, ['saving'])
    """
    made = _made(estimator) if inspect.isroutine(estimator) or isinstance(estimator, type) else estimator
    if not (hasattr(made, "fit") and hasattr(made, "sample")):
        raise InputError(f"estimator must have fit(data) and sample(condition, n, rng=…); received {made!r}")
    excused = dict(exceptions or {})
    for law in (*(laws or ()), *excused):
        choice("law", law, LAWS)
    tried = [law for law in LAWS.values() if laws is None or law.name in laws]
    results = []
    for where in [on] if isinstance(on, (str, PerturbationData)) else on:
        data = contract_data(where, seed=seed) if isinstance(where, str) else where
        results += _on(Trial(made, data, tolerance, seed), tried, where if isinstance(where, str) else "", excused)
    if any(result.status == "broken" for result in results):
        raise ContractError(type(made).__name__, results)
    return results


def _made(maker: Callable[[], Any]) -> Any:
    try:
        return maker()
    except TypeError as error:
        raise InputError(f"estimator must be made without arguments ({error}); give one that is made") from None
    except Exception as error:
        raise InputError(f"estimator cannot be made: it raised {type(error).__name__}: {error}") from error


def _on(trial: Trial, laws: Sequence[ContractLaw], world: str, excused: Mapping[str, str]) -> list[LawResult]:
    """What came of some laws on one dataset; of none but the first if a fit to it fails."""
    on = world or "data"
    try:
        trial.fitted  # noqa: B018
    except BrokenError as broken:
        return [LawResult("fit", on, "broken", str(broken))]
    except Exception as error:
        if not world and isinstance(error, ValueError):
            raise
        return [LawResult("fit", on, "broken", f"fit raised {type(error).__name__}: {error}")]
    return [_tried(law, trial, on, excused) for law in laws]


def _tried(law: ContractLaw, trial: Trial, on: str, excused: Mapping[str, str]) -> LawResult:
    try:
        return LawResult(law.name, on, "held", law.check(trial))
    except NotApplicableError as reason:
        return LawResult(law.name, on, "skipped", str(reason))
    except BrokenError as broken:
        status = "excepted" if law.name in excused else "broken"
        return LawResult(law.name, on, status, str(broken), excused.get(law.name, ""))
