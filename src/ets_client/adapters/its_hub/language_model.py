"""its_hub's language model, fulfilled by a policy server: text outside, token ids inside."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from its_hub.api import AbstractLanguageModel  # pyright: ignore[reportMissingTypeStubs]

from ...branch import Branch, EndReason
from ...errors import ConfigurationError, InvalidRequestError
from ...sampling import SamplingParams
from ...search.scorers import ScoredPath
from ...usage import Usage
from .calls import async_calls, blocking_calls
from .conversations import question_in, split_response
from .options import read_options
from .text_paths import KnownPath, TextPaths

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from its_hub.api import ChatMessage  # pyright: ignore[reportMissingTypeStubs]

    from ...client import AsyncPolicyClient
    from ...logprobs import LogprobOptions
    from ...prefix import Prefix
    from ...threads import PolicyClient
    from .calls import Ask, Calls, ExpandOptions
    from .options import Wanted
    from .text_paths import Conversation

    Messages = Sequence[ChatMessage | Mapping[str, Any]]

__all__ = ["PolicyLanguageModel"]

T = TypeVar("T")


class PolicyLanguageModel(AbstractLanguageModel):
    r"""A policy server as its_hub's language model.

    ::

        model = PolicyLanguageModel(client)
        steps = StepGeneration(max_steps=16, step_token="\n\n", stop_token="<end>")
        answer = await BeamSearch(steps, reward, beam_width=4).ainfer(model, "How many legs have 3 cats?", budget=16)

    its_hub hands paths on as text. Each text is mapped back to the :class:`Prefix` that wrote it, so that the server
    finds every token in its cache; only what somebody else wrote behind it is tokenised. Conversations of a batch that
    are the same go in one expand.

    A conversation of one user message is a question and gets the profile's prompt, worked examples included; any other
    one is sent as it is. A last message of the assistant's is gone on with. With ``stop`` a response is a step, at most
    as long as the profile's steps; without, it is a whole path. Tools are refused.

    A path that the model has ended, or that has no room, is not sent again: its next step is empty.

    Args:
        client: the policy. A :class:`PolicyClient` works in every thread and every loop, so with ``infer`` and
            :meth:`generate` too; an :class:`AsyncPolicyClient` in its own loop alone, with ``ainfer``.
        sampling: sampling where a call says nothing, over the client's and the profile's.
        end_mark: text put behind a response that the model ended by itself. its_hub sees no other end than a
            ``stop_token`` in the text: give ``StepGeneration`` the same, and what has ended is not asked again.
        logprobs: what scorers need of log-probabilities, as in :meth:`AsyncPolicyClient.expand`.
        timeout: seconds of a call, all retries included; None takes the client's.
        remember: texts whose tokens are remembered.

    Raises:
        ConfigurationError: ``remember`` is below 1.
    """

    def __init__(
        self,
        client: AsyncPolicyClient | PolicyClient,
        sampling: SamplingParams | None = None,
        *,
        end_mark: str = "",
        logprobs: bool | LogprobOptions = False,
        timeout: float | None = None,
        remember: int = 20_000,
    ) -> None:
        if remember < 1:
            raise ConfigurationError(f"remember = {remember}: at least 1 text")
        options: ExpandOptions = {"logprobs": logprobs, "timeout": timeout}
        self._calls = async_calls(client, options)
        self._blocking_calls = partial(blocking_calls, client, options)
        self._sampling = sampling
        self._end_mark = end_mark
        self._paths = TextPaths(remember)

    async def agenerate(
        self, messages: Messages | Sequence[Messages], stop: str | None = None, **options: Any
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Respond to a conversation, or to many at once.

        Args:
            messages: one conversation, or a list of them.
            stop: string that ends a response, or a list of them.
            options: the other arguments of its_hub's protocol: ``max_completion_tokens``, ``temperature`` (one for each
                conversation if it is a list), ``include_stop_str_in_output``, ``response_format``,
                ``usage_accumulator``.

        Returns:
            ``{"role": "assistant", "content": ...}``, or a list of them in the order of the conversations.

        Raises:
            InvalidRequestError: an argument or a message cannot be sent.
            UnsupportedError: tools.
            RequestError: a call failed; the others of the batch are stopped.

        Cancelling it stops its samples on the server.
        """
        return await self._generate(self._calls, messages, stop, options)

    async def agenerate_single(self, messages: Messages, stop: str | None = None, **options: Any) -> dict[str, Any]:
        """Respond to one conversation; as :meth:`agenerate`.

        Args:
            messages: the conversation.
            stop: string that ends the response.
            options: the other arguments of its_hub's protocol.
        """
        return (await self._respond(self._calls, [messages], stop, options))[0]

    def generate(
        self, messages: Messages | Sequence[Messages], stop: str | None = None, **options: Any
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """:meth:`agenerate` for threads: waits for the responses, also where an event loop runs, which it blocks.

        Args:
            messages: one conversation, or a list of them.
            stop: string that ends a response.
            options: the other arguments of its_hub's protocol.

        Raises:
            ConfigurationError: the client is an :class:`AsyncPolicyClient`.
        """
        return _run(self._generate(self._blocking_calls(), messages, stop, options))

    async def scored_path(self, messages: Messages) -> ScoredPath:
        """The path of a response, for scorers: its tokens, and where its steps begin.

        Args:
            messages: a conversation with the response as its last message.

        Raises:
            RequestError: the response is not known, and the server was asked to tokenise it and failed.
        """
        conversation, text = split_response(messages)
        path = await self._find(self._calls, conversation, text)
        branch = path.branch
        if branch is None:  # nobody sampled the last step: nobody knows why it ended
            text, ids = (path.prefix.step_text, path.prefix.step_token_ids) if path.text else ("", ())
            branch = Branch(text, ids, path.prefix, EndReason.UNKNOWN, None, "", Usage(), rid="")
        return ScoredPath(question_in(conversation), path.prefix, branch)

    async def _generate(
        self, calls: Calls, messages: Messages | Sequence[Messages], stop: str | None, options: Mapping[str, Any]
    ) -> dict[str, Any] | list[dict[str, Any]]:
        if messages and not isinstance(messages[0], list | tuple):
            return (await self._respond(calls, [cast("Messages", messages)], stop, options))[0]
        return await self._respond(calls, cast("Sequence[Messages]", messages), stop, options)

    async def _respond(
        self, calls: Calls, batch: Sequence[Messages], stop: str | None, options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        wanted = read_options(stop, options, self._sampling, len(batch))
        asked = [split_response(messages) for messages in batch]
        paths = {each: await self._find(calls, *each) for each in dict.fromkeys(asked)}
        groups: dict[tuple[Conversation, str, float | None], list[int]] = {}
        for place, ((conversation, text), sampling) in enumerate(zip(asked, wanted.samplings, strict=True)):
            groups.setdefault((conversation, text, sampling.temperature), []).append(place)
        contents = [""] * len(batch)
        sent: list[tuple[list[int], Ask]] = []
        for (conversation, text, _), places in groups.items():
            path = paths[conversation, text]
            settled = await self._settle(calls, path, wanted.samplings[places[0]])
            if settled is not None:
                sent.append((places, (path.prefix, len(places), settled)))
                continue
            for place in places:
                contents[place] = self._close(conversation, text, path)
        expansions = await calls.expand_all([ask for _, ask in sent])
        for (places, (_, _, sampling)), expansion in zip(sent, expansions, strict=True):
            for place, branch in zip(places, expansion, strict=True):
                contents[place] = self._take(*asked[place], paths[asked[place]], branch, sampling, wanted)
        return [{"role": "assistant", "content": content} for content in contents]

    async def _find(self, calls: Calls, conversation: Conversation, text: str) -> KnownPath:
        path = self._paths.find(conversation, text)
        if path is not None:
            return path
        path = self._paths.longest(conversation, text)
        if path is None:
            path = KnownPath(await self._root(calls, conversation), "")
            self._paths.add(conversation, path, "")
        rest = text[len(path.text) :]
        if rest and not (path.is_ended and path.is_only_closed_by(rest)):
            path = path.written_on(await calls.tokenize(rest), rest)
        self._paths.add(conversation, path, text)
        return path

    async def _root(self, calls: Calls, conversation: Conversation) -> Prefix:
        if len(conversation) == 1 and conversation[0][0] == "user":
            return await calls.root(conversation[0][1])
        return await calls.prefix([{"role": role, "content": content} for role, content in conversation])

    async def _settle(self, calls: Calls, path: KnownPath, sampling: SamplingParams) -> SamplingParams | None:
        """The sampling of an expand, or None where a path cannot go on."""
        if path.is_ended:
            return None
        is_step = sampling.stop is not None
        try:
            counts = await calls.effective_sampling(sampling, path.prefix, "expand" if is_step else "generate")
        except InvalidRequestError as error:
            if error.argument != "prefix" or not path.text:
                raise
            return None
        if is_step:
            return sampling
        # An expand without stops: the samples of a whole path share a POST too.
        stop = cast("tuple[str, ...]", counts["stop"].value or ())
        return SamplingParams(max_new_tokens=cast("int", counts["max_new_tokens"].value), stop=stop).over(sampling)

    def _close(self, conversation: Conversation, text: str, path: KnownPath) -> str:
        """What its_hub gets of a path that cannot go on."""
        if text.endswith(self._end_mark):
            return ""
        self._paths.add(conversation, path, text + self._end_mark)
        return self._end_mark

    def _take(
        self,
        conversation: Conversation,
        text: str,
        path: KnownPath,
        branch: Branch,
        sampling: SamplingParams,
        wanted: Wanted,
    ) -> str:
        """Remember a step, and say what its_hub gets of it."""
        if wanted.usage is not None:
            wanted.usage.add(branch.usage.prompt_tokens, branch.usage.completion_tokens)
        stop = branch.matched if branch.end is EndReason.DELIMITER and isinstance(branch.matched, str) else ""
        mark = self._end_mark if branch.end is EndReason.EOS else ""
        cut = path.text + branch.text
        known = KnownPath(branch.prefix, cut + stop + branch.overshoot, branch, sampling.stop or ())
        # A step without text must not take its parent's place.
        texts = [each for each in (cut + mark, cut, cut + stop, known.text) if len(each) > len(path.text)]
        self._paths.add(conversation, known, *texts)
        return path.text[len(text) :] + branch.text + (stop if wanted.keeps_stop else "") + mark


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that is never suspended."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("blocking calls do not suspend")
