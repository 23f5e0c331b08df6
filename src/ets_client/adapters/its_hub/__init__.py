"""Red Hat's its_hub on a policy server: its language model, orchestrator and reward models.

Needs the extra ``ets-client[its-hub]``.
"""

try:
    import its_hub.api as _  # noqa: F401  # pyright: ignore[reportMissingTypeStubs]
except ImportError as error:
    raise ImportError('its_hub is missing: pip install "ets-client[its-hub]"', name="its_hub") from error

from .language_model import PolicyLanguageModel
from .orchestrator import PolicyOrchestrator
from .rewards import OutcomeReward, ProcessReward

__all__ = ["OutcomeReward", "PolicyLanguageModel", "PolicyOrchestrator", "ProcessReward"]
