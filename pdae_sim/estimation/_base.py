"""What every estimator has beside `fit` and `sample`: its parameters by name, as scikit-learn reads them."""

from __future__ import annotations

import inspect
from typing import Any, Self

from pdae_sim._checks import near_misses
from pdae_sim.errors import InputError
from pdae_sim.labels import LabelSpace


class BaseEstimator:
    """Parameters of the constructor, read, changed and shown; `sklearn.base.clone` works on them.

    A subclass keeps each argument of its constructor, as it came, in an attribute of the same name, and refuses what
    is out of range in `_check_parameters`.
    """

    space_: LabelSpace

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """Default of each argument of the constructor."""
        return {name: p.default for name, p in inspect.signature(cls).parameters.items()}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Arguments of the constructor by name; with `deep` also those of estimators among them, as ``name__argument``.

        Args:
            deep: Whether to look into arguments that are estimators themselves.
        """
        own = {name: getattr(self, name) for name in self._defaults()}
        inner = {name: value.get_params() for name, value in own.items() if deep and hasattr(value, "get_params")}
        return own | {f"{name}__{key}": value for name, params in inner.items() for key, value in params.items()}

    def set_params(self, **params: Any) -> Self:
        """Change arguments of the constructor; what was fitted stays until the next fit.

        Args:
            **params: By name, or as ``name__argument`` for those of an estimator among them.

        Raises:
            InputError: If a name is unknown or a value out of range.
        """
        for key, value in params.items():
            name, _, rest = key.partition("__")
            if name not in self._defaults():
                raise InputError(
                    f"unknown parameter {name!r} of {type(self).__name__}; {near_misses(name, self._defaults())}"
                )
            if rest:
                getattr(self, name).set_params(**{rest: value})
            else:
                setattr(self, name, value)
        self._check_parameters()
        return self

    def __repr__(self) -> str:
        changed = {k: v for k, v in self.get_params(deep=False).items() if not _equal(v, self._defaults()[k])}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    @property
    def space(self) -> LabelSpace:
        """The label space of the data it was fitted to.

        Raises:
            InputError: If it is not fitted.
        """
        self._check_fitted()
        return self.space_

    def _check_parameters(self) -> None:
        """Refuse parameters out of range."""

    def _check_fitted(self) -> None:
        if not hasattr(self, "space_"):
            raise InputError(f"this {type(self).__name__} is not fitted; call fit(data) first")


def _equal(value: object, default: object) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))
