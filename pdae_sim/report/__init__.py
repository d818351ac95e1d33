"""Figures that are returned, never shown or saved, and one self-contained HTML page. No window, no path, no printing.

One figure for every command:

| name | what it shows |
|---|---|
| `verdict_figure` | `span`: effective cells and standard errors at unseen conditions, by verdict |
| `design_figure` | `design`: experiments in order, noise gain before and after, cells |
| `additivity_figure` | `additivity`: where a product formula fails, or which of many do |
| `evaluation_figure` | `evaluate`: distance of every estimator from the true cells |
| `goodness_figure` | `evaluate --goodness`: p-values and worth of a fit, part by part |
| `identifiability_figure` | `identify`: class of maps, Gram matrix, effects against the truth |
| `geometry_figure` | `geometry`: conditions placed by their latent distances |
| `counterexample_figure` | `twins`: two models over each other in training, apart where unseen |
| `training_figure` | `fit`: loss terms, phase by phase |

Pages:

| name | what it is |
|---|---|
| `demo_page` | the page of `demo` |
| `study_page`, `study_index` | the page of a study, and an index of the studies in a folder |
| `Page`, `Section`, `Callout`, `Illustration`, `Table`, `Fact` | records that a page is made of |
| `render_page` | a page as one HTML document |
| `format_value`, `format_estimate` | a number as text, as tables show it; one with its interval |
| `Part`, `judged_part`, `sentences` | parts of a prediction with their evidence, and the verdict in words |

Figures of one's own in the same look:

| name | what it is |
|---|---|
| `new_figure`, `styled` | an empty figure, and the decorator of a function that fills it |
| `figure_png` | the bytes of a PNG file |
| `TRUE`, `PREDICTED`, `INK`, `MUTED`, `ENVIRONMENTS` | one colour per role |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
