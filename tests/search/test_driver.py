"""The search against a scripted SGLang: decisions, accounting and endings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    EndReason,
    Profile,
    RequestRejectedError,
    RetryPolicy,
    SamplingParams,
    ServerUnreachableError,
    load_profile,
)
from ets_client.search import (
    Budget,
    LevelEnded,
    NodeAdded,
    Question,
    Rebase,
    SearchEnded,
    SearchEvent,
    SearchOptions,
    SearchStarted,
    TreeSearch,
    WidthAllocated,
    search_all,
)
from ets_client.search.driver import is_final
from ets_client.search.journal import EndEntry, QuestionEntry, StepsEntry
from ets_client.search.record import Record
from tests.fakes import FakeServer, eventually, sample
from tests.search.trees import MemoryJournal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NO_WAIT = RetryPolicy(attempts=2, first_wait=0.0, most_wait=0.0)
EOS = {"type": "stop", "matched": 1}


def ids(text: str) -> list[int]:
    return [ord(character) for character in text]


def step(rid: str, text: str, logprob: float, prompt: int, finish: dict[str, Any] | None = None) -> dict[str, Any]:
    tokens = [*ids(text), 300] if finish is None else ids(text)
    logprobs = [[logprob, token, None] for token in tokens]
    return sample(rid, tokens, finish, prompt, output_token_logprobs=logprobs)


class Script:
    """Steps that answer at a given depth; the quality of a step is told by its first letter."""

    def __init__(self, last_depth: int) -> None:
        self.last_depth = last_depth
        self.asked: list[int] = []
        self.root_length = 0

    def __call__(self, rid: str, params: dict[str, Any], prompt: int) -> dict[str, Any]:
        self.root_length = self.root_length or prompt
        self.asked.append(prompt)
        number = len(self.asked)
        if prompt - self.root_length >= self.last_depth * 2 - 2:
            return step(rid, f"The answer is {40 + number % 2 * 2}", -0.1 - 0.01 * number, prompt, EOS)
        return step(rid, "abcdefgh"[number % 8], -0.1 * (number % 8), prompt)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[AsyncPolicyClient]:
    profile = load_profile("tiny").model_copy(update={"model": None})
    transport = httpx.MockTransport(server)
    async with AsyncPolicyClient("http://fake", profile, transport=transport, retry=NO_WAIT) as opened:
        yield opened


QUESTION = Question(problem="Why?", answer="42")


def rebase(client: AsyncPolicyClient, **options: Any) -> TreeSearch:
    return TreeSearch(client, Rebase(), options=SearchOptions(**{"depth": 6, **options}))


async def test_every_level_shares_out_the_width_that_is_left(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.answer = Script(last_depth=3)
    result = await rebase(client, width=8, depth=6).run(QUESTION)
    widths = [sum(node.multiplicity for node in result.tree.level(depth)) for depth in range(5)]
    assert widths == [1, 8, 8, 8, 0]
    for node in result.tree:
        assert sum(child.multiplicity for child in node.children) == node.width
    assert result.samples == 24
    assert result.is_complete


@pytest.mark.parametrize("barrier", ["level", "none"])
async def test_a_step_is_continued_with_its_own_seed_and_each_piece_is_an_expand(
    server: FakeServer, barrier: str
) -> None:
    asked: dict[int, list[int]] = {}

    def answer(rid: str, params: dict[str, Any], prompt: int) -> dict[str, Any]:
        mine = asked.setdefault(params["sampling_seed"], [])
        mine.append(prompt)
        length = {"type": "length", "length": params["max_new_tokens"]}
        name = "ab"[params["sampling_seed"] % 2]
        return step(rid, name * 4, -0.1, prompt, length) if len(mine) < 3 else step(rid, "c", -0.1, prompt)

    server.answer = answer
    server.info["enable_deterministic_inference"] = True
    options: dict[str, Any] = {"sampling": SamplingParams(max_new_tokens=4), "seed": 3, "on_length": "continue"}
    options |= {"width": 2, "depth": 1, "barrier": barrier}
    journal = MemoryJournal()
    profile = load_profile("tiny").model_copy(update={"model": None})
    async with AsyncPolicyClient(
        "http://fake", profile, transport=httpx.MockTransport(server), retry=NO_WAIT
    ) as client:
        result = await rebase(client, **options).run(QUESTION, record=Record(0, journal))
        record = Record(0, MemoryJournal(), journal.paid.question(0))
        again = await rebase(client, **options).run(QUESTION, record=record)
    assert sorted(node.text for node in result.tree.level(1)) == ["aaaaaaaac", "bbbbbbbbc"]
    assert [[prompt - one[0] for prompt in one] for one in asked.values()] == [[0, 4, 8]] * 2
    assert result.expands == 1 + 2 * 2
    steps = [step for entry in journal.entries if isinstance(entry, StepsEntry) for step in entry.steps]
    assert [step.pieces for step in steps] == [3, 3]
    assert (again.expands, again.usage) == (result.expands, result.usage)


async def test_answers_vote_and_are_graded(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.answer = Script(last_depth=1)
    result = await rebase(client, width=4).run(QUESTION)
    assert {node.answer for node in result.tree.answered()} == {"40", "42"}
    assert result.answer == "42"  # as many votes, said with more certainty
    assert result.is_correct is True
    wrong = await rebase(client, width=4).run(Question(problem="Why?", answer="7"))
    assert wrong.is_correct is False
    unknown = await rebase(client, width=4).run(Question(problem="Why?"))
    assert unknown.is_correct is None


async def test_without_an_answer_the_search_ends_at_its_depth(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.answer = Script(last_depth=99)
    result = await rebase(client, width=2, depth=3).run(QUESTION)
    assert (result.answer, result.is_correct) == (None, False)
    assert max(node.depth for node in result.tree) == 3


async def test_a_path_that_ends_takes_its_width_with_it(client: AsyncPolicyClient, server: FakeServer) -> None:
    finishes: list[dict[str, Any] | None] = [EOS, EOS, None, None, *([EOS] * 2)]

    def answer(rid: str, params: dict[str, Any], prompt: int) -> dict[str, Any]:
        return step(rid, "abcdef"[len(finishes) - 1], -0.5, prompt, finishes.pop(0))

    server.answer = answer
    result = await rebase(client, width=4).run(QUESTION)
    assert [[node.multiplicity for node in result.tree.level(depth)] for depth in (1, 2, 3)] == [[1] * 4, [1, 1], []]
    ended = [node.branch.end for node in result.tree if node.branch is not None and not node.is_open]
    assert ended == [EndReason.EOS] * 4


async def test_children_are_expanded_from_exact_ids_in_one_post_each(
    client: AsyncPolicyClient, server: FakeServer
) -> None:
    server.answer = Script(last_depth=2)
    result = await rebase(client, width=4).run(QUESTION)
    root = result.tree.root.prefix.token_ids
    assert (len(server.leaders), len(server.prefills)) == (1, 0)  # the cold root, once
    assert len(server.batches) - 1 == result.expands == 1 + sum(node.width > 0 for node in result.tree.level(1))
    for body in server.batches[2:]:
        assert body["input_ids"][0][: len(root)] == root
        assert body["input_ids"][0][-1] == 300  # the delimiter stays in the ids
        assert body["return_logprob"] is True


async def test_usage_adds_up_all_requests(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.answer = Script(last_depth=2)
    result = await rebase(client, width=4).run(QUESTION)
    root = len(result.tree.root.prefix)
    assert (
        result.usage.computed_tokens == result.samples
    )  # the fake says of each sample that all but one token was cached
    assert result.usage.prompt_tokens == 4 * root + 4 * (root + 2)


async def test_events_tell_the_whole_story_in_order(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.answer = Script(last_depth=2)
    events: list[SearchEvent] = []
    result = await rebase(client, width=2).run(QUESTION, 7, observe=events.append)
    kinds = [type(event) for event in events]
    level = [WidthAllocated, NodeAdded, NodeAdded, LevelEnded]
    assert kinds == [SearchStarted, *level, *level, SearchEnded]
    assert {event.number for event in events} == {7}
    last = events[-1]
    assert isinstance(last, SearchEnded)
    assert last.result is result


async def test_when_the_time_is_over_the_best_so_far_is_returned(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.answer = Script(last_depth=9)
    result = await rebase(client, width=2, budget=Budget(seconds=1e-9)).run(QUESTION)
    assert (result.why, result.is_complete, result.samples, result.answer) == ("seconds", False, 0, None)


async def test_a_failing_expand_ends_its_question_alone(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.answer = Script(last_depth=1)
    refused = httpx.Response(400, json={"error": {"message": "too odd"}})
    server.overrides["/generate"] = [refused]
    run = await search_all(rebase(client, width=2), [QUESTION] * 3, at_once=1)
    assert [result.why.split(" (")[0] for result in run.results.values()] == [
        "error: the server says: too odd", "done", "done",
    ]  # fmt: skip
    assert isinstance(run.results[0].error, RequestRejectedError)
    assert run.failed == 1


async def test_a_question_that_is_too_long_ends_with_that(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.answer = Script(last_depth=1)
    events: list[SearchEvent] = []
    questions = [Question(problem="x" * 3000), QUESTION]
    run = await search_all(rebase(client, width=2), questions, at_once=1, observe=events.append)
    assert "3001" in run.results[0].why
    assert [type(event) for event in events[:2]] == [SearchStarted, SearchEnded]
    assert run.results[1].why == "done"
    journal = MemoryJournal()
    await rebase(client).run(questions[0], 0, record=Record(0, journal))
    again = await rebase(client).run(questions[0], 0, record=Record(0, journal, journal.paid.question(0)))
    assert "3001" in again.why
    assert [type(entry) for entry in journal.entries] == [QuestionEntry, EndEntry, EndEntry]


async def test_a_server_that_is_gone_ends_the_run(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.overrides["/generate"] = [httpx.ConnectError("gone")] * 20
    with pytest.raises(ServerUnreachableError, match="gone"):
        await search_all(rebase(client), [QUESTION] * 3)


async def test_all_questions_are_searched_a_few_at_a_time(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.answer = Script(last_depth=1)
    running: set[int] = set()
    most = 0

    def watch(event: SearchEvent) -> None:
        nonlocal most
        if isinstance(event, SearchStarted):
            running.add(event.number)
        if isinstance(event, SearchEnded):
            running.discard(event.number)
        most = max(most, len(running))

    run = await search_all(rebase(client, width=2), [QUESTION] * 5, at_once=2, observe=watch)
    assert list(run.results) == [0, 1, 2, 3, 4]
    assert most == 2
    assert run.not_started == 0
    assert run.metrics is not None


async def test_questions_that_do_not_fit_into_the_time_are_not_started(
    client: AsyncPolicyClient, server: FakeServer
) -> None:
    server.answer = Script(last_depth=1)
    run = await search_all(rebase(client, width=2), [QUESTION] * 5, at_once=1, budget=Budget(seconds=1e-9))
    assert (len(run.results), run.not_started) == (0, 5)


async def test_a_server_without_metrics_is_searched_all_the_same(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.info["enable_metrics"] = False
    server.answer = Script(last_depth=1)
    run = await search_all(rebase(client, width=2), [QUESTION])
    assert run.metrics is None
    assert len(run.results) == 1


async def test_cancelling_a_run_aborts_what_is_on_the_server(client: AsyncPolicyClient, server: FakeServer) -> None:
    server.answer = Script(last_depth=1)
    await client.expand(await client.root("Why?"), 2)  # warm, so that the search's first request is a batch
    server.open.clear()
    task = asyncio.create_task(search_all(rebase(client, width=4), [QUESTION]))
    await eventually(lambda: len(server.batches) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: server.aborted == set(server.batches[-1]["rid"]))


def tiny_without(**changes: Any) -> Profile:
    return load_profile("tiny").model_copy(update={"model": None, **changes})


async def test_a_profile_without_an_answer_pattern_is_refused(server: FakeServer) -> None:
    transport = httpx.MockTransport(server)
    async with AsyncPolicyClient("http://fake", tiny_without(answer=None), transport=transport) as client:
        with pytest.raises(ConfigurationError, match="no answer pattern"):
            rebase(client)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"width": 0}, "width = 0: a number above 0"),
        ({"width": "8"}, "width = '8': a number above 0"),
        ({"depth": 0}, "depth = 0: a number above 0"),
        ({"max_path_tokens": 0}, "max_path_tokens = 0: a number above 0"),
        ({"barrier": "some"}, "barrier = 'some': one of 'level', 'none'"),
        ({"on_length": "cut"}, "on_length = 'cut': one of 'score', 'continue', 'drop'"),
        ({"budget": Budget(kv_byte_seconds=1.0)}, "needs kv_bytes_per_token"),
    ],
)
def test_settings_out_of_range_are_refused(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SearchOptions(**bad)


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        ({"expands": 1}, "run expands"),
        ({"tokens": 1}, "run tokens"),
        ({"kv_byte_seconds": 1e-9}, "run kv_byte_seconds"),
    ],
)
async def test_a_run_whose_budget_is_used_up_ends_and_starts_nothing_more(
    client: AsyncPolicyClient, server: FakeServer, budget: dict[str, Any], why: str
) -> None:
    server.answer = Script(last_depth=9)
    searching = rebase(client, width=2, kv_bytes_per_token=10.0)
    run = await search_all(searching, [QUESTION] * 3, at_once=1, budget=Budget(**budget))
    assert ([result.why for result in run.results.values()], run.not_started) == ([why], 2)
    assert not is_final(why)


async def test_a_run_cannot_count_bytes_that_nobody_knows(client: AsyncPolicyClient) -> None:
    with pytest.raises(ConfigurationError, match="needs SearchOptions"):
        await search_all(rebase(client), [QUESTION], budget=Budget(kv_byte_seconds=1.0))


async def test_no_questions_at_once_are_refused(client: AsyncPolicyClient) -> None:
    with pytest.raises(ConfigurationError, match="at_once = 0: above 0"):
        await search_all(rebase(client), [QUESTION], at_once=0)
