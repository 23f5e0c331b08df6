from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ets_client import AsyncPolicyClient, ConfigurationError, RetryPolicy, SamplingParams
from ets_client._core.client_options import check_options

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"timeout": None, "retry": None, "sampling": None, "observer": None},
        {"timeout": 0.5, "connections": 1, "plan": "batch", "retry": RetryPolicy(), "sampling": SamplingParams()},
        {"timeout": 3, "connections": 4096, "plan": "server_n", "observer": print},
    ],
)
def test_options_that_can_be_used_are_taken(options: Mapping[str, object]) -> None:
    check_options(options)


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("timeout", "5", "timeout = '5': seconds above 0, or None for no limit"),
        ("timeout", 0, "timeout = 0: seconds above 0"),
        ("timeout", float("nan"), "timeout = nan: seconds above 0"),
        ("timeout", True, "timeout = True: seconds above 0"),
        ("connections", 0, "connections = 0: a whole number of at least 1"),
        ("connections", 2.5, "connections = 2.5: a whole number"),
        ("connections", True, "connections = True: a whole number"),
        ("plan", "many", "plan = 'many': 'batch' or 'server_n'"),
        ("plan", [], r"plan = \[\]: 'batch' or 'server_n'"),
        ("retry", 5, r"retry = 5: RetryPolicy\(\.\.\.\), or leave it out"),
        ("sampling", {"temperature": 1.0}, r"sampling = {'temperature': 1.0}: SamplingParams\(\.\.\.\)"),
        ("observer", "print", "observer = 'print': a function"),
    ],
)
def test_an_option_of_another_kind_is_refused_when_the_client_is_made(option: str, given: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check_options({option: given})
    with pytest.raises(ConfigurationError, match=said):
        AsyncPolicyClient("http://127.0.0.1:30000", **{option: given})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
