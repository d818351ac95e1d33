"""The entries of ``uns["pdae_sim"]``, each of the kind that it is written as; what others wrote there is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pdae_sim.data import Truth
from pdae_sim.errors import InputError

_KINDS: dict[str, type | tuple[type, ...]] = {
    "control": str,
    "reference": str,
    "separator": str,
    "dose_separator": str,
    "no_control": (bool, np.bool_),
    "schema_version": (int, np.integer),
}


def remembered(about: object) -> dict[str, Any]:
    """What a dataset remembers of its labels.

    Args:
        about: The entry ``pdae_sim`` of `uns`; None where there is none.

    Raises:
        InputError: If an entry is of another kind than our files have there.
    """
    if about is None:
        return {}
    if not isinstance(about, Mapping):
        raise _foreign("pdae_sim", about)
    plain = {str(key): _scalar(value) for key, value in about.items()}
    for name, kind in _KINDS.items():
        if name in plain and not isinstance(plain[name], kind):
            raise _foreign(name, plain[name])
    names = plain.get("perturbations")
    if names is not None:
        names = np.asarray(names)
        if names.ndim != 1 or not all(isinstance(name, str) for name in names.tolist()):
            raise _foreign("perturbations", names)
        plain["perturbations"] = names
    return plain


def check_truth(truth: Truth, n: int, n_perturbations: int) -> Truth:
    """`truth`, if it is finite and of the shapes of n cells and their labels.

    Raises:
        ValueError: If it is not.
    """
    d = len(truth.covariance)
    shapes = {"z": (n, d), "z_base": (n, d), "perturbation_matrix": (d, n_perturbations), "covariance": (d, d)}
    for name, shape in shapes.items():
        array = getattr(truth, name)
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite and of shape {shape}, is {array.shape}")
    spread = np.linalg.eigvalsh(truth.covariance)
    if not np.allclose(truth.covariance, truth.covariance.T) or spread.min() < -1e-9 * spread.max():
        raise ValueError("Sigma is no covariance")
    return truth


def _scalar(value: object) -> object:
    """An array of one number or text as that."""
    return value.item() if isinstance(value, (np.ndarray, np.generic)) and np.ndim(value) == 0 else value


def _foreign(name: str, value: object) -> InputError:
    where = "uns['pdae_sim']" + ("" if name == "pdae_sim" else f"[{name!r}]")
    shown = " ".join(repr(value).split())[:60]
    return InputError(f"{where} is not what our files hold there ({shown}); delete the entry, or write the file again")
