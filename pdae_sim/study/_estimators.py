"""Estimators by kind, as a declaration names them: settings checked before anything runs, fits seeded by the caller."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from pdae_sim._checks import choice, naming, near_misses, whole
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation.adversarial import AdversarialAutoencoder, Adversary
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.estimation.conditional import ConditionalGenerator
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.phases import Phase
from pdae_sim.estimation.presets import LATENTS, PRESETS
from pdae_sim.estimation.replicates import fit_replicates
from pdae_sim.estimation.tilting import Tilting
from pdae_sim.protocols import Estimator

log = logging.getLogger(__name__)

ALWAYS = ("ceiling", "oracle")
"""Judged beside every estimator, declared or not: the noise ceiling of predictions, the oracle of identification."""

_PHASE = ("steps", "weights", "cells", "environments", "learning_rate", "clip", "decay", "held_out")
_FRAME = ("n_latents", "extra_latents", "architecture", "beta", "device", "precision")
_REPRESENT = PRESETS["represent"]
_RIVAL_PHASE = ("steps", "cells", "environments", "learning_rate", "clip", "decay", "schedule", "held_out")
_ADVERSARIAL = ("n_latents", "dose_curve", "min_variance", "device")
_CONDITIONAL = ("n_latents", "beta", "device")


@dataclass(frozen=True, eq=False)
class Fit:
    """What a kind is given to fit.

    Args:
        data: Training environments, and held-out ones that no estimator looks at.
        n_latents: d_Z of the world, which a setting may replace; None where nobody knows it.
        seed: Of this fit.
        settings: Those of the declaration.
        fitted: Estimators declared and fitted before this one, by name.
    """

    data: PerturbationData
    n_latents: int | None
    seed: int
    settings: Mapping = field(default_factory=dict)
    fitted: Mapping[str, Estimator] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A kind of estimator.

    Args:
        fit: From data and settings to a fitted estimator.
        settings: Names of the settings it knows.
        phases: The training plan its settings make; empty where nothing is trained.
        fit_many: From several jobs of the same settings to an estimator for each, all at once; None where one by one is
            as good. If it fails, `fit` is asked for each.
        build: From settings to an unfitted estimator, which refuses phases and networks that do not go together.
    """

    fit: Callable[[Fit], Estimator]
    settings: tuple[str, ...] = ()
    phases: Callable[[Mapping], tuple[Phase, ...]] = lambda _: ()
    fit_many: Callable[[list[Fit]], list[Estimator]] | None = None
    build: Callable[[Mapping], object] = lambda _: None


def check_estimator(name: str, kind: str, settings: Mapping) -> None:
    """Refuse an unknown kind, an unknown setting or one out of range, in one line."""
    with naming(f"estimator {name!r}"):
        known = kind_of(kind)
        for key in settings:
            if known.settings != ("*",) and key not in known.settings:
                raise InputError(f"unknown setting {key!r} of {kind!r}; {near_misses(key, known.settings)}")
        if "n_latents" in settings:
            whole("n_latents", settings["n_latents"])
        try:
            known.build(settings)
        except TypeError as error:
            raise InputError(str(error).replace("__init__() ", "")) from None


def settings_of(declared: Mapping) -> dict:
    """The settings of an estimator as a task declares it: all keys but name and kind."""
    return {key: value for key, value in declared.items() if key not in ("name", "kind")}


def fit_all(kind: str, jobs: Sequence[Fit]) -> list[Estimator | Exception]:
    """An estimator of a kind for each job, or what went wrong with it; several at once where the kind can."""
    together = _fit_together(kind, jobs) if len(jobs) > 1 else None
    return [_fit_or_error(kind, job) for job in jobs] if together is None else together


def fit_estimator(kind: str, job: Fit) -> Estimator:
    """Fit an estimator of a kind."""
    return kind_of(kind).fit(job)


def _fit_together(kind: str, jobs: Sequence[Fit]) -> list[Estimator] | None:
    """None where the kind cannot, or fails at it."""
    try:
        fit_many = kind_of(kind).fit_many
        found = None if fit_many is None else list(fit_many(list(jobs)))
        if found is not None and len(found) != len(jobs):
            raise InputError(f"fit_many gave {len(found)} estimators for {len(jobs)} jobs")
    except Exception as error:
        log.warning("%s cannot be fitted to %d replicates at once, but one by one: %s", kind, len(jobs), error)
        return None
    return found


def _fit_or_error(kind: str, job: Fit) -> Estimator | Exception:
    try:
        return fit_estimator(kind, job)
    except Exception as error:
        return error


def kind_of(kind: str) -> Kind:
    """A kind by name: one of `KINDS`, or ``module:name`` of a class with `fit(data)` and `sample(label, n, rng=…)`."""
    if ":" in kind:
        imported(kind)
        return Kind(lambda job: _built(kind, job).fit(job.data), ("*",))
    if kind not in KINDS:
        raise InputError(f"unknown estimator {kind!r}; {near_misses(kind, [*KINDS, *ALWAYS])}")
    return KINDS[kind]


def representation_of(estimator: object) -> object | None:
    """The part of an estimator that encodes cells and knows Ŵ; None where it learns no latents."""
    part = getattr(estimator, "representation", estimator)
    return part if hasattr(part, "encode") and hasattr(part, "perturbation_matrix_") else None


def staged(settings: Mapping) -> tuple[Phase, ...]:
    """The phases of a PDAE: `plan`, all of them with `steps`, then changed by a table under each phase's own name."""
    phases = PRESETS[_plan(settings)].shortened(settings.get("steps")).phases
    names = [phase.name for phase in phases]
    for key in settings:
        if key in _NAMES and key not in names:
            raise InputError(f"plan {_plan(settings)!r} has no phase {key!r}; it has {', '.join(names)}")
    return _each_changed(phases, settings)


def charted(settings: Mapping) -> tuple[Phase, ...]:
    """The phases of the default plan that learn encoder and Ŵ; none where another estimator has learnt them."""
    if "on" in settings:
        if len(settings) > 1:
            raise InputError("on takes the latents of another estimator as they are; leave out all other settings")
        return ()
    return _each_changed(LATENTS.shortened(settings.get("steps")).phases, settings)


def represented(settings: Mapping) -> tuple[Phase, ...]:
    """The one phase that learns encoder and Ŵ from density ratios alone."""
    return (_changed(_REPRESENT.phases[0], {key: settings[key] for key in _PHASE if key in settings}),)


def _plan(settings: Mapping) -> str:
    return choice("plan", settings.get("plan", "staged"), PRESETS)


def _planned(settings: Mapping) -> Architecture:
    return PRESETS[_plan(settings)].architecture


def _each_changed(phases: Sequence[Phase], settings: Mapping) -> tuple[Phase, ...]:
    return tuple(_changed(phase, settings.get(phase.name, {})) for phase in phases)


def _changed(phase: Phase, changes: Mapping) -> Phase:
    for key in changes:
        if key not in _PHASE:
            raise InputError(f"unknown setting {key!r} of phase {phase.name!r}; {near_misses(key, _PHASE)}")
    return replace(phase, **changes)


def _pdae_of(job: Fit) -> PDAE:
    return _model(job, staged(job.settings), _planned(job.settings))


def _density_ratio_of(job: Fit) -> PDAE:
    return _model(job, represented(job.settings), _REPRESENT.architecture)


def _charted_of(job: Fit) -> PDAE:
    return _model(job, charted(job.settings), LATENTS.architecture)


def _fitted(build: Callable[[Fit], PDAE], jobs: Sequence[Fit]) -> list[PDAE]:
    """Models built and fitted, several at once."""
    models = [build(job) for job in jobs]
    if len(models) > 1:
        return fit_replicates(models, [job.data for job in jobs])
    return [model.fit(job.data) for model, job in zip(models, jobs, strict=True)]


def _tilted(build: Callable[[Fit], PDAE], jobs: Sequence[Fit]) -> list[Tilting]:
    return [Tilting(model).fit(job.data) for model, job in zip(_fitted(build, jobs), jobs, strict=True)]


def _tilting(jobs: Sequence[Fit]) -> list[Tilting]:
    other = jobs[0].settings.get("on")
    if other is None:
        return _tilted(_charted_of, jobs)
    parts = [representation_of(job.fitted.get(other)) for job in jobs]
    if any(part is None for part in parts):
        raise InputError(f"on = {other!r}: no estimator of that name with latents was fitted before; put it first")
    return [Tilting(part).fit(job.data) for part, job in zip(parts, jobs, strict=True)]


def _adversarial(settings: Mapping, seed: int = 0) -> AdversarialAutoencoder:
    default = AdversarialAutoencoder()
    return AdversarialAutoencoder(
        architecture=replace(default.architecture, **settings.get("architecture", {})),
        adversary=Adversary(**settings.get("adversary", {})),
        phase=replace(default.phase, **_only(_RIVAL_PHASE, settings)),
        random_state=seed,
        **_only(_ADVERSARIAL, settings),
    )


def _conditional(settings: Mapping, seed: int = 0) -> ConditionalGenerator:
    default = ConditionalGenerator()
    return ConditionalGenerator(
        architecture=replace(default.architecture, **settings.get("architecture", {})),
        phase=replace(default.phase, **_only(_RIVAL_PHASE, settings)),
        random_state=seed,
        **_only(_CONDITIONAL, settings),
    )


def _only(names: Sequence[str], settings: Mapping) -> dict:
    return {key: settings[key] for key in names if key in settings}


def _rival(build: Callable[..., AdversarialAutoencoder | ConditionalGenerator], settings: tuple[str, ...]) -> Kind:
    """A kind with one phase; its number of latents is its own affair, not that of the world."""
    return Kind(
        lambda job: build(job.settings, job.seed).fit(job.data),
        ("architecture", *_RIVAL_PHASE, *settings),
        lambda given: (build(given).phase,),
        build=build,
    )


def _many(
    fit_many: Callable[[Sequence[Fit]], list[Estimator]],
    settings: tuple[str, ...],
    phases: Callable[[Mapping], tuple[Phase, ...]],
    architecture: Callable[[Mapping], Architecture],
) -> Kind:
    """A kind that fits one as it fits many."""

    def build(given: Mapping) -> PDAE:
        networks = replace(architecture(given), **given.get("architecture", {}))
        return PDAE(architecture=networks, phases=phases(given))

    return Kind(lambda job: fit_many([job])[0], settings, phases, fit_many, build)


def _baseline(name: str) -> Kind:
    return Kind(lambda job: BASELINES[name]().fit(job.data))


_NAMES = tuple(dict.fromkeys(phase.name for plan in PRESETS.values() for phase in plan.phases))

KINDS: dict[str, Kind] = {
    "pdae": _many(partial(_fitted, _pdae_of), (*_FRAME, "plan", "steps", *_NAMES), staged, _planned),
    "density_ratio": _many(
        partial(_tilted, _density_ratio_of), (*_FRAME, *_PHASE), represented, lambda _: _REPRESENT.architecture
    ),
    "tilting": _many(
        _tilting,
        (*_FRAME, "steps", "on", *(phase.name for phase in LATENTS.phases)),
        charted,
        lambda _: LATENTS.architecture,
    ),
    "adversarial": _rival(_adversarial, (*_ADVERSARIAL, "adversary")),
    "conditional": _rival(_conditional, _CONDITIONAL),
    **{name: _baseline(name) for name in BASELINES},
}


def _model(job: Fit, phases: tuple[Phase, ...], architecture: Architecture) -> PDAE:
    given = job.settings
    return PDAE(
        latents(job),
        architecture=replace(architecture, **given.get("architecture", {})),
        phases=phases,
        beta=given.get("beta", 1.0),
        random_state=job.seed,
        device=given.get("device", "cpu"),
        precision=given.get("precision", "float32"),
    )


def latents(job: Fit) -> int | None:
    """The latents to learn; None leaves their number to be estimated."""
    n, extra = job.settings.get("n_latents", job.n_latents), job.settings.get("extra_latents", 0)
    if n is None and extra:
        raise InputError("extra_latents needs n_latents where the true number is not known; give both")
    return None if n is None else n + extra


def _built(path: str, job: Fit) -> Estimator:
    cls = imported(path)
    seeded = "random_state" in inspect.signature(cls).parameters
    return cls(**({"random_state": job.seed} if seeded else {}), **job.settings)


def imported(path: str) -> object:
    """What ``module:name`` names."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{path!r} cannot be imported ({error}); write module:name") from None
