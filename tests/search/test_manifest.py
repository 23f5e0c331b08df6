from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient
from ets_client.search import Question
from ets_client.search.manifest import Difference, Machine, Manifest, QuestionSet, ServerRecord, differences
from tests.search.journal.lines import manifest

if TYPE_CHECKING:
    from ets_client.testing import FakeServer


async def test_a_server_is_recorded_as_it_tells_of_itself(fake_sglang: FakeServer) -> None:
    async with AsyncPolicyClient(fake_sglang.base_url, profile="tiny") as client:
        info = await client.server_info()
    record = ServerRecord.of(info)
    assert (record.model, record.sglang, record.weight_version) == (info.model_path, info.version, info.weight_version)
    assert record.flags["page_size"] == info.page_size
    assert record.flags["max_total_tokens"] == info.max_total_tokens
    assert None not in record.flags.values()
    assert not {"model_path", "version"} & set(record.flags)
    made = manifest(policy=record)
    assert Manifest.read(made.as_json()) == made


@pytest.mark.parametrize(
    ("folder", "revision"),
    [
        ("/cache/models--a--b/snapshots/" + "0f" * 20, "0f" * 20),
        ("/cache/models--a--b/snapshots/" + "0f" * 20 + "/", "0f" * 20),
        ("a/b", None),
        ("/models/snapshots/mine", None),
    ],
)
async def test_the_revision_is_read_off_the_folder_of_the_hub(
    fake_sglang: FakeServer, folder: str, revision: str | None
) -> None:
    async with AsyncPolicyClient(fake_sglang.base_url, profile="tiny") as client:
        info = replace(client.capabilities, model_path=folder)
    assert ServerRecord.of(info).revision == revision


def test_this_machine_is_described() -> None:
    machine = Machine.here()
    assert machine.cpus >= 1
    assert machine.ets_client
    assert machine.began.endswith("+00:00")


def test_the_same_questions_in_the_same_order_are_the_same() -> None:
    one, two = Question(problem="1 + 1?", answer="2"), Question(problem="2 + 2?")
    assert QuestionSet.of([one, two]) == QuestionSet.of([one.model_copy(), two])
    assert QuestionSet.of([one, two]).count == 2
    assert (
        len(
            {QuestionSet.of(each).sha256 for each in ([one, two], [two, one], [one], [Question(problem="1 + 1?"), two])}
        )
        == 4
    )


def test_equal_manifests_have_no_differences() -> None:
    assert differences(manifest(), manifest()) == []


@pytest.mark.parametrize(
    ("before", "now", "name", "is_decisive"),
    [
        ({}, {"seed": 3}, "seed", True),
        (
            {"method": {"name": "ets", "variant": {"cost": 1}}},
            {"method": {"name": "ets", "variant": {"cost": 2}}},
            "method.variant.cost",
            True,
        ),
        ({"sampling": {"temperature": 1.0}}, {"sampling": {}}, "sampling.temperature", True),
        ({}, {"policy": ServerRecord(model="n", sglang="0.5.18")}, "policy.model", True),
        ({}, {"policy": ServerRecord(model="m", sglang="0.5.23")}, "policy.sglang", False),
        (
            {},
            {"policy": ServerRecord(model="m", sglang="0.5.18", flags={"page_size": 16})},
            "policy.flags.page_size",
            False,
        ),
        ({}, {"limits": {"at_once": 9}}, "limits.at_once", False),
        ({}, {"questions": QuestionSet(count=2, sha256="1")}, "questions.sha256", True),
        ({"profile": "a"}, {"profile": "b"}, "profile", True),
        ({"scorer": {}}, {"scorer": {"name": "logprob"}}, "scorer.name", True),
    ],
)
def test_a_difference_is_named_and_judged(
    before: dict[str, object], now: dict[str, object], name: str, is_decisive: bool
) -> None:
    found = {each.name: each.is_decisive for each in differences(manifest(**before), manifest(**now))}
    assert found[name] is is_decisive
    assert all(each == is_decisive for each in found.values())


def test_a_reward_server_that_comes_or_goes_is_decisive() -> None:
    scored = manifest(reward=ServerRecord(model="prm"))
    assert any(each.is_decisive for each in differences(manifest(), scored))
    assert any(each.is_decisive for each in differences(scored, manifest()))


def test_a_difference_reads_as_a_sentence() -> None:
    assert str(Difference("seed", None, 3, is_decisive=True)) == "seed was not given, is 3"
