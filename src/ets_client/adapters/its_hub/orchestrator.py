"""its_hub's orchestrator: a batch stays a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from its_hub.api import AbstractOrchestrator  # pyright: ignore[reportMissingTypeStubs]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from its_hub.api import AbstractLanguageModel  # pyright: ignore[reportMissingTypeStubs]

    from .language_model import Messages

__all__ = ["PolicyOrchestrator"]


class PolicyOrchestrator(AbstractOrchestrator):
    """Hands a whole batch to the language model, for BestOfN and the SelfConsistency family.

    ::

        answer = await BestOfN(reward, PolicyOrchestrator()).ainfer(model, "How many legs have 3 cats?", budget=16)

    its_hub's own orchestrator makes a call for each response, at most 32 at once. The server holds their prompt once
    either way; a batch is one POST, and the client's ``admission`` says how much is in flight.
    """

    async def agenerate(
        self,
        lm: AbstractLanguageModel,
        messages_lst: Sequence[Messages],
        stop: str | None = None,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """Respond to many conversations at once.

        Args:
            lm: the language model.
            messages_lst: conversations.
            stop: string that ends a response.
            options: as :meth:`PolicyLanguageModel.agenerate` has them.

        Returns:
            A response for each, in their order.
        """
        if not messages_lst:
            return []
        model = cast("Any", lm)  # its_hub's types leave the dictionaries open
        responses: list[dict[str, Any]] = await model.agenerate(messages_lst, stop, **options)
        return responses
