"""Versions that were tried, and what is said of others."""

from __future__ import annotations

import pytest

from ets_client._core.versions import takes_chosen_ids, untried


@pytest.mark.parametrize("version", ["0.5.14", "0.5.18", "0.5.18.post1", "0.5.23"])
def test_a_version_in_the_tested_range_needs_no_word(version: str) -> None:
    assert untried(version) is None


@pytest.mark.parametrize("version", ["0.5.24", "0.6.0", "1.0.0", "main"])
def test_a_version_outside_it_is_named_with_the_range(version: str) -> None:
    assert (
        untried(version)
        == f"SGLang {version} was not tried with this client, which was tested with SGLang 0.5.14 to 0.5.23"
    )


@pytest.mark.parametrize("version", ["0.4.9", "0.5.10.post1", "0.5.13"])
def test_of_an_older_one_it_is_said_what_it_may_lack(version: str) -> None:
    said = untried(version)
    assert said is not None
    assert said.startswith(f"SGLang {version} was not tried with this client")
    assert "drops namespaces silently" in said


def test_a_server_without_a_version_is_named_too() -> None:
    said = untried("")
    assert said is not None
    assert said.startswith("a server that tells no version")


@pytest.mark.parametrize(
    ("version", "takes"),
    [("0.5.14", False), ("0.5.18", False), ("0.5.20.post1", False), ("0.5.21", True), ("0.6.0", True), ("", False)],
)
def test_only_servers_that_survive_chosen_ids_are_asked_for_them(version: str, *, takes: bool) -> None:
    assert takes_chosen_ids(version) is takes
