from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx

from ets_client import (
    AsyncPolicyClient,
    ConfigurationError,
    Endpoint,
    RequestError,
    RetryPolicy,
    ServerFaultError,
    ServerUnreachableError,
    load_profile,
)
from tests.contract.conftest import FULL, IMPATIENT, QUESTION
from tests.fakes import FakeServer

if TYPE_CHECKING:
    from pathlib import Path


def moved(path: Path, port: int, **fields: Any) -> Path:
    Endpoint(**{"host": "127.0.0.1", "port": port, "model": "m", "start_id": str(port)} | fields).write(path)
    return path


class TestFirstContact:
    async def test_the_server_is_asked_what_it_is_and_nothing_is_generated(self, server: FakeServer) -> None:
        async with AsyncPolicyClient(profile="tiny") as client:
            paths = [request.url.path for request in server.requests]
            assert paths[:3] == ["/model_info", "/v1/models", "/server_info"]
            assert paths[3:] == ["/tokenize", "/tokenize", "/detokenize"]  # the profile's check
            assert client.profile == load_profile("tiny")
            assert repr(client) == "AsyncPolicyClient(http://127.0.0.1:30000, tiny, 0 warm tokens)"
        assert repr(client) == "AsyncPolicyClient(http://127.0.0.1:30000, closed)"

    @pytest.mark.parametrize(("has_template", "words"), [(True, "chat template"), (False, "plain text")])
    async def test_without_a_profile_a_generic_one_is_derived_with_a_warning(
        self, server: FakeServer, caplog: pytest.LogCaptureFixture, *, has_template: bool, words: str
    ) -> None:
        server.has_chat_template = has_template
        async with AsyncPolicyClient() as client:
            root = await client.root("1 + 1")
        assert client._wanted_profile is None
        assert [record.levelname for record in caplog.records if words in record.message] == ["WARNING"]
        assert root.text == ("user:1 + 1;" if has_template else "1 + 1\n")

    async def test_a_profile_of_another_vocabulary_than_the_models_is_refused(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 32000}))
        server.model_info["model_path"] = str(tmp_path)
        with pytest.raises(ConfigurationError, match="a vocabulary of 2048 tokens"):
            async with AsyncPolicyClient(profile="tiny"):
                pass

    async def test_something_that_is_not_sglang_is_said_so(self, server: FakeServer) -> None:
        server.overrides["/server_info"] = [httpx.Response(200, text="<html>sk-server-secret")] * 2
        with pytest.raises(ServerFaultError, match="not what SGLang sends") as caught:
            async with AsyncPolicyClient(profile="tiny", retry=IMPATIENT):
                pass
        assert caught.value.body == ""

    async def test_no_server_is_said_with_a_hint(self, server: FakeServer) -> None:
        server.overrides["/model_info"] = [httpx.ConnectError("refused")] * 5
        with pytest.raises(ServerUnreachableError, match=r"`ets-server up` starts one.*5 attempts"):
            async with AsyncPolicyClient(profile="tiny", retry=IMPATIENT):
                pass


class TestKeys:
    async def test_the_key_goes_in_the_header_and_nowhere_else(
        self, server: FakeServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown = ""
        policy = RetryPolicy(first_wait=0, most_wait=0, patience=0.01)
        async with AsyncPolicyClient(profile="tiny", api_key="sk-secret", retry=policy) as client:
            for answer in (FULL, httpx.ConnectError("refused"), httpx.Response(200, text="no")):
                server.overrides["/generate"] = [answer] * 9
                with pytest.raises(RequestError) as caught:
                    await client.expand("q", n=1)
                shown += "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
            shown += repr(client)
        assert {request.headers["Authorization"] for request in server.requests} == {"Bearer sk-secret"}
        assert "sk-secret" not in shown + caplog.text

    async def test_the_key_of_an_endpoint_file_is_used(self, server: FakeServer, tmp_path: Path) -> None:
        path = moved(tmp_path / "e.json", 30000, api_key="sk-file")
        async with AsyncPolicyClient.from_endpoint(path, "tiny") as client:
            assert "sk-file" not in repr(client)
        assert {request.headers["Authorization"] for request in server.requests} == {"Bearer sk-file"}
        server.requests.clear()
        async with AsyncPolicyClient.from_endpoint(path, "tiny", api_key="sk-mine"):
            pass
        assert {request.headers["Authorization"] for request in server.requests} == {"Bearer sk-mine"}

    @pytest.mark.parametrize("key", ["", "two words", "line\nend", "ключ"])
    def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(self, key: str) -> None:
        with pytest.raises(ConfigurationError, match="api_key") as caught:
            AsyncPolicyClient(api_key=key)
        assert not key or key not in str(caught.value)


class TestEndpointFile:
    async def test_a_moved_server_is_found_after_the_connection_is_lost(self, tmp_path: Path) -> None:
        path = moved(tmp_path / "e.json", 30001)
        old, new = FakeServer(), FakeServer()
        with respx.mock(assert_all_called=False) as router:
            router.route(port=30001).mock(side_effect=old)
            router.route(port=30002).mock(side_effect=new)
            async with AsyncPolicyClient.from_endpoint(path, "tiny", retry=IMPATIENT) as client:
                root = await client.root(QUESTION)
                await client.expand(root, n=2)
                moved(path, 30002)
                old.overrides["/generate"] = [httpx.ConnectError("refused")]
                await client.expand(root, n=2)
                await client.expand(root, n=2)
                assert repr(client).startswith("AsyncPolicyClient(http://127.0.0.1:30002, tiny")
        assert len(new.batches) == 2
        assert len(old.batches) == 3

    async def test_the_profile_of_the_server_is_taken(self, server: FakeServer, tmp_path: Path) -> None:
        path = moved(tmp_path / "e.json", 30000, profile="tiny")
        async with AsyncPolicyClient.from_endpoint(path) as client:
            assert client.profile.name == "tiny"
        async with AsyncPolicyClient.from_endpoint(path, "llemma", check_profile=False) as client:
            assert client.profile.name == "llemma"

    async def test_a_profile_that_is_not_known_here_is_derived_and_that_is_said(
        self, server: FakeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = moved(tmp_path / "e.json", 30000, profile="of-another-machine")
        async with AsyncPolicyClient.from_endpoint(path) as client:
            assert client.profile.name == "generic"
        assert "'of-another-machine'" in caplog.text

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no endpoint file"):
            AsyncPolicyClient.from_endpoint(tmp_path / "none.json")
