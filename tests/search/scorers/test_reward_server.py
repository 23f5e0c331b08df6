"""A reward model on a second server: how paths are written for it, and what that costs it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    Profile,
    RewardScore,
    ScoreFailure,
    ServerFaultError,
    Usage,
    load_profile,
)
from ets_client.search import Question, Rebase, SearchOptions, TreeSearch
from ets_client.search.scorers import RewardServer, ScoredPath, list_reward_formats, load_reward_format
from ets_client.search.scorers.rendering import Renderer
from ets_client.testing import Answer, FakeOptions, FakeServer, SeededModel
from tests.judge import Judge
from tests.profiles.real_tokenizers import Llama3Tokenizer, MistralTokenizer
from tests.search.trees import path
from tests.stream_site import QUICK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ets_client import Prefix


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(FakeOptions(chunked_prefill_size=None)) as running:
        yield running


@pytest.fixture
async def reward(server: FakeServer) -> AsyncIterator[AsyncPolicyClient]:
    async with AsyncPolicyClient(server.base_url, "tiny") as client:
        yield client


PATHS = [
    path("Count them.\n\n"),
    path("Count them.\n\n", "There are 12.\n\n"),
    path("Count them.\n\n", "There are 7.\n\n"),
]


async def scores(scorer: RewardServer, paths: list[ScoredPath]) -> list[float]:
    outcomes = await scorer.score(paths)
    found = [outcome for outcome in outcomes if not isinstance(outcome, ScoreFailure)]
    assert len(found) == len(paths)
    return [outcome.value for outcome in found]


async def test_a_score_is_the_share_of_the_good_label() -> None:
    paths = [*PATHS, path("Count them.\n\n", "There are 9.\n\n"), path("Go.\n\n")]
    plain = load_reward_format("plus-minus").model_copy(update={"name": "bare", "first_step": "\n{step}"})
    plain = plain.model_copy(update={"next_step": "\n{step}"})
    turned = plain.model_copy(update={"good": plain.bad, "bad": plain.good})
    async with FakeServer(model=Judge()) as server, AsyncPolicyClient(server.base_url, "tiny") as reward:
        texts = ["Why?\nCount them.", "Why?\nGo."]
        texts[1:1] = [f"{texts[0]}\n{step}" for step in ("There are 12.", "There are 7.", "There are 9.")]
        expected = [Judge.share((await reward.prefix(text)).token_ids) for text in texts]
        assert len(set(expected)) > 2
        assert await scores(RewardServer(reward, plain), paths) == [pytest.approx(each, abs=1e-5) for each in expected]
        other = await scores(RewardServer(reward, turned), paths)
        assert other == [pytest.approx(1 - each, abs=1e-5) for each in expected]


async def test_a_path_is_judged_as_its_format_writes_it(reward: AsyncPolicyClient) -> None:
    texts = ["Why?\nCount them.\nRight (+) or wrong (-):\n"]
    texts += [f"{texts[0]}+\n{step}\nRight (+) or wrong (-):\n" for step in ("There are 12.", "There are 7.")]
    written = await Renderer(reward, load_reward_format("plus-minus")).paths([(e.problem, e.prefix) for e in PATHS])
    assert [each.text for each in written] == texts
    assert all(0 < value < 1 for value in await scores(RewardServer(reward, "plus-minus"), PATHS))


async def test_a_child_has_its_parents_tokens_and_is_tokenised_once(
    reward: AsyncPolicyClient, server: FakeServer
) -> None:
    renderer = Renderer(reward, load_reward_format("plus-minus"))
    written = await renderer.paths([(each.problem, each.prefix) for each in PATHS])
    assert written[1].parent is written[0] is written[2].parent
    assert written[1].token_ids == await reward.tokenize(written[1].text)
    asked = len(server.requests)
    assert await renderer.paths([(each.problem, each.prefix) for each in PATHS]) == written
    assert len(server.requests) == asked


async def test_all_that_is_new_of_many_paths_is_tokenised_at_once_and_by_one_of_those_that_ask(
    reward: AsyncPolicyClient, server: FakeServer
) -> None:
    wanted = [(each.problem, each.prefix) for each in PATHS]
    one_by_one = Renderer(reward, load_reward_format("plus-minus"))
    alone = [each for one in wanted for each in await one_by_one.paths([one])]
    together = Renderer(reward, load_reward_format("plus-minus"))
    asked = len(server.requests)
    first, second = await asyncio.gather(together.paths(wanted[:2]), together.paths(wanted))
    assert [each.token_ids for each in second] == [each.token_ids for each in alone]
    assert [each is other for each, other in zip(first, second, strict=False)] == [True, True]
    assert second[2].parent is second[0]
    # Those of the first with what their steps begin behind, and the one path that only the second asked for.
    assert len(server.requests) - asked == 2


async def test_who_gives_up_takes_no_paths_from_others(reward: AsyncPolicyClient) -> None:
    renderer = Renderer(reward, load_reward_format("plus-minus"))
    wanted = [(each.problem, each.prefix) for each in PATHS]
    hasty = asyncio.create_task(renderer.paths(wanted))
    patient = asyncio.create_task(renderer.paths(wanted))
    await asyncio.sleep(0)
    hasty.cancel()
    assert len(await patient) == len(PATHS)
    assert hasty.cancelled()


async def test_the_server_is_asked_to_warm_a_parent_once_and_never_one_that_it_scored(
    reward: AsyncPolicyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    warm = reward.warm

    async def count(prefix: Prefix) -> Usage:
        asked.append(prefix.depth)
        return await warm(prefix)

    monkeypatch.setattr(reward, "warm", count)
    scorer = RewardServer(reward, "plus-minus")
    await scores(scorer, PATHS[:1])
    assert asked == [0]
    await scores(scorer, PATHS)
    assert asked == [0]
    await scores(RewardServer(reward, "plus-minus"), PATHS[1:])  # as after a resume
    assert asked == [0, 1]


async def test_the_reward_server_prefills_each_step_once_and_hardly_more(
    reward: AsyncPolicyClient, server: FakeServer
) -> None:
    async with (
        FakeServer(model=SeededModel(3, text_end=0.0, line_end=0.01)) as running,
        AsyncPolicyClient(running.base_url, "tiny") as policy,
    ):
        scorer = RewardServer(reward, "plus-minus")
        search = TreeSearch(policy, Rebase(), scorer, SearchOptions(width=16, depth=4))
        before = await reward.metrics()
        results = [await search.run(Question(problem=f"How many apples are {n} apples?")) for n in range(4)]
        prefilled = (await reward.metrics()).since(before).prefilled_tokens
        paths = {
            each.fingerprint: each
            for result in results
            for node in result.tree
            if node.branch is not None
            for rendered in await scorer._renderer.paths([(result.question.problem, node.prefix)])
            for each in rendered.path
        }
        least = sum(len(each.step_token_ids) for each in paths.values())
        assert prefilled <= 1.05 * least
        spent = sum((result.scoring_usage for result in results), Usage())
        # The questions, which are put there ahead of all scores, are no score's.
        assert 0.9 * prefilled <= spent.computed_tokens <= prefilled


async def test_a_reward_head_reads_each_step_once(server: FakeServer) -> None:
    options = FakeOptions(reward_outputs=1)
    async with FakeServer(options) as running, AsyncPolicyClient(running.base_url, "tiny") as head:
        scorer = RewardServer(head)
        assert scorer.form.name == "reward-head"
        before = await head.metrics()
        found = await scores(scorer, PATHS)
        written = await scorer._renderer.paths([(each.problem, each.prefix) for each in PATHS])
        raw = await head.reward_scores(written)
        assert found == [each.value for each in raw if not isinstance(each, ScoreFailure)]
        squashed = RewardServer(head, scorer.form.model_copy(update={"squash": "sigmoid"}))
        assert all(0 < value < 1 for value in await scores(squashed, PATHS))
        least = len({each.fingerprint: each for one in written for each in one.path})
        assert (await head.metrics()).since(before).prefilled_tokens <= 1.05 * sum(map(len, written)) + least


async def test_a_head_that_failed_to_read_a_question_is_asked_again_for_the_next_score() -> None:
    options = FakeOptions(reward_outputs=1)
    async with FakeServer(options) as running, AsyncPolicyClient(running.base_url, "tiny", retry=QUICK) as head:
        scorer = RewardServer(head)
        running.faults.on(Answer(500, b'{"message": "out of memory"}'), path="/classify", nth=(1, 2))
        with pytest.raises(ServerFaultError):
            await scorer.score(PATHS)
        assert len(await scores(scorer, PATHS)) == len(PATHS)


@pytest.mark.parametrize(("value", "squashed"), [(0.0, 0.5), (1e4, 1.0), (-1e4, 0.0), (-2.0, 0.11920292202211755)])
async def test_a_sigmoid_takes_any_output_of_a_head(
    value: float, squashed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rewards(prefixes: list[Prefix]) -> list[RewardScore]:
        return [RewardScore((value,))] * len(prefixes)

    options = FakeOptions(reward_outputs=1)
    async with FakeServer(options) as running, AsyncPolicyClient(running.base_url, "tiny") as head:
        monkeypatch.setattr(head, "reward_scores", rewards)
        form = load_reward_format("reward-head").model_copy(update={"squash": "sigmoid"})
        assert await scores(RewardServer(head, form), PATHS[:1]) == [pytest.approx(squashed)]


def test_an_address_is_no_client() -> None:
    with pytest.raises(ConfigurationError, match=r"client = 'http://127.0.0.1:30001': an open AsyncPolicyClient"):
        RewardServer("http://127.0.0.1:30001")  # type: ignore[arg-type]


async def test_a_head_of_several_outputs_is_no_score() -> None:
    async with (
        FakeServer(FakeOptions(reward_outputs=3)) as running,
        AsyncPolicyClient(running.base_url, "tiny") as head,
    ):
        (outcome,) = await RewardServer(head).score(PATHS[:1])
        assert outcome == ScoreFailure("the head has 3 outputs, a reward model one")


def tiny(name: str, like: str) -> Profile:
    return load_profile("tiny").model_copy(update={"name": name, "reward": load_profile(like).reward})


@pytest.mark.parametrize(
    ("profile", "form", "said"),
    [
        (tiny("llemma", "llemma"), None, "mean over the vocabulary of its output"),
        (tiny("tiny", "tiny"), None, "names no reward model"),
        (tiny("tiny", "tiny"), "reward-head", "reads a reward head, but fake-model has none"),
        (tiny("tiny", "tiny"), "nonsense", "no reward format 'nonsense': a file, or one of math-shepherd, "),
    ],
)
async def test_a_model_that_nobody_can_read_is_refused_with_the_reason(
    server: FakeServer, profile: Profile, form: str | None, said: str
) -> None:
    async with AsyncPolicyClient(server.base_url, profile, check_profile=False) as client:
        with pytest.raises(ConfigurationError, match=said):
            RewardServer(client, form)


async def test_labels_cannot_be_read_of_a_head() -> None:
    async with FakeServer(FakeOptions(reward_outputs=1)) as running, AsyncPolicyClient(running.base_url) as head:
        with pytest.raises(ConfigurationError, match="generates none: choose the format 'reward-head'"):
            RewardServer(head, "plus-minus")


@pytest.mark.parametrize(
    ("profile", "like", "form"),
    [("mistral", "mistral", "math-shepherd"), ("llama3", "llama3", "rlhflow-llama"), ("mine", "mistral", "mine")],
)
async def test_the_format_follows_the_profile(server: FakeServer, profile: str, like: str, form: str) -> None:
    async with AsyncPolicyClient(server.base_url, tiny(profile, like), check_profile=False) as client:
        scorer = RewardServer(client)
        assert scorer.form.name == form
        assert scorer.parameters["format"]["label_ids"] in ([648, 387], [10, 12])


def test_formats_are_listed_and_read_from_files(tmp_path: Path) -> None:
    assert [each.name for each in list_reward_formats()] == [
        "math-shepherd",
        "plus-minus",
        "reward-head",
        "rlhflow-llama",
    ]
    mine = tmp_path / "mine.yaml"
    mine.write_text('{name: mine, reads: reward_head, begin: "{problem}", first_step: "{step}", next_step: "{step}"}')
    assert load_reward_format(mine).name == "mine"
    assert load_reward_format(load_reward_format(mine)).squash == "none"
    mine.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"mine\.yaml cannot be read"):
        load_reward_format(mine)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: [", "is not YAML"),
        ("{}", "is no reward format: name: Field required"),
        ('{name: a, reads: x, begin: "", first_step: "", next_step: ""}', "reads: "),
        ('{name: a, reads: reward_head, begin: "", first_step: "{step}", next_step: "{step}"}', "begin: .*{problem}"),
        (
            '{name: a, reads: reward_head, begin: "{problem}", first_step: "", next_step: "{step}"}',
            "first_step: .*{step}",
        ),
    ],
)
def test_a_broken_format_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "form.yaml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        load_reward_format(file)


class Tokenising:
    """A client as far as a renderer needs one."""

    def __init__(self, tokenizer: MistralTokenizer | Llama3Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.texts: list[str] = []
        self.capabilities = type("Info", (), {"tokenizer_path": "real"})()

    async def tokenize(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        self.texts.append(text)
        return list(await self._tokenizer.encode(text, add_special_tokens=add_special_tokens))

    async def tokenize_each(self, texts: list[str], *, add_special_tokens: bool = False) -> list[list[int]]:
        return [await self.tokenize(text, add_special_tokens=add_special_tokens) for text in texts]


async def written(form: str, tokenizer: Any, one: ScoredPath) -> tuple[list[int], str]:
    renderer = Renderer(Tokenising(tokenizer), load_reward_format(form))  # type: ignore[arg-type]
    (prefix,) = await renderer.paths([(one.problem, one.prefix)])
    return prefix.token_ids, prefix.text


@pytest.mark.parametrize("form", ["math-shepherd", "plus-minus", "rlhflow-llama"])
@pytest.mark.parametrize("problem", ["What is 2 + 2?", "Add 2 and 2.\n", "2\n\n", "Simplify $\\frac{4}{2}$", "数は。"])
async def test_a_first_step_has_the_tokens_that_it_has_behind_the_whole_question_which_is_tokenised_once(
    form: str, problem: str
) -> None:
    special = form == "math-shepherd"
    real = MistralTokenizer() if special else Llama3Tokenizer()
    client = Tokenising(real)
    renderer = Renderer(client, load_reward_format(form))  # type: ignore[arg-type]
    steps = [path(text, problem=problem) for text in ("It is 4.\n\n", "4", "So: 2 + 2 = 4", "\n= 4")]
    for one in await renderer.paths([(each.problem, each.prefix) for each in steps]):
        assert one.parent is not None
        question, whole = one.parent.token_ids, list(await real.encode(one.text, add_special_tokens=special))
        assert question == list(await real.encode(one.parent.text, add_special_tokens=special))
        # Where the tokenizer makes one token of the question's end and the step's beginning, the step stands alone.
        is_part = whole[: len(question)] == question
        alone = list(await real.encode(one.step_text, add_special_tokens=False))
        assert list(one.step_token_ids) == (whole[len(question) :] if is_part else alone)
    if " " in problem:
        assert sum(problem in text for text in client.texts) == 1


STEPS = ("Step 1: 2 + 2 = 4. ки", "\nStep 2: So it is 4. ки")


async def test_math_shepherd_reads_what_its_authors_wrote() -> None:
    tokenizer = MistralTokenizer()
    ids, text = await written("math-shepherd", tokenizer, path(*STEPS, problem="What is 2 + 2?"))
    assert text == "What is 2 + 2? Step 1: 2 + 2 = 4. ки\nStep 2: So it is 4. ки"
    assert ids == list(await tokenizer.encode(text, add_special_tokens=True))
    assert (ids.count(12902), ids[-1]) == (2, 12902)


async def test_rlhflow_reads_a_chat_of_steps_and_pluses() -> None:
    tokenizer = Llama3Tokenizer()
    ids, text = await written("rlhflow-llama", tokenizer, path("It is 4.\n\n", "Yes.\n\n", problem="What is 2 + 2?"))
    turn = "<|start_header_id|>{}<|end_header_id|>\n\n"
    assert text.endswith(
        turn.format("user") + "What is 2 + 2? It is 4.<|eot_id|>" + turn.format("assistant") + "+<|eot_id|>"
        + turn.format("user") + "Yes.<|eot_id|>" + turn.format("assistant")
    )  # fmt: skip
    assert ids == list(await tokenizer.encode(text, add_special_tokens=False))
