"""Every figure of the report: plain numpy in, a matplotlib `Figure` out; nothing is shown, nothing is saved.

Each takes `width` in inches and arranges itself for it: `WIDE` is a column of the page, `NARROW` a phone.
"""

from pdae_sim.report._palette import NARROW, WIDE
from pdae_sim.report.additivity import additivity_cells, additivity_summary
from pdae_sim.report.causal import causal_graph
from pdae_sim.report.certificates import span_certificates, span_margins
from pdae_sim.report.counterexample import twins
from pdae_sim.report.curves import training_curves
from pdae_sim.report.design import cell_allocation, experiment_plan
from pdae_sim.report.goodness import goodness_figure
from pdae_sim.report.identification import identifiability
from pdae_sim.report.latent_scatter import latents
from pdae_sim.report.outcomes import estimator_bars
from pdae_sim.report.samples import compare_samples
from pdae_sim.report.shifts import shift_vectors
from pdae_sim.report.support import support_map
from pdae_sim.report.two_samples import corrected_p_values, null_distributions
from pdae_sim.report.verdicts import calibration, verdict_chart
from pdae_sim.report.worth import worth_in_cells

__all__ = [
    "NARROW",
    "WIDE",
    "additivity_cells",
    "additivity_summary",
    "calibration",
    "causal_graph",
    "cell_allocation",
    "compare_samples",
    "corrected_p_values",
    "estimator_bars",
    "experiment_plan",
    "goodness_figure",
    "identifiability",
    "latents",
    "null_distributions",
    "shift_vectors",
    "span_certificates",
    "span_margins",
    "support_map",
    "training_curves",
    "twins",
    "verdict_chart",
    "worth_in_cells",
]
