"""Every figure of the report: plain numpy in, a matplotlib `Figure` out; nothing is shown, nothing is saved.

Each takes `width` in inches and arranges itself for it: `WIDE` is a column of the page, `NARROW` a phone.
"""

from pdae_sim.report.causal import causal_graph
from pdae_sim.report.coordinates import latents
from pdae_sim.report.curves import training_curves
from pdae_sim.report.outcomes import estimator_bars
from pdae_sim.report.palette import NARROW, WIDE
from pdae_sim.report.samples import compare_samples
from pdae_sim.report.shifts import shift_vectors
from pdae_sim.report.support import support_map
from pdae_sim.report.twins import twins
from pdae_sim.report.verdicts import calibration, verdict_chart

__all__ = [
    "NARROW",
    "WIDE",
    "calibration",
    "causal_graph",
    "compare_samples",
    "estimator_bars",
    "latents",
    "shift_vectors",
    "support_map",
    "training_curves",
    "twins",
    "verdict_chart",
]
