"""Every Python block of the documentation runs, on a real server; every profile in it is valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ets_client import Profile

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


@pytest.mark.live
@pytest.mark.parametrize(("where", "code"), PYTHON, ids=[where for where, _ in PYTHON])
def test_a_snippet_runs_beside_an_endpoint_file(
    where: str, code: str, live_endpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.json").symlink_to(live_endpoint)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, where, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize(("where", "code"), blocks("yaml"), ids=[where for where, _ in blocks("yaml")])
def test_a_profile_in_the_documentation_is_valid(where: str, code: str) -> None:
    assert Profile.model_validate(yaml.safe_load(code)).name, where


def test_the_readme_shows_the_quickstart_as_it_is() -> None:
    quickstart = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    assert ("README.md:1", quickstart) in PYTHON
    assert len(quickstart.splitlines()) < 40
