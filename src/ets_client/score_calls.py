"""The calls that judge paths: labels as the next token, and reward heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ._core.guard import check_paths
from ._core.serves import check_generates, check_reward_head

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from typing import Any, TypeVar

    from ._engine.connect import Connection
    from ._engine.deadline import Deadline
    from .branch import Branch
    from .prefix import Prefix
    from .scores import LabelChoice, LabelProbs, RewardScore, ScoreFailure
    from .server_info import ServerInfo

    T = TypeVar("T")

__all__ = ["ScoreCalls"]


class ScoreCalls(ABC):
    """What a search asks of a model that judges, of a client or within one of its trees."""

    @abstractmethod
    def _ready(self) -> Connection: ...

    @abstractmethod
    def _deadline(self, timeout: float | None) -> Deadline: ...

    @abstractmethod
    def _run(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]: ...

    async def label_probs(
        self,
        prefixes: Sequence[Prefix | Branch],
        labels: Sequence[str | int],
        *,
        timeout: float | None = None,
    ) -> list[LabelProbs | ScoreFailure]:
        """Probabilities of a few labels as the next token after each prefix, in one POST.

        This is how process reward models of the Math-Shepherd and RLHFlow kinds are read on stock SGLang. Nothing is
        generated: each prefix is sent once for each label, with the label behind it, and the server recomputes its last
        token and the label. What is cold and long enough is prefilled once before, shared by concurrent calls. It may
        share a server with any other call.

        Args:
            prefixes: paths that end where the model is to judge.
            labels: at most 256 different token ids, or texts that are one token (``["+", "-"]``).
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            One outcome a prefix: :class:`LabelProbs`, or a :class:`ScoreFailure` with the reason.

        Raises:
            InvalidRequestError: a label is not one token or outside the vocabulary, or a prefix is another model's.
            UnsupportedError: through a router, the prefixes have several namespaces.
            ConfigurationError: the server's model generates no tokens.
            RequestError: the call failed.

        Cancelling it stops its samples on the server in the background.
        """
        connection, paths = self._judge_of(prefixes, check_generates)
        return await self._run(connection.labels.probs(paths, labels, self._deadline(timeout)))

    async def label_choices(
        self,
        prefixes: Sequence[Prefix | Branch],
        labels: Sequence[str | int],
        *,
        timeout: float | None = None,
    ) -> list[LabelChoice | ScoreFailure]:
        """How the model would choose among a few labels after each prefix, in one POST.

        The same as :attr:`LabelProbs.probs` of :meth:`label_probs`, to a few millionths, at half its price or less: one
        prompt a prefix however many labels there are, of which the server computes what is not in its cache, and at
        least the last token. It samples one token with the labels lifted above all others, and throws it away. What is
        cold, shared and long enough is prefilled once before. Through a router, which carries no bias, each label is
        asked for alone, as by :meth:`label_probs`. It may share a server with any other call.

        Args:
            prefixes: paths that end where the model is to judge.
            labels: as in :meth:`label_probs`.
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            One outcome a prefix: :class:`LabelChoice`, or a :class:`ScoreFailure` with the reason.

        Raises:
            InvalidRequestError: a label is not one token or outside the vocabulary, or a prefix is another model's.
            UnsupportedError: through a router, the prefixes have several namespaces.
            ConfigurationError: the server's model generates no tokens.
            RequestError: the call failed.

        Cancelling it stops its samples on the server in the background.
        """
        connection, paths = self._judge_of(prefixes, check_generates)
        return await self._run(connection.labels.choices(paths, labels, self._deadline(timeout)))

    async def reward_scores(
        self, prefixes: Sequence[Prefix | Branch], *, timeout: float | None = None
    ) -> list[RewardScore | ScoreFailure]:
        """What the head of a reward or classification model says of each prefix, in one POST.

        For servers of models such as ``LlamaForSequenceClassification`` or ``Qwen2ForRewardModel``. SGLang reuses
        cached prefixes for them too, whatever their namespaces.

        Args:
            prefixes: paths; the head reads their last token.
            timeout: seconds, all retries included; None takes the client's.

        Returns:
            One outcome a prefix: :class:`RewardScore`, or a :class:`ScoreFailure` with the reason.

        Raises:
            InvalidRequestError: a prefix is another model's.
            ConfigurationError: the server's model has no such head; nothing was sent.
            RequestError: the call failed.

        Cancelling it stops what still waits on the server in the background.
        """
        connection, paths = self._judge_of(prefixes, check_reward_head)
        return await self._run(connection.rewards.scores(paths, self._deadline(timeout)))

    def _judge_of(
        self, prefixes: Sequence[Prefix | Branch], check: Callable[[ServerInfo], None]
    ) -> tuple[Connection, list[Prefix]]:
        """The connection to a server that can judge, and the paths as its model's."""
        connection = self._ready()
        check(connection.info)
        return connection, check_paths(prefixes, connection.info.tokenizer_path)
