"""Examples, and what the pages about searches show, run on a fake server too: there in a second, and without SGLang."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ets_client.testing import FakeOptions, SeededModel
from tests.docs.test_snippets import PYTHON, run

if TYPE_CHECKING:
    from ets_client.pytest_plugin import FakeServerFactory

PAGES = (
    "README.md:2",
    "docs/tutorial/",
    "examples/",
    "docs/how-to/evaluate-and-show",
    "docs/how-to/write-a-search",
    "docs/how-to/plug-in",
    "docs/how-to/reproduce",
    "docs/reference/search.md",
)
HERE = [(where, code) for where, code in PYTHON if where.startswith(PAGES) and "policy.json" in code]


@pytest.mark.parametrize(("where", "code"), HERE, ids=[where for where, _ in HERE])
def test_an_example_runs_on_a_fake_server(
    where: str, code: str, fake_sglang_factory: FakeServerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fake_sglang_factory(FakeOptions(), model=SeededModel(2, line_end=0.15))
    server.endpoint(tmp_path / "policy.json", profile="tiny")
    monkeypatch.chdir(tmp_path)
    run(where, code)


def test_a_search_of_ones_own_is_some_thirty_lines() -> None:
    file = Path(__file__).parents[2] / "examples" / "own_search.py"
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 35


def test_the_how_to_shows_the_example_as_it_is() -> None:
    file = Path(__file__).parents[2] / "examples" / "own_search.py"
    assert ("docs/how-to/write-a-search.md:3", file.read_text(encoding="utf-8")) in PYTHON
