from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from ets_client import (
    AsyncPolicyClient,
    AuthenticationError,
    ConfigurationError,
    Profile,
    ProfileReport,
    RetryPolicy,
    Severity,
    load_profile,
)
from ets_client._engine.profile_checker import ProfileChecker
from ets_client._engine.tokenizers import ServerTokenizer
from ets_client.testing import FakeOptions, FakeServer
from tests.fakes import Rig, reply
from tests.toy import Toy

if TYPE_CHECKING:
    from tests.fakes import Entry

PLAIN = Profile.model_validate(
    {"name": "p", "prompt": {"kind": "completion", "add_special_tokens": False}, "steps": {"delimiters": ["ки"]}}
)
CHATTING = load_profile("smollm2")


def checker(profile: Profile, toy: Toy, *script: Entry) -> tuple[ProfileChecker, Rig]:
    """A checker that asks a toy for tokens, and a script for the server's chat template."""
    rig = Rig(*script, policy=RetryPolicy(attempts=1))
    return ProfileChecker(profile, toy, "owner/name", ServerTokenizer(rig.caller, 60)), rig


def severities(report: ProfileReport) -> dict[str, Severity]:
    return {finding.subject: finding.severity for finding in report.findings}


def client_of(server: FakeServer, profile: Any, **options: Any) -> AsyncPolicyClient:
    return AsyncPolicyClient(server.base_url, profile, retry=RetryPolicy(first_wait=0, most_wait=0), **options)


class TestReport:
    async def test_it_is_asked_for_once(self) -> None:
        toy = Toy("<|im_start|>", "<|im_end|>")
        made, rig = checker(CHATTING, toy, reply({"tokens": [1]}))
        assert await made.report() is await made.report()
        assert len(rig.transport.requests) == 1

    async def test_it_says_whose_tokenizer_it_is_of(self) -> None:
        made, _ = checker(PLAIN, Toy(" ки"))
        assert str(await made.report()).startswith("profile 'p' on the tokenizer owner/name:\n  ok: special tokens: ")

    async def test_a_server_without_a_chat_template_is_not_compared(self) -> None:
        made, _ = checker(CHATTING, Toy("<|im_start|>", "<|im_end|>"), reply({"error": "no template"}, 400))
        report = await made.report()
        assert severities(report)["chat turns"] is Severity.OK
        assert "no template" in str(report)

    @pytest.mark.parametrize("status", [400, 500])
    async def test_a_server_that_does_not_tokenise_is_a_warning(self, status: int) -> None:
        rig = Rig(reply({"error": "skip_tokenizer_init"}, status), policy=RetryPolicy(attempts=1))
        tokenizer = ServerTokenizer(rig.caller, 60)
        report = await ProfileChecker(PLAIN, tokenizer, "owner/name", tokenizer).report()
        assert severities(report) == {"tokenizer": Severity.WARNING}
        assert "skip_tokenizer_init" in str(report)

    async def test_a_wrong_key_is_an_error_of_its_own(self) -> None:
        made, _ = checker(CHATTING, Toy(), reply({"error": "Unauthorized"}, 401))
        with pytest.raises(AuthenticationError):
            await made.report()


class TestRequire:
    async def test_a_profile_that_fits_passes_silently(self, caplog: pytest.LogCaptureFixture) -> None:
        made, _ = checker(PLAIN, Toy(" ки"))
        await made.require()
        assert caplog.text == ""

    async def test_errors_show_the_exact_tokens_and_the_way_out(self) -> None:
        made, _ = checker(CHATTING, Toy(), reply({"error": "no template"}, 400))
        with pytest.raises(ConfigurationError) as caught:
            await made.require()
        assert "marker <|im_end|>" in str(caught.value)
        assert "60 '<', 124 '|', 105 'i'" in str(caught.value)
        assert "check_profile=False" in str(caught.value)
        assert "ok:" not in str(caught.value)

    async def test_warnings_are_logged_once_and_pass(self, caplog: pytest.LogCaptureFixture) -> None:
        made, _ = checker(PLAIN, Toy())
        with caplog.at_level(logging.WARNING):
            await made.require()
        (record,) = caplog.records
        assert record.message.startswith("profile 'p': warning: delimiter 'ки': 3 tokens")


class TestConnecting:
    async def test_a_profile_that_fits_costs_four_small_requests_and_generates_nothing(self) -> None:
        async with FakeServer() as server:
            async with client_of(server, "smollm2") as client:
                before = len(server.requests)
                report = await client.check_profile()
                assert len(server.requests) == before  # connecting asked
            assert report.errors == ()
            assert severities(report)["chat turns"] is Severity.OK
            assert "gives the same tokens" in str(report)
            paths = [path for _, path in server.requests][3:]
            assert paths == ["/tokenize", "/tokenize", "/tokenize", "/detokenize"]

    async def test_a_wrong_profile_is_found_before_the_first_expand(self) -> None:
        async with FakeServer() as server:
            with pytest.raises(ConfigurationError, match=r"(?s)does not fit .*'<\|eot_id\|>' is "):
                async with client_of(server, "llama3"):
                    raise AssertionError
            assert server.count("/generate") == 0

    async def test_a_check_can_be_switched_off_and_asked_for_later(self) -> None:
        async with FakeServer() as server, client_of(server, "llama3", check_profile=False) as client:
            assert server.count("/tokenize") == 0
            assert (await client.check_profile()).errors

    async def test_a_profile_that_was_derived_is_checked_on_demand_alone(self) -> None:
        async with FakeServer() as server, client_of(server, None) as client:
            assert server.count("/tokenize") == 1  # whether there is a chat template
            assert not (await client.check_profile()).errors

    async def test_a_profile_that_leaves_chats_to_the_server_needs_a_template_there(self) -> None:
        wanted = CHATTING.model_copy(update={"prompt": {"kind": "server_chat"}, "model": None})
        wanted = Profile.model_validate(wanted.model_dump(warnings=False))
        async with FakeServer() as server, client_of(server, wanted):
            pass
        async with FakeServer(FakeOptions(has_chat_template=False)) as server:
            with pytest.raises(ConfigurationError, match="the server renders no chat"):
                async with client_of(server, wanted):
                    raise AssertionError
