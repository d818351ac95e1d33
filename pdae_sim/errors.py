"""Errors of the library; every one is an `InputError`, a `ValueError` with a message of one line."""

from __future__ import annotations

import re


class InputError(ValueError):
    """Bad input, told in one line that names the argument and the fix."""

    def __init__(self, message: object = "") -> None:
        super().__init__(re.sub(r"\s*\n\s*", " ", str(message)))


class LabelError(InputError):
    """A condition or a label that does not belong to the label space."""


class TrainingError(RuntimeError):
    """A loss or gradient that is not finite, named with phase, step and term."""
