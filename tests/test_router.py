"""The client behind SGLang's routers: imitated ones over real sockets, in front of two fake servers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    LabelChoice,
    LabelProbs,
    Profile,
    RequestRejectedError,
    RetryPolicy,
    SamplingParams,
    ScoreFailure,
    ServerBusyError,
    UnsupportedError,
    load_profile,
)
from ets_client._engine.tokenizers import RouterTokenizer
from ets_client.profiles import ServerChatPrompt, Steps
from ets_client.testing import Costs, FakeOptions, FakeServer
from tests.fake_router import FakeRouter
from tests.fakes import Rig, expanded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

Kind = Literal["sglang-router", "smg"]
QUICK = RetryPolicy(attempts=2, first_wait=0, most_wait=0, patience=0.01)


class Site:
    """Two fake servers behind a fake router."""

    def __init__(self, router: FakeRouter, servers: list[FakeServer]) -> None:
        self.router = router
        self.servers = servers

    def client(self, **options: Any) -> AsyncPolicyClient:
        return AsyncPolicyClient(
            self.router.base_url, options.pop("profile", "tiny"), retry=QUICK, timeout=30, **options
        )


@asynccontextmanager
async def serve(
    kind: Kind, *options: FakeOptions, tokenizers: tuple[str, ...] = ("fake-model",), costs: Costs | None = None
) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(FakeServer(each, costs=costs))
            for each in options or (FakeOptions(), FakeOptions())
        ]
        addresses = [server.base_url for server in servers]
        yield Site(await stack.enter_async_context(FakeRouter(kind, *addresses, tokenizers=tokenizers)), servers)


@pytest.fixture(params=["sglang-router", "smg"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    async with serve(request.param) as both:
        yield both


async def test_a_router_is_recognised_and_an_expand_is_one_batch_that_it_takes(site: Site) -> None:
    async with site.client() as client:
        assert client.capabilities.frontend == site.router.kind
        assert client.capabilities.workers == 2
        expansion = await client.expand("Some question", n=4, logprobs=True)
    prefill, batch = (seen.body for seen in site.router.seen)
    assert prefill["sampling_params"] == {"max_new_tokens": 0}
    assert len(prefill["input_ids"]) == 1
    assert batch["input_ids"] == [expansion.prefix.token_ids] * 4
    assert [branch.rid for branch in expansion] == [f"{batch['rid']}_{place}" for place in range(4)]
    assert (
        expansion.plan
        == f"prefill {len(expansion.prefix) - 1} cold tokens once, then one batch of 4 through the router"
    )
    assert all(branch.usage.computed_tokens == 1 for branch in expansion)
    assert all(branch.logprobs is not None for branch in expansion)


async def test_a_tree_stays_on_one_worker_and_trees_have_keys_of_their_own(site: Site) -> None:
    async with site.client() as client:
        for question in ("One question", "Another question"):
            expansion = await client.expand(question, n=2)
            deeper = await client.expand(expansion[0].prefix, n=2)
            assert deeper.plan == "one batch of 2 through the router: the prefix is warm where its tree was sent before"
            assert deeper.warm_usage.prompt_tokens == 0
    keys = [seen.headers["x-smg-routing-key"] for seen in site.router.seen]
    assert keys == [keys[0]] * 3 + [keys[3]] * 3
    assert keys[0] != keys[3]
    assert len({seen.worker for seen in site.router.seen}) == 2


async def test_a_namespace_is_given_once_for_all_samples(site: Site) -> None:
    async with site.client() as client:
        await client.expand(await client.root("A question", namespace="apart"), n=2)
    assert [seen.body["extra_key"] for seen in site.router.seen] == ["apart", "apart"]


async def test_streams_come_through_and_have_no_ids_to_abort(site: Site) -> None:
    async with site.client() as client:
        async with client.expand_iter("A question", n=3) as stream:
            assert stream.rids == ()
            branches = [branch async for branch in stream]
        assert {branch.rid[-2:] for branch in branches} == {"_0", "_1", "_2"}
        async with client.stream("A question") as text:
            written = "".join([delta.text async for delta in text])
        assert written.startswith(text.branch.text)


@pytest.mark.parametrize("increments", [False, True])
async def test_both_ways_to_stream_are_read_where_the_router_does_not_tell_which(*, increments: bool) -> None:
    options = FakeOptions(incremental_streaming_output=increments)
    async with serve("sglang-router", options) as site, site.client() as client:
        assert client.capabilities.streams_increments is None
        root = await client.root("A question")
        async with client.stream(root, SamplingParams(temperature=0), logprobs=True) as text:
            written = "".join([delta.text async for delta in text])
        assert written.startswith(text.branch.text)
        whole = await client.generate(root, SamplingParams(temperature=0), logprobs=True)
        assert text.branch.token_ids == whole.token_ids
        assert text.branch.logprobs is not None
        assert len(text.branch.logprobs) == len(whole.token_ids)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_cancelled_call_closes_its_connection_and_sends_no_abort(site: Site, *, streams: bool) -> None:
    async with serve(site.router.kind, costs=Costs(decode_step=30)) as slow, slow.client() as client:
        root = await client.root("A question")

        task = asyncio.create_task(expanded(client, root, 2, streams=streams))
        async with asyncio.timeout(10):
            while len(slow.router.seen) < 2:  # noqa: ASYNC110 - the prefill, then the batch
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await slow.router.seen[-1].given_up.wait()
    assert ("POST", "/abort_request") not in slow.router.paths


Refused = tuple[str, "Callable[[AsyncPolicyClient], Awaitable[object]]"]
REFUSED: list[Refused] = [
    ("abort()", lambda client: client.abort("x")),
    ("loads()", lambda client: client.loads()),
    ("sampling.logit_bias", lambda client: client.expand("q", 1, SamplingParams(logit_bias={5: 1.0}))),
    ("sampling.stop_regex", lambda client: client.generate("q", SamplingParams(stop_regex="a+"))),
    (
        "sampling.spaces_between_special_tokens",
        lambda client: client.expand("q", 2, SamplingParams(spaces_between_special_tokens=False)),
    ),
    ("sampling.seed with n = 2", lambda client: client.expand("q", 2, SamplingParams(seed=1))),
    (
        "tokenising with the tokenizer's own special tokens",
        lambda client: client.tokenize("a", add_special_tokens=True),
    ),
]


@pytest.mark.filterwarnings("ignore::ets_client.SeedIgnoredWarning")  # smg tells that its workers use none
@pytest.mark.parametrize(("feature", "call"), REFUSED, ids=[feature for feature, _ in REFUSED])
async def test_what_a_router_cannot_do_is_refused_by_name_before_anything_is_generated(
    site: Site, feature: str, call: Callable[[AsyncPolicyClient], Awaitable[object]]
) -> None:
    async with site.client() as client:
        with pytest.raises(UnsupportedError) as caught:
            await call(client)
    assert caught.value.feature == feature
    assert site.router.seen == []


async def test_a_stream_is_refused_what_an_expand_is(site: Site) -> None:
    async with site.client() as client:
        with pytest.raises(UnsupportedError, match="logit_bias"):
            async with client.expand_iter("q", 2, SamplingParams(logit_bias={5: 1.0})):
                pass
    assert site.router.seen == []


@pytest.mark.filterwarnings("ignore::ets_client.SeedIgnoredWarning")  # smg tells that its workers use none
async def test_one_sample_may_have_a_seed(site: Site) -> None:
    async with site.client() as client:
        await client.expand("q", 1, SamplingParams(seed=7))
    assert site.router.seen[-1].body["sampling_params"]["sampling_seed"] == 7


async def test_siblings_of_a_deterministic_server_would_be_equal_and_are_refused() -> None:
    async with serve("smg", FakeOptions(enable_deterministic_inference=True)) as site, site.client() as client:
        with pytest.raises(UnsupportedError, match="2 equal samples"):
            await client.expand("q", 2)
        assert len(await client.expand("q", 1)) == 1


async def test_labels_of_prompts_of_one_length_and_namespace_are_asked_for_at_once(site: Site) -> None:
    async with site.client() as client:
        roots = [await client.root(question) for question in ("One question", "An question", "Another one")]
        lengths = {len(root) for root in roots}
        before = len(site.router.seen)
        probs = await client.label_probs(roots, [97, 98])
        assert len(probs) == 3
        asked = [seen for seen in site.router.seen[before:] if "return_logprob" in (seen.body or {})]
        assert len(asked) == len(lengths)
        assert sum(len(seen.body["input_ids"]) for seen in asked) == 6
        assert all({len(row) for row in seen.body["input_ids"]} <= {size + 1 for size in lengths} for seen in asked)
        apart = await client.root("One question", namespace="apart")
        before = len(site.router.seen)
        assert all(isinstance(one, LabelProbs) for one in await client.label_probs([roots[0], apart], [97, 98]))
        asked = [seen for seen in site.router.seen[before:] if "return_logprob" in (seen.body or {})]
        assert sorted(seen.body.get("extra_key", "") for seen in asked) == ["", "apart"]
        assert "x-smg-routing-key" in asked[0].headers  # of one tree


async def test_a_choice_of_labels_is_made_of_their_probabilities_since_routers_carry_no_bias(site: Site) -> None:
    async with site.client() as client:
        roots = [await client.root("One question"), await client.root("Quite another question")]
        choices = await client.label_choices(roots, [97, 98])
        for choice, probs in zip(choices, await client.label_probs(roots, [97, 98]), strict=True):
            assert isinstance(choice, LabelChoice)
            assert isinstance(probs, LabelProbs)
            assert choice.probs == pytest.approx(probs.probs)
        (failed,) = await client.label_choices([roots[0].child([97] * 3000, "a" * 3000)], [97, 98])
        assert isinstance(failed, ScoreFailure)


async def test_the_servers_own_facts_come_through_smg() -> None:
    smaller = FakeOptions(context_length=1024, max_total_tokens=4096, max_running_requests=8)
    async with serve("smg", FakeOptions(page_size=16), smaller) as site, site.client() as client:
        facts = client.capabilities
        assert (facts.version, facts.page_size, facts.is_deterministic) == ("0.5.18", 16, False)
        assert (facts.context_length, facts.max_total_tokens, facts.max_input_tokens) == (1024, 4096, 1018)
        assert facts.max_running_requests == 8
        assert await client.server_info() == facts


async def test_what_sglang_router_keeps_to_itself_is_unknown_and_the_profile_bounds_the_context() -> None:
    async with serve("sglang-router") as site, site.client() as client:
        facts = client.capabilities
        assert (facts.version, facts.page_size, facts.has_radix_cache, facts.is_deterministic) == ("", None, None, None)
        assert (facts.context_length, facts.max_total_tokens, facts.max_input_tokens) == (2048, 65536, 2042)
        assert await client.server_info() == facts


async def test_without_any_limit_told_the_workers_refuse_what_is_too_long() -> None:
    unmeasured = FakeOptions(enable_metrics=False)
    profile = load_profile("tiny").model_copy(update={"model": None})
    async with serve("sglang-router", unmeasured) as site, site.client(profile=profile) as client:
        assert client.capabilities.window_tokens is None
        assert (client.capabilities.vocab_size, client.capabilities.vocab_source) == (2048, "the router's tokenizer")
        long = await client.prefix("a b " * 3000)
        with pytest.raises(RequestRejectedError, match="longer than the model's context length"):
            await client.expand(long, n=1)
        with pytest.raises(RequestRejectedError, match="longer than the model's context length"):
            await client.label_probs([long], [97, 98])
        assert len((await client.generate("q", SamplingParams(max_new_tokens=4))).token_ids) <= 4


async def test_counters_of_all_workers_come_from_the_routers_page(site: Site) -> None:
    async with site.client() as client:
        await client.expand("A question", n=1, sampling=SamplingParams(max_new_tokens=3))
        metrics = await client.metrics()
        assert metrics.prefilled_tokens > 0
        assert (await client.model_info()).model_path == "fake-model"
        await client.flush_cache(1)


async def test_workers_without_counters_have_no_metrics() -> None:
    async with serve("sglang-router", FakeOptions(enable_metrics=False)) as site, site.client() as client:
        with pytest.raises(UnsupportedError, match="--enable-metrics"):
            await client.metrics()


async def test_a_router_that_keeps_its_tokenizers_to_itself_needs_one_here() -> None:
    for kind in ("sglang-router", "smg"):
        async with serve(kind) as site:
            site.router.has_open_control = False
            with pytest.raises(ConfigurationError, match=r"has no tokenizer of fake-model.*/v1/tokenizers"):
                await site.client().__aenter__()


async def test_workers_of_different_models_are_no_server_for_a_search() -> None:
    async with serve("smg", FakeOptions(), FakeOptions(model_path="other")) as site:
        with pytest.raises(ConfigurationError, match=r"different models \(fake-model, other\)"):
            await site.client().__aenter__()


async def test_a_router_without_workers_is_busy(site: Site) -> None:
    site.router.workers = ()
    with pytest.raises(ServerBusyError, match="insufficient healthy workers"):
        await site.client().__aenter__()


async def test_an_address_of_something_else_is_no_router() -> None:
    async with FakeRouter("sglang-router") as stranger:
        stranger.kind = "smg"
        client = AsyncPolicyClient(f"{stranger.base_url}/elsewhere", "tiny", retry=QUICK)
        with pytest.raises(RequestRejectedError, match="has no /model_info: is it the address of an SGLang server"):
            await client.__aenter__()


async def test_an_address_of_the_openai_api_is_told_to_leave_its_path_out(site: Site) -> None:
    client = AsyncPolicyClient(f"{site.router.base_url}/v1", "tiny", retry=QUICK)
    with pytest.raises(RequestRejectedError, match="Leave `/v1` out: it is of the OpenAI API"):
        await client.__aenter__()


async def test_sglangs_own_n_does_not_go_through_a_router(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="plan = 'server_n' does not go through"):
        await site.client(plan="server_n").__aenter__()


async def test_a_generic_profile_is_for_plain_text_since_routers_have_no_chat_template(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with site.client(profile=None) as client:
        assert client.profile.name == "generic"
        assert "plain text" in caplog.text


async def test_without_a_tokenizer_in_the_router_the_models_folder_here_is_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({symbol: place for place, symbol in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(tmp_path / "tokenizer.json"))
    profile = load_profile("tiny").model_copy(update={"model": None})
    options = FakeOptions(model_path=str(tmp_path))
    async with serve("smg", options, tokenizers=()) as site, site.client(profile=profile) as client:
        assert "is believed to be the server's" in caplog.text
        assert not client.capabilities.has_tokenizer
        assert (client.capabilities.vocab_size, client.capabilities.vocab_source) == (256, "the tokenizer")
        assert len(await client.tokenize("Tom has 3 boxes")) == 15


async def test_a_chat_in_the_models_own_format_needs_a_profile_that_says_how_it_is_written(site: Site) -> None:
    chat = Profile(name="chat", prompt=ServerChatPrompt(), steps=Steps(delimiters=("\n\n",)))
    async with site.client(profile=chat) as client:
        with pytest.raises(UnsupportedError, match="a chat in the served model's own format"):
            await client.root("A question")


async def test_a_router_without_a_tokenizer_says_so() -> None:
    tokenizer = RouterTokenizer(Rig().caller, 60, None)
    with pytest.raises(UnsupportedError, match="no tokenizer of the served model") as caught:
        await tokenizer.decode([1])
    assert caught.value.feature == "detokenize()"
