from . import analysis as analysis
from . import estimation as estimation
from . import io as io
from . import report as report
from . import simulation as simulation
from . import strategies as strategies
from . import study as study
from . import testing as testing
from .analysis.identifiability.alignment import align as align
from .analysis.span import check_span as check_span
from .data import PerturbationData as PerturbationData
from .data import Simulation as Simulation
from .data import Truth as Truth
from .energy import energy_distance as energy_distance
from .energy import energy_score as energy_score
from .errors import InputError as InputError
from .estimation.pdae import PDAE as PDAE
from .labels import LabelSpace as LabelSpace
from .simulation.latent import LinearLatentModel as LinearLatentModel
from .simulation.simulator import Simulator as Simulator

__version__: str
