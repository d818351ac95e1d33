"""The evidence of a span certificate by the names of conditions and perturbations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdae_sim.analysis.span import SpanCertificate


def evidence(certificate: SpanCertificate, conditions: Sequence[str], names: Sequence[str]) -> dict:
    """The fields `coefficients` and `witness` of JSON output; what is zero is left out."""
    alpha, v = certificate.coefficients, certificate.witness
    return {
        "coefficients": {} if alpha is None else _named(conditions, alpha.tolist()),
        "witness": None if v is None else _named(names, v.tolist()),
    }


def _named(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    return {name: value for name, value in zip(names, values, strict=True) if value}
