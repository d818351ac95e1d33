"""What tests of your own estimators and readers stand on (extra ``testing`` for the strategies).

| name | what it is |
|---|---|
| `check_estimator` | hold an estimator to the laws that every one should obey |
| `LAWS`, `ContractLaw` | the laws by name |
| `CONTRACT_WORLDS`, `contract_data` | the small worlds they are tried on |
| `LawResult`, `ContractError` | what came of one law on one dataset; what is raised where one is broken |
| `strategies` | hypothesis strategies for labels, worlds and data, with planted answers |
"""

from pdae_sim import strategies
from pdae_sim.testing.contract import LAWS, ContractError, ContractLaw, LawResult, check_estimator
from pdae_sim.testing.contract_worlds import CONTRACT_WORLDS, contract_data

__all__ = [
    "CONTRACT_WORLDS",
    "LAWS",
    "ContractError",
    "ContractLaw",
    "LawResult",
    "check_estimator",
    "contract_data",
    "strategies",
]
