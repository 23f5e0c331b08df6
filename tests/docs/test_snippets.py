"""Every Python block of the documentation runs, and every public name is in one; every profile in it is valid.

A block that reads `policy.json` runs beside the endpoint file of a real server. The others need none.
"""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from ets_client import Endpoint, Profile
from ets_client.profiles import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def blocks(language: str) -> list[tuple[str, str]]:
    """All fenced blocks of a language, each with the name of its page and its number there."""
    found: list[tuple[str, str]] = []
    for page in PAGES:
        codes = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        found += [(f"{page.relative_to(ROOT)}:{number}", code) for number, code in enumerate(codes, start=1)]
    return found


PYTHON = [*blocks("python"), *((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in EXAMPLES)]


def chosen(*, on_a_server: bool) -> list[tuple[str, str]]:
    """The blocks that need a server, or those that need none; what stands on several pages, once."""
    found: dict[str, str] = {}
    for where, code in PYTHON:
        if ("policy.json" in code) is on_a_server:
            found.setdefault(code, where)
    return [(where, code) for code, where in found.items()]


def run(where: str, code: str) -> None:
    exec(compile(code, where, "exec"), {"__name__": "__main__"})


@pytest.fixture(scope="module")
def short_steps(live_endpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real server's endpoint file with a profile of shorter steps: a random model writes each to its end."""
    folder = tmp_path_factory.mktemp("short")
    profile = load_profile("tiny").model_dump(mode="json", exclude_none=True)
    profile["steps"] |= {"max_step_tokens": 8, "max_path_tokens": 128}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    endpoint = Endpoint.read(live_endpoint).model_copy(update={"profile": str(folder / "tiny.yaml")})
    endpoint.write(folder / "policy.json")
    return folder / "policy.json"


@pytest.mark.live
@pytest.mark.parametrize(
    ("where", "code"), chosen(on_a_server=True), ids=[where for where, _ in chosen(on_a_server=True)]
)
def test_a_snippet_runs_beside_an_endpoint_file(
    where: str, code: str, short_steps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.json").symlink_to(short_steps)
    monkeypatch.chdir(tmp_path)
    run(where, code)


@pytest.mark.parametrize(
    ("where", "code"), chosen(on_a_server=False), ids=[where for where, _ in chosen(on_a_server=False)]
)
def test_a_snippet_without_an_endpoint_file_runs_alone(
    where: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(where, code)


MODULES = ["ets_client", "ets_client.events", "ets_client.prometheus", "ets_client.search", "ets_client.testing"]
MODULES += ["ets_client.search.evaluate", "ets_client.search.pages"]
MODULES += ["ets_client.adapters.its_hub", "ets_client.adapters.treequest"]
PUBLIC = [(module, name) for module in MODULES for name in import_module(module).__all__]
REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "reference").glob("*.md")))


def used_names(code: str) -> Iterator[str]:
    """Names that a block uses; to import one is not to use it."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


USED = {name for _, code in PYTHON for name in used_names(code)}


def described() -> set[int]:
    """The objects on reference pages, by identity: those named there, and all names of modules named there."""
    found: set[int] = set()
    for path in re.findall(r"^::: ([\w.]+)$", REFERENCE, re.MULTILINE):
        parent, _, name = path.rpartition(".")
        value = getattr(import_module(parent), name)
        names = getattr(value, "__all__", [])
        found |= {id(getattr(value, each)) for each in names} if names else {id(value)}
    return found


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=[f"{module}.{name}" for module, name in PUBLIC])
def test_a_public_name_is_on_a_reference_page_and_used_in_an_example(module: str, name: str) -> None:
    assert id(getattr(import_module(module), name)) in described()
    assert name in USED


@pytest.mark.parametrize(("where", "code"), blocks("yaml"), ids=[where for where, _ in blocks("yaml")])
def test_a_profile_in_the_documentation_is_valid(where: str, code: str) -> None:
    assert Profile.model_validate(yaml.safe_load(code)).name, where


def test_the_readme_shows_the_quickstart_as_it_is() -> None:
    quickstart = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    assert ("README.md:1", quickstart) in PYTHON
    assert len(quickstart.splitlines()) < 40
