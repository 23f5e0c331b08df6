from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ets_server.errors import ServerToolError
from ets_server.options import LaunchOptions


def test_the_name_is_the_role_unless_given() -> None:
    assert LaunchOptions(role="reward").server_name == "reward"
    assert LaunchOptions(name="a.b-1").server_name == "a.b-1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "../x"}, "cannot name a server"),
        ({"name": ".hidden"}, "cannot name a server"),
        ({"python": Path("p"), "launcher": "l"}, "give one of them"),
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
    "options",
    [
        {},
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
