from .counts import NegativeBinomialLikelihood as NegativeBinomialLikelihood
from .counts import PoissonLikelihood as PoissonLikelihood
from .dropout import DropoutLikelihood as DropoutLikelihood
from .gaussian import GaussianLikelihood as GaussianLikelihood
