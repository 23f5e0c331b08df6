from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ets_server.errors import ServerToolError, UsageError
from ets_server.options import LaunchOptions


def test_the_name_is_the_role_unless_given() -> None:
    assert LaunchOptions(role="reward").server_name == "reward"
    assert LaunchOptions(name="a.b-1").server_name == "a.b-1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "../x"}, "cannot name a server"),
        ({"name": ".hidden"}, "cannot name a server"),
        ({"sglang": "0.5.19"}, "installs: 0.5.18, 0.5.23"),
        ({"sglang": ""}, "installs: 0.5.18, 0.5.23"),
        ({"launcher": "  "}, "--launcher is empty"),
        ({"port": "x"}, "neither a number"),
        ({"port": "0"}, "neither a number"),
        ({"port": "65536"}, "neither a number"),
        ({"tp": 0}, "--tp 0"),
        ({"dp": 0}, "--dp 0"),
        ({"mem_fraction_static": 1.5}, "not between 0 and 1"),
        ({"ready_timeout": 0.0}, "not a positive number"),
        ({"host": "0.0.0.0"}, "add --api-key-file"),
        ({"host": "node1"}, "add --api-key-file"),
        ({"extra": ("--port", "1")}, "use --port instead"),
        ({"extra": ("--tp_size=2",)}, "use --tp instead"),
        ({"extra": ("--api-key", "secret")}, "use --api-key-file instead"),
    ],
)
def test_what_is_wrong_in_itself_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ServerToolError, match=said):
        LaunchOptions(**options).check()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"python": Path("p"), "launcher": "l"}, "--python and --launcher"),
        ({"sglang": "0.5.23", "python": Path("p")}, "--python brings"),
        ({"sglang": "0.5.18", "launcher": "l"}, "--launcher brings"),
    ],
)
def test_options_that_exclude_each_other_are_a_usage_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"{said}.*; give one of them") as refused:
        LaunchOptions(**options).check()
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sglang": "0.5.18"},
        {"sglang": "0.5.23"},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "127.0.0.2"},
        {"host": "0.0.0.0", "api_key_file": Path("key")},
        {"port": "30000", "extra": ("--watchdog-timeout", "60")},
    ],
)
def test_what_is_right_passes(options: dict[str, Any]) -> None:
    LaunchOptions(**options).check()
    assert LaunchOptions(port="30000").fixed_port == 30000
    assert LaunchOptions().fixed_port is None
