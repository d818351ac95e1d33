"""Estimators by kind, as a declaration names them: settings checked before anything runs, fits seeded by the caller."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pdae_sim._checks import choice, naming, near_misses, whole
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation.additive_vae import AdditiveVAE
from pdae_sim.estimation.adversarial import AdversarialAutoencoder
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.estimation.conditional import ConditionalGenerator
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.phases import Phase
from pdae_sim.estimation.presets import LATENTS, PRESETS, Preset
from pdae_sim.estimation.replicates import fit_replicates
from pdae_sim.estimation.tilting import Tilting
from pdae_sim.protocols import Estimator, LatentModel
from pdae_sim.study._own_code import is_own, own_class

_log = logging.getLogger(__name__)

_Rival = AdditiveVAE | AdversarialAutoencoder | ConditionalGenerator

ALWAYS = ("ceiling", "oracle")
"""Judged beside every estimator, declared or not: the noise ceiling of predictions, the oracle of identification."""

_PHASE = ("steps", "weights", "cells", "environments", "learning_rate", "clip", "decay", "held_out")
_FRAME = ("n_latents", "extra_latents", "architecture", "observation", "beta", "device", "precision")
_AUTO = "auto"
_RIVAL_PHASE = ("steps", "cells", "environments", "learning_rate", "clip", "decay", "schedule", "held_out")
_PHASE_NAMES = tuple(dict.fromkeys(phase.name for preset in PRESETS.values() for phase in preset.phases))


@dataclass(frozen=True, eq=False)
class FitJob:
    """One fit of an estimator.

    Args:
        data: Training environments, and held-out ones that no estimator looks at.
        n_latents: d_Z of the world, which a setting may replace; None where nobody knows it.
        seed: Seed of this fit.
        settings: Settings of the declaration.
        fitted: Estimators declared and fitted before this one, by name.
    """

    data: PerturbationData
    n_latents: int | None
    seed: int
    settings: Mapping = field(default_factory=dict)
    fitted: Mapping[str, Estimator] = field(default_factory=dict)


@dataclass(frozen=True)
class EstimatorKind:
    """A kind of estimator.

    Args:
        fit: From data and settings to a fitted estimator.
        settings: Names of the settings it knows.
        phases: The training plan its settings make; empty where nothing is trained.
        fit_many: From several jobs of the same settings to an estimator for each, all at once; None where one by one is
            as good. If it fails, `fit` is asked for each.
        build: From settings to an unfitted estimator, which refuses phases and networks that do not go together.
    """

    fit: Callable[[FitJob], Estimator]
    settings: tuple[str, ...] = ()
    phases: Callable[[Mapping], tuple[Phase, ...]] = lambda _: ()
    fit_many: Callable[[list[FitJob]], Sequence[Estimator]] | None = None
    build: Callable[[Mapping], object] = lambda _: None


def check_estimator(name: str, kind: str, settings: Mapping, *, trust: bool) -> None:
    """Refuse an unknown kind, an unknown setting or one out of range, in one line.

    Args:
        name: The estimator's name in the rows.
        kind: One of `KINDS`, or ``module:Class``.
        settings: All other keys.
        trust: Import a class of one's own and see whether it is one; else only its name is looked at.
    """
    with naming(f"estimator {name!r}"):
        known = kind_of(kind)
        for key in settings:
            if known.settings != ("*",) and key not in known.settings:
                raise InputError(f"unknown setting {key!r} of {kind!r}; {near_misses(key, known.settings)}")
        if "n_latents" in settings:
            whole("n_latents", settings["n_latents"])
        if is_own(kind) and not trust:
            return
        try:
            known.build(settings)
        except TypeError as error:
            raise InputError(str(error).replace("__init__() ", "")) from None


def settings_of(declared: Mapping) -> dict:
    """The settings of an estimator as a task declares it: all keys but name and kind."""
    return {key: value for key, value in declared.items() if key not in ("name", "kind")}


def fit_all(kind: str, jobs: Sequence[FitJob]) -> Sequence[Estimator | Exception]:
    """An estimator of a kind for each job, or what went wrong with it; several at once where the kind can."""
    together = _fit_together(kind, jobs) if len(jobs) > 1 else None
    return [_fit_or_error(kind, job) for job in jobs] if together is None else together


def _fit_together(kind: str, jobs: Sequence[FitJob]) -> Sequence[Estimator] | None:
    """An estimator for each job; None where the kind cannot fit many, or fails at it."""
    try:
        fit_many = kind_of(kind).fit_many
        estimators = None if fit_many is None else fit_many(list(jobs))
        if estimators is not None and len(estimators) != len(jobs):
            raise InputError(f"fit_many gave {len(estimators)} estimators for {len(jobs)} jobs")
    except Exception as error:
        _log.warning("%s cannot be fitted to %d replicates at once, but one by one: %s", kind, len(jobs), error)
        return None
    return estimators


def _fit_or_error(kind: str, job: FitJob) -> Estimator | Exception:
    try:
        return kind_of(kind).fit(job)
    except Exception as error:
        return error


def kind_of(kind: str) -> EstimatorKind:
    """A kind by name: one of `KINDS`, or ``module:name`` of a class with `fit(data)` and `sample(label, n, rng=…)`."""
    if is_own(kind):
        return EstimatorKind(
            lambda job: _own(kind, job.settings, job.seed).fit(job.data), ("*",), build=lambda given: _own(kind, given)
        )
    if kind not in KINDS:
        raise InputError(f"unknown estimator {kind!r}; {near_misses(kind, [*KINDS, *ALWAYS])}")
    return KINDS[kind]


def representation_of(estimator: object) -> LatentModel | None:
    """The part of an estimator that encodes cells and knows Ŵ; None where it learns no latents."""
    part = getattr(estimator, "representation", estimator)
    return part if isinstance(part, LatentModel) else None


def pdae_preset(settings: Mapping) -> Preset:
    """A plan by name, all phases with `steps`, then changed by a table under each phase's own name."""
    plan = choice("plan", settings.get("plan", _AUTO), (_AUTO, *PRESETS))
    plan = ("marginal" if "marginal" in settings else "staged") if plan == _AUTO else plan
    names = [phase.name for phase in PRESETS[plan].phases]
    for key in settings:
        if key in _PHASE_NAMES and key not in names:
            raise InputError(f"plan {plan!r} has no phase {key!r}; it has {', '.join(names)}")
    return _changed(PRESETS[plan], settings)


def _cells_decide(settings: Mapping) -> bool:
    """Whether the plan is left to the cells: none is named, and no phase or network of one is changed."""
    return settings.get("plan", _AUTO) == _AUTO and not any(k in settings for k in (*_PHASE_NAMES, "architecture"))


def latents_preset(settings: Mapping) -> Preset:
    """The part of the default plan that learns encoder and Ŵ; no phase where another estimator has learnt them."""
    if "on" not in settings:
        return _changed(LATENTS, settings)
    if len(settings) > 1:
        raise InputError("on takes the latents of another estimator as they are; leave out all other settings")
    return replace(LATENTS, phases=())


def density_ratio_preset(settings: Mapping) -> Preset:
    """The one phase that learns encoder and Ŵ from density ratios alone."""
    preset = PRESETS["represent"]
    return _changed(preset, {**settings, preset.phases[0].name: _only(_PHASE, settings)})


def _changed(preset: Preset, settings: Mapping) -> Preset:
    phases = preset.shortened(settings.get("steps")).phases
    architecture = replace(preset.architecture, **settings.get("architecture", {}))
    return Preset(tuple(_changed_phase(phase, settings.get(phase.name, {})) for phase in phases), architecture)


def _changed_phase(phase: Phase, changes: Mapping) -> Phase:
    for key in changes:
        if key not in _PHASE:
            raise InputError(f"unknown setting {key!r} of phase {phase.name!r}; {near_misses(key, _PHASE)}")
    return replace(phase, **changes)


def _only(names: Sequence[str], settings: Mapping) -> dict:
    return {key: settings[key] for key in names if key in settings}


def _trained(preset: Callable[[Mapping], Preset], *names: str, tilted: bool = False) -> EstimatorKind:
    """A PDAE with a plan, or tilting on one; many are fitted at once."""

    def fit_many(jobs: Sequence[FitJob]) -> Sequence[Estimator]:
        if "on" in jobs[0].settings:
            return [Tilting(_named_before(job)).fit(job.data) for job in jobs]
        models, data = [_pdae(job, preset) for job in jobs], [job.data for job in jobs]
        fitted = fit_replicates(models, data) if len(jobs) > 1 else [models[0].fit(data[0])]
        return [Tilting(model).fit(job.data) for model, job in zip(fitted, jobs, strict=True)] if tilted else fitted

    def build(settings: Mapping) -> PDAE:
        return PDAE(**_planned(preset, settings))

    phases = lambda settings: preset(settings).phases  # noqa: E731
    return EstimatorKind(lambda job: fit_many([job])[0], (*_FRAME, *names), phases, fit_many, build)


def _pdae(job: FitJob, preset: Callable[[Mapping], Preset]) -> PDAE:
    options = _only(("beta", "device", "precision"), job.settings)
    return PDAE(latents(job), random_state=job.seed, **_planned(preset, job.settings), **options)


def _planned(preset: Callable[[Mapping], Preset], settings: Mapping) -> dict[str, Any]:
    """Observation model, phases and networks of a PDAE; what is left to the cells is left out."""
    options = _only(("observation",), settings)
    if preset is not density_ratio_preset and _cells_decide(settings):
        return options | _only(("steps",), settings)
    plan = preset(settings)
    return options | {"architecture": plan.architecture, "phases": plan.phases}


def _named_before(job: FitJob) -> LatentModel:
    other = job.settings["on"]
    model = representation_of(job.fitted.get(other))
    if model is None:
        raise InputError(f"on = {other!r}: no estimator of that name with latents was fitted before; put it first")
    return model


def _rival(cls: type[_Rival]) -> EstimatorKind:
    """A kind with one phase; its number of latents is its own affair, not that of the world."""
    default = cls()
    own = [name for name in default.get_params(deep=False) if name not in ("phase", "random_state")]

    def build(settings: Mapping, seed: int = 0) -> _Rival:
        tables = {
            key: replace(getattr(default, key), **settings[key])
            for key in ("architecture", "adversary")
            if key in settings
        }
        phase = replace(default.phase, **_only(_RIVAL_PHASE, settings))
        return cls(**{**_only(own, settings), **tables}, phase=phase, random_state=seed)

    return EstimatorKind(
        lambda job: build(job.settings, job.seed).fit(job.data),
        (*own, *_RIVAL_PHASE),
        lambda settings: (build(settings).phase,),
        build=build,
    )


def _baseline(name: str) -> EstimatorKind:
    return EstimatorKind(lambda job: BASELINES[name]().fit(job.data))


KINDS: dict[str, EstimatorKind] = {
    "pdae": _trained(pdae_preset, "plan", "steps", *_PHASE_NAMES),
    "density_ratio": _trained(density_ratio_preset, *_PHASE, tilted=True),
    "tilting": _trained(latents_preset, "steps", "on", *(phase.name for phase in LATENTS.phases), tilted=True),
    "additive_vae": _rival(AdditiveVAE),
    "adversarial": _rival(AdversarialAutoencoder),
    "conditional": _rival(ConditionalGenerator),
    **{name: _baseline(name) for name in BASELINES},
}


def latents(job: FitJob) -> int | None:
    """The latents to learn; None leaves their number to be estimated."""
    n, extra = job.settings.get("n_latents", job.n_latents), job.settings.get("extra_latents", 0)
    if n is None and extra:
        raise InputError("extra_latents needs n_latents where the true number is not known; give both")
    return None if n is None else n + extra


def _own(path: str, settings: Mapping, seed: int = 0) -> Any:
    """An estimator of a user's own class, with the seed if it takes one."""
    cls = own_class(path)
    seeded = "random_state" in inspect.signature(cls).parameters
    return cls(**({"random_state": seed} if seeded else {}) | dict(settings))
