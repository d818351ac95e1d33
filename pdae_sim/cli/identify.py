"""`identify`: what was learnt against the truth of a simulated world."""

from __future__ import annotations

from pdae_sim._checks import InputError
from pdae_sim.cli.matching import check_match
from pdae_sim.cli.options import File, Json, Model, Quiet, Seed
from pdae_sim.cli.output import Output, table
from pdae_sim.data import Simulation
from pdae_sim.estimation.pdae import PDAE


def identify(model: Model, file: File, seed: Seed = 0, as_json: Json = False, quiet: Quiet = False) -> None:
    """Learnt against true latents and W, on fresh cells of a simulated world."""
    from pdae_sim.study.identification import identify as compare

    output = Output.started(as_json, quiet)
    fitted, simulation = PDAE.load(model), Simulation.read(file)
    check_match(fitted, simulation.data, model, file)
    d = simulation.truth.z.shape[1]
    if len(fitted.perturbation_matrix_) != d:
        raise InputError(
            f"{model}: has {len(fitted.perturbation_matrix_)} latents where {file} has {d}; fit with --latents {d}"
        )
    result = compare(fitted, simulation, rng=seed).to_json()
    low, high = result["gram_error_oracle"]
    rows = [(k, result[k], *(f"{v:.4g}" for v in result["intervals"][k])) for k in ("affine_r2", "orthogonal_r2")]
    rows += [("gram_error", result["gram_error"], f"oracle {low:.4g}", f"oracle {high:.4g}")]
    rows += [
        (f"singular value {j + 1}", value, *(f"{v:.4g}" for v in result["intervals"]["singular_values"][j]))
        for j, value in enumerate(result["singular_values"])
    ]
    output.result(result, table(f"{model} against the truth of {file}", ("quantity", "value", "low", "high"), rows))
