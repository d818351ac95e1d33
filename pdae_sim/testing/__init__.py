"""What tests of your own estimators and readers stand on (extra ``testing``).

| name | what it is |
|---|---|
| `strategies` | hypothesis strategies for labels, worlds and data, with planted answers |
"""

from pdae_sim import strategies

__all__ = ["strategies"]
