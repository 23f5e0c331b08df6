"""What a search is made of is checked before anything is sent, and an error says what belongs there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ets_client import ConfigurationError, PolicyClient
from ets_client.search import Decision, Question, Rebase, SearchOptions, TreeSearch, TreeView, search_all
from ets_client.testing import FakeServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ets_client import AsyncPolicyClient

QUESTION = Question(problem="How many are 5 and 7?")


class Decides:
    """A method that decides what it was made with."""

    name = "mine"

    def __init__(self, decision: object) -> None:
        self._decision = decision

    def decide(self, view: TreeView) -> Any:
        return self._decision


class AsyncMethod:
    name = "soon"

    async def decide(self, view: TreeView) -> Decision:
        return Decision({})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"method": "rebase"}, r"method = 'rebase': .* such as Rebase\(\)"),
        ({"method": Rebase}, "method = the class Rebase, not an object of it"),
        ({"method": AsyncMethod()}, "its `decide` must not be async"),
        ({"scorer": SearchOptions()}, r"give the options by name, `options=SearchOptions\(\.\.\.\)`"),
        ({"scorer": len}, r"scorer = <built-in function len>: .* CallableScorer\(\.\.\.\) around a function"),
        ({"scorer": "http://127.0.0.1:30001"}, r"scorer = 'http://127.0.0.1:30001': .* such as RewardServer\(client\)"),
        ({"options": {"width": 4}}, r"options = {'width': 4}: SearchOptions\(\.\.\.\), or None"),
    ],
)
async def test_a_wrong_part_of_a_search_is_refused_with_what_belongs_there(
    client: AsyncPolicyClient, parts: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        TreeSearch(**{"client": client, "method": Rebase(), **parts})


def test_a_blocking_client_is_refused() -> None:
    with (
        FakeServer() as server,
        PolicyClient(server.base_url, "tiny") as client,
        pytest.raises(ConfigurationError, match="an open AsyncPolicyClient"),
    ):
        TreeSearch(client, Rebase())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_text_is_no_question(client: AsyncPolicyClient) -> None:
    text: Any = "5 + 7?"
    with pytest.raises(ConfigurationError, match=r"question = '5 \+ 7\?': Question\(problem=\.\.\.\)"):
        await TreeSearch(client, Rebase()).run(text)
    with pytest.raises(ConfigurationError, match=r"question = '5 \+ 7\?': Question\(problem=\.\.\.\)"):
        await search_all(TreeSearch(client, Rebase()), [text])


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ({0: 4}, r"'mine' decided \{0: 4\}: a Decision\("),
        (None, "'mine' decided None"),
        (Decision({0: 2.5}), "gave 2.5 children to node 0: each must be an int"),  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
        (Decision({"r.0": 2}), "gave 2 children to node 'r.0': each must be an int"),  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    ],
)
@pytest.mark.parametrize("width", [8, 64])
@pytest.mark.parametrize("barrier", ["level", "none"])
async def test_what_is_no_decision_ends_the_run_with_what_belongs_there(
    client: AsyncPolicyClient, decision: object, said: str, width: int, barrier: Any
) -> None:
    search = TreeSearch(client, Decides(decision), options=SearchOptions(width=width, barrier=barrier))
    with pytest.raises(ConfigurationError, match=said):
        await search.run(QUESTION)
