"""Every public signature, for type checkers alone: this file is checked and never run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_type

from ets_client import (
    AsyncPolicyClient,
    Attempt,
    AuthenticationError,
    Branch,
    BranchStream,
    ClientOptions,
    ConfigurationError,
    DeadlineExceededError,
    Delta,
    EffectiveField,
    EffectiveSampling,
    Endpoint,
    EndReason,
    EtsClientError,
    Expansion,
    FailureKind,
    Finding,
    InvalidRequestError,
    LabelChoice,
    LabelProbs,
    LogprobOptions,
    Logprobs,
    ModelInfo,
    Origin,
    PolicyClient,
    Prefix,
    Profile,
    ProfileReport,
    RequestError,
    RequestRejectedError,
    RetryPolicy,
    SamplingParams,
    SamplingSource,
    ScoreFailure,
    SeedIgnoredWarning,
    ServerBusyError,
    ServerFaultError,
    ServerInfo,
    ServerMetrics,
    ServerUnreachableError,
    Severity,
    SyncBranchStream,
    SyncTextStream,
    TextStream,
    TokenizedText,
    Usage,
    WorkerLoad,
    check_tokenizer,
    list_profiles,
    load_profile,
)

if TYPE_CHECKING:
    import os

    import httpx


async def clients(profile: Profile, transport: httpx.AsyncBaseTransport, options: ClientOptions) -> None:
    AsyncPolicyClient()
    AsyncPolicyClient("http://127.0.0.1:30000", "tiny")
    AsyncPolicyClient("http://127.0.0.1:30000", profile, **options)
    assert_type(AsyncPolicyClient.from_endpoint("policy.json"), AsyncPolicyClient)
    AsyncPolicyClient.from_endpoint(Path("policy.json"), Path("own.yaml"), api_key="key", timeout=None)
    client = AsyncPolicyClient(
        profile=Path("own.yaml"),
        api_key=None,
        admin_api_key="key",
        sampling=SamplingParams(temperature=0.5),
        retry=RetryPolicy(attempts=3, first_wait=0.1, most_wait=1.0),
        timeout=60.0,
        check_profile=False,
        connections=16,
        departure_interval=0.048,
        transport=transport,
    )
    AsyncPolicyClient(api_keys="key")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncPolicyClient(timeout="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncPolicyClient(departure_interval="0.048")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(client.stats.waiting_for_departure, int)
    async with client as opened:
        assert_type(opened, AsyncPolicyClient)
    assert_type(client.profile, Profile)
    assert_type(await client.server_info(), ServerInfo)
    assert_type(await client.metrics(), ServerMetrics)
    assert_type(await client.health(), bool)
    assert_type(await client.health(timeout=5), bool)
    assert_type(await client.ready(), bool)
    assert_type(await client.ready(timeout=5), bool)
    assert_type(await client.model_info(), ModelInfo)
    assert_type(await client.loads(), tuple[WorkerLoad, ...])
    report = await client.check_profile()
    assert_type(report, ProfileReport)
    assert_type(report.errors, tuple[Finding, ...])
    assert_type(report.findings[0].severity, Severity)
    assert_type(report.findings[0].evidence, tuple[TokenizedText, ...])
    assert_type(await check_tokenizer("folder", "tiny"), ProfileReport)
    assert_type(await check_tokenizer(Path("tokenizer.json"), client.profile), ProfileReport)
    assert_type(await client.tokenize("text", add_special_tokens=True), list[int])
    assert_type(await client.detokenize((1, 2)), str)
    await client.flush_cache()
    await client.flush_cache(wait=5)
    await client.abort()
    await client.abort("a", "b")
    await client.aclose()


async def expands(client: AsyncPolicyClient) -> None:
    root = await client.root("question", namespace="tree")
    assert_type(root, Prefix)
    assert_type(await client.prefix("text"), Prefix)
    assert_type(await client.prefix([1, 2], namespace=None), Prefix)
    assert_type(await client.prefix([{"role": "user", "content": "x"}]), Prefix)
    expansion = await client.expand(root)
    assert_type(expansion, Expansion)
    assert_type(expansion.sampling, SamplingParams)
    await client.expand(root, 4, SamplingParams(stop="\n"), logprobs=True, timeout=5)
    await client.expand(root, 4, logprobs=LogprobOptions(top=5, chosen=[1, 2]))
    await client.expand(root, 4, logprobs=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.expand(expansion[0], n=2)
    await client.expand("text")
    await client.expand((1, 2))
    assert_type(await client.generate(root), Branch)
    await client.generate(expansion[0], SamplingParams(), logprobs=True, timeout=None)
    await client.expand(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def streams(client: AsyncPolicyClient, root: Prefix, branch: Branch) -> None:
    branches = client.expand_iter(root, 4, SamplingParams(), logprobs=True, timeout=5)
    assert_type(branches, BranchStream)
    async with branches as entered:
        assert_type(entered, BranchStream)
        assert_type(entered.warm_usage, Usage)
        assert_type(await entered.ended(), list[Branch])
        assert_type(entered.rids, tuple[str, ...])
        assert_type(entered.sampling, SamplingParams)
    async for each in client.expand_iter(branch):
        assert_type(each, Branch)
    async with client.stream("text", SamplingParams(), logprobs=True, timeout=None) as stream:
        assert_type(stream, TextStream)
        async for delta in stream:
            assert_type(delta, Delta)
            assert_type(delta.text, str)
            assert_type(delta.token_ids, tuple[int, ...])
        assert_type(stream.branch, Branch)
        assert_type(stream.rids, tuple[str, ...])


async def scores(client: AsyncPolicyClient, root: Prefix, branch: Branch) -> None:
    assert_type(await client.warm(root), Usage)
    await client.warm(branch, timeout=5)
    outcomes = await client.label_probs([root, branch], ["+", 5], timeout=5)
    assert_type(outcomes, list[LabelProbs | ScoreFailure])
    for outcome in outcomes:
        if isinstance(outcome, ScoreFailure):
            assert_type(outcome.reason, str)
        else:
            assert_type(outcome.token_ids, tuple[int, ...])
            assert_type(outcome.logprobs, tuple[float, ...])
            assert_type(outcome.probs, tuple[float, ...])
    for choice in await client.label_choices([root, branch], ["+", 5], timeout=5):
        if not isinstance(choice, ScoreFailure):
            assert_type(choice, LabelChoice)
            assert_type(choice.probs, tuple[float, ...])
    await client.label_probs(["text"], ["+"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def threads(profile: Profile, options: ClientOptions, root: Prefix, branch: Branch) -> None:
    PolicyClient()
    PolicyClient("http://127.0.0.1:30000", profile, **options)
    PolicyClient(api_keys="key")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client = PolicyClient.from_endpoint(Path("policy.json"), "tiny", timeout=None)
    assert_type(client, PolicyClient)
    with client as opened:
        assert_type(opened, PolicyClient)
    assert_type(client.profile, Profile)
    assert_type(client.capabilities, ServerInfo)
    assert_type(client.root("question", namespace="tree"), Prefix)
    assert_type(client.prefix([{"role": "user", "content": "x"}]), Prefix)
    assert_type(client.expand(root, 4, SamplingParams(stop="\n"), logprobs=True, timeout=5), Expansion)
    assert_type(client.generate(branch, timeout=None), Branch)
    assert_type(client.warm(root), Usage)
    assert_type(client.label_probs([root, branch], ["+", 5], timeout=5), list[LabelProbs | ScoreFailure])
    assert_type(client.label_choices([root, branch], ["+", 5]), list[LabelChoice | ScoreFailure])
    assert_type(client.server_info(), ServerInfo)
    assert_type(client.model_info(), ModelInfo)
    assert_type(client.loads(), tuple[WorkerLoad, ...])
    assert_type(client.metrics(), ServerMetrics)
    assert_type(client.health(5), bool)
    assert_type(client.ready(timeout=5), bool)
    assert_type(client.tokenize("text", add_special_tokens=True), list[int])
    assert_type(client.detokenize((1, 2)), str)
    client.flush_cache(wait=5)
    client.abort("a", "b")
    client.close()
    assert_type(client.submit_expand(root, 4, SamplingParams(), logprobs=True, timeout=5), Future[Expansion])
    with client.expand_iter(root, 4, SamplingParams(), logprobs=True, timeout=5) as branches:
        assert_type(branches, SyncBranchStream)
        assert_type(branches.warm_usage, Usage)
        assert_type(branches.rids, tuple[str, ...])
    for each in client.expand_iter(branch):
        assert_type(each, Branch)
    with client.stream("text", SamplingParams(), logprobs=True, timeout=None) as stream:
        assert_type(stream, SyncTextStream)
        for delta in stream:
            assert_type(delta, Delta)
        assert_type(stream.branch, Branch)
    client.expand(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.expand(root, samples=4)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with AsyncPolicyClient():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportAttributeAccessIssue]
        pass


def results(expansion: Expansion) -> None:
    assert_type(expansion[0], Branch)
    assert_type(expansion[1:], tuple[Branch, ...])
    assert_type(iter(expansion), Iterator[Branch])
    assert_type(len(expansion), int)
    assert_type(expansion.prefix, Prefix)
    assert_type(expansion.branches, tuple[Branch, ...])
    assert_type(expansion.plan, str)
    assert_type(expansion.warm_usage, Usage)
    assert_type(expansion.usage, Usage)
    assert_type(expansion.seconds, float)
    for branch in expansion:
        assert_type(branch, Branch)
        assert_type(branch.text, str)
        assert_type(branch.token_ids, tuple[int, ...])
        assert_type(branch.prefix, Prefix)
        assert_type(branch.end, EndReason)
        assert_type(branch.matched, str | int | None)
        assert_type(branch.overshoot, str)
        assert_type(branch.usage, Usage)
        assert_type(branch.usage + branch.usage, Usage)
        assert_type(branch.usage.computed_tokens, int)
        assert_type(branch.rid, str)
        assert_type(branch.is_open, bool)
        assert_type(branch.logprobs, Logprobs | None)
        if branch.logprobs is not None:
            assert_type(branch.logprobs.values, tuple[float, ...])
            assert_type(branch.logprobs.mean, float)
            assert_type(branch.logprobs.top, tuple[dict[int, float], ...])
            assert_type(branch.logprobs.chosen, tuple[dict[int, float], ...])


def prefixes(prefix: Prefix) -> None:
    assert_type(prefix.parent, Prefix | None)
    assert_type(prefix.root, Prefix)
    assert_type(prefix.path, tuple[Prefix, ...])
    assert_type(prefix.token_ids, list[int])
    assert_type(prefix.step_token_ids, tuple[int, ...])
    assert_type(prefix.text, str)
    assert_type(prefix.step_text, str)
    assert_type(prefix.boundaries, tuple[int, ...])
    assert_type(prefix.depth, int)
    assert_type(prefix.origin, Origin)
    assert_type(prefix.fingerprint, tuple[str | None, int, int])
    assert_type(prefix.common_length(prefix), int)
    assert_type(prefix.child([1], "x"), Prefix)
    assert_type(len(prefix), int)


def sampling() -> None:
    params = SamplingParams(
        max_new_tokens=5,
        min_new_tokens=1,
        temperature=1,
        top_p=0.9,
        top_k=-1,
        min_p=0.0,
        frequency_penalty=0.0,
        presence_penalty=0.0,
        repetition_penalty=1.0,
        stop_token_ids=(1,),
        ignore_eos=False,
        skip_special_tokens=True,
        spaces_between_special_tokens=True,
        regex="a",
        structural_tag="{}",
        logit_bias={1: 0.5},
        seed=7,
    )
    SamplingParams(stop="\n", stop_token_ids=1, stop_regex="[0-9]")
    SamplingParams(stop=["a", "b"], stop_token_ids=[1, 2], stop_regex=("a", "b"))
    SamplingParams(max_tokens=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SamplingParams(max_new_tokens=5.0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(params.over(None), SamplingParams)
    assert_type(params.over(params), SamplingParams)
    assert_type(params.given(), dict[str, Any])
    warning: type[UserWarning] = SeedIgnoredWarning
    del warning


def what_counts(client: AsyncPolicyClient, prefix: Prefix) -> None:
    found = client.effective_sampling(SamplingParams(), prefix=prefix, call="generate")
    assert_type(found, EffectiveSampling)
    assert_type(found["top_p"], EffectiveField)
    assert_type(found["top_p"].value, object)
    assert_type(found["top_p"].source, SamplingSource)
    client.effective_sampling(call="stream")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def servers(info: ServerInfo, metrics: ServerMetrics, model: ModelInfo, load: WorkerLoad) -> None:
    assert_type(model.architectures, tuple[str, ...])
    assert_type(model.is_generation, bool)
    assert_type(load.running_requests, int)
    assert_type(load.token_usage, float)
    assert_type(info.frontend, Literal["server", "sglang-router", "smg"])
    assert_type(info.context_length, int | None)
    assert_type(info.is_deterministic, bool | None)
    assert_type(info.has_aborts, bool)
    assert_type(str(info), str)
    assert_type(metrics.since(metrics), ServerMetrics)
    assert_type(metrics.prefilled_tokens, int)


def endpoints(path: os.PathLike[str]) -> None:
    endpoint = Endpoint.read(path)
    assert_type(endpoint, Endpoint)
    assert_type(endpoint.base_url, str)
    endpoint.write("policy.json")


def known_profiles() -> None:
    assert_type(load_profile("tiny"), Profile)
    assert_type(load_profile(Path("own.yaml")), Profile)
    assert_type(list_profiles(), list[Profile])


def failures(error: EtsClientError) -> None:
    if isinstance(error, InvalidRequestError):
        assert_type(error.argument, str)
        assert_type(error.given, object)
        assert_type(error.allowed, str)
    if isinstance(error, RequestError):
        assert_type(error.message, str)
        assert_type(error.rids, tuple[str, ...])
        assert_type(error.status, int | None)
        assert_type(error.body, str)
        assert_type(error.attempts, tuple[Attempt, ...])
        assert_type(error.attempts[0].kind, FailureKind)
        assert_type(error.attempts[0].seconds, float)
    kinds: list[type[RequestError]] = [
        RequestRejectedError,
        AuthenticationError,
        ServerBusyError,
        ServerFaultError,
        ServerUnreachableError,
        DeadlineExceededError,
    ]
    refusals: list[type[ValueError]] = [InvalidRequestError, ConfigurationError]
    late: type[TimeoutError] = DeadlineExceededError
    del kinds, refusals, late
