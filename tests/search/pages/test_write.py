"""The files of a run's pages."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from ets_client.search.loaded import LoadedRun
from ets_client.search.pages import write_pages

from ..made_runs import MANIFEST, by_hand, made_node, made_question, made_run

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def same(one: str, two: str) -> bool:
    return one == two


class Tags(HTMLParser):
    """Counts the tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def test_there_is_an_index_and_a_page_for_each_question(tmp_path: Path) -> None:
    index = write_pages(made_run(3), tmp_path / "run" / "pages", "my run", is_same=same)
    assert sorted(path.name for path in index.parent.iterdir()) == [
        "index.html", "question-0001.html", "question-0002.html", "question-0003.html",
    ]  # fmt: skip
    links = [value for name, value in Tags(index.read_text(encoding="utf-8")).attributes if name == "href"]
    assert links == ["question-0001.html", "question-0002.html", "question-0003.html"]
    middle = Tags((index.parent / "question-0002.html").read_text(encoding="utf-8"))
    assert [value for name, value in middle.attributes if name == "href"] == [
        "index.html", "question-0001.html", "question-0003.html",
    ]  # fmt: skip


def test_no_page_loads_anything(tmp_path: Path) -> None:
    index = write_pages(made_run(2), tmp_path, is_same=same)
    for path in index.parent.iterdir():
        page = path.read_text(encoding="utf-8")
        tags = Tags(page)
        assert not {"link", "img", "iframe", "object", "base", "form"} & set(tags.tags)
        assert not [name for name, _ in tags.attributes if name in {"src", "style"} or name.startswith("on")]
        assert re.findall(r"https?://[^\s\"']+", page.replace("http://www.w3.org/2000/svg", "")) == []


def test_texts_of_models_and_users_become_no_markup(tmp_path: Path) -> None:
    def evil(text: str) -> str:
        return f"{text} {EVIL}"

    manifest = {**MANIFEST, "policy": {"model": f"/models/{EVIL}"}, EVIL: EVIL}
    nodes = [
        made_node("r"),
        made_node("r.0", answer=EVIL, text=EVIL, score_failure=EVIL, rid=EVIL, request={EVIL: EVIL}),
    ]
    hand = by_hand(nodes, [{"r": 1}], number=1, problem=EVIL, answer=EVIL, expected=EVIL, why=EVIL)
    tame = write_pages(made_run(2), tmp_path / "tame", is_same=same)
    run = LoadedRun(manifest, {0: made_question(0, text=evil), 1: hand}, 0)
    index = write_pages(run, tmp_path / "evil", EVIL, is_same=same)
    for path in index.parent.iterdir():
        tags = Tags(path.read_text(encoding="utf-8"))
        assert tags.tags.count("script") == 2
        assert "img" not in tags.tags
        assert not [name for name, _ in tags.attributes if name.startswith("on")]
    plain = Tags((tame.parent / "question-0001.html").read_text(encoding="utf-8"))
    attacked = Tags((index.parent / "question-0001.html").read_text(encoding="utf-8"))
    assert [tag for tag in attacked.tags if tag != "li"] == [tag for tag in plain.tags if tag != "li"]
    data = re.findall(r'id="data">(.*?)</script>', (index.parent / "question-0002.html").read_text(encoding="utf-8"))[0]
    assert json.loads(data)["nodes"]["text"][1] == EVIL


def test_a_lone_surrogate_does_not_stop_the_writing(tmp_path: Path) -> None:
    nodes = [made_node("r"), made_node("r.0", text="\ud83d", answer="\udfff")]
    write_pages(LoadedRun(MANIFEST, {0: by_hand(nodes, problem="\ud800")}, 0), tmp_path, "\udc00", is_same=same)


def test_a_run_without_questions_has_an_index(tmp_path: Path) -> None:
    assert "0 questions" in write_pages(LoadedRun({}, {}, 0), tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"answer": "2"}, "is right"), ({"answer": "3"}, "is wrong; <b>2</b> is right"), ({}, "no answer is wrong"),
        ({"why": None}, "not ended yet"), ({"expected": None, "answer": "3"}, 'class="verdict open">answer <b>3</b>'),
    ],
)  # fmt: skip
def test_a_verdict_is_said_in_words(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    write_pages(LoadedRun(MANIFEST, {0: by_hand([made_node("r")], **fields)}, 0), tmp_path, is_same=same)
    assert said in (tmp_path / "question-0001.html").read_text(encoding="utf-8")


def test_a_tree_of_width_256_is_a_page_of_few_megabytes(tmp_path: Path) -> None:
    question = made_question(width=256, depth=25, ending=0.05)
    assert len(question.nodes) > 4000
    write_pages(LoadedRun(MANIFEST, {0: question}, 0), tmp_path, is_same=same)
    assert (tmp_path / "question-0001.html").stat().st_size < 3_000_000
