"""The pages in a headless Chromium, as a person uses them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from ets_client.search.loaded import LoadedRun
from ets_client.search.pages import write_pages

from ..made_runs import MANIFEST, by_hand, made_node, made_question, made_run

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

    from ets_client.search.loaded import LoadedQuestion


def same(one: str, two: str) -> bool:
    return one == two


async def opened(page: Page, folder: Path, question: LoadedQuestion, anchor: str = "") -> None:
    write_pages(LoadedRun(MANIFEST, {0: question}, 0), folder, is_same=same)
    await page.goto((folder / "question-0001.html").as_uri() + anchor)
    await expect(page.locator("html")).to_have_attribute("data-ready", "yes")


def small() -> LoadedQuestion:
    """Two steps under the root, the second pruned; three under the first: right, wrong, and one that is open."""
    nodes = [
        made_node("r", text="1 + 1?", given=2, children=("r.0", "r.1")),
        made_node("r.0", number=1, text="One and one.", given=3, score=0.9, token_ids=(7, 300), rid="rid-0"),
        made_node("r.1", number=2, text="Dunno.", score=0.1),
        made_node("r.0.0", number=3, text="The answer is 2", answer="2", score=0.8, multiplicity=2, rid="rid-00",
                  request={"temperature": 0.5, "seed": 11, "plan": "batch"}),
        made_node("r.0.1", number=4, text="The answer is 3", answer="3", score=0.2),
        made_node("r.0.2", number=5, text="Hm", score=None, score_failure="it was empty"),
    ]  # fmt: skip
    return by_hand(nodes, [{"r": 2}, {"r.0": 3}], answer="2")


async def test_the_tree_shows_steps_scores_and_what_is_right(browser_page: Page, tmp_path: Path) -> None:
    await opened(browser_page, tmp_path, small())
    nodes = browser_page.locator("[data-node]")
    await expect(nodes).to_have_count(6)
    await expect(browser_page.locator(".node.pruned")).to_have_count(1)
    await expect(browser_page.locator(".node.right")).to_contain_text("= 2")
    await expect(browser_page.locator(".node.right")).to_contain_text("✓")
    await expect(browser_page.locator(".node.wrong")).to_contain_text("= 3")
    await expect(browser_page.locator('[data-node="1"]')).to_contain_text("0.90")
    await expect(browser_page.locator('[data-node="5"]')).to_contain_text("no score")
    await expect(browser_page.locator(".level")).to_have_count(3)
    await expect(browser_page.locator(".level").nth(2)).to_contain_text("4 samples")


async def test_a_click_shows_the_exact_request(browser_page: Page, tmp_path: Path) -> None:
    await opened(browser_page, tmp_path, small())
    await browser_page.locator('[data-node="3"]').click()
    side = browser_page.locator(".side")
    await expect(side).to_contain_text("Step 2")
    await expect(side).to_contain_text("sampled 2 times")
    request = json.loads((await side.locator("pre.request").inner_text()).replace("[12 ids]", "12"))
    assert request == {
        "rid": "rid-00", "plan": "batch", "input_ids": 12, "sampling": {"temperature": 0.5, "seed": 11}
    }  # fmt: skip
    assert browser_page.url.endswith("#r.0.0")
    await browser_page.locator(".level").nth(1).click()
    await expect(side).to_contain_text("Decision 2: 3 samples of 1 node; then 42 tokens held")


async def test_an_address_opens_its_node(browser_page: Page, tmp_path: Path) -> None:
    await opened(browser_page, tmp_path, small(), "#r.0.2")
    await expect(browser_page.locator(".side")).to_contain_text("none: it was empty")
    await expect(browser_page.locator('[data-node="5"]')).to_have_class("node step lit focus")


async def test_keys_walk_fold_and_hide(browser_page: Page, tmp_path: Path) -> None:
    page = browser_page
    await opened(page, tmp_path, small())
    shown = page.locator(".side h2 code")
    for key, id_of in [
        ("ArrowRight", "r.0"), ("ArrowDown", "r.1"), ("ArrowUp", "r.0"), ("ArrowRight", "r.0.0"), ("n", "r.0.1"),
        ("ArrowLeft", "r.0"), ("Home", "r"), ("ArrowLeft", "r"),
    ]:  # fmt: skip
        await page.keyboard.press(key)
        await expect(shown).to_have_text(id_of)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-node]")).to_have_count(3)
    await expect(page.locator('[data-node="1"]')).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-node]")).to_have_count(6)
    await page.keyboard.press("p")
    await expect(page.locator("[data-node]")).to_have_count(5)
    await expect(page.locator("[data-fold]")).to_contain_text("1 pruned")
    await page.locator("[data-fold]").click()
    await expect(page.locator("[data-node]")).to_have_count(6)
    await expect(shown).to_have_text("r.1")
    await page.keyboard.press("c")
    await expect(page.get_by_role("button", name="compact")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("?")
    await expect(page.locator("dialog")).to_be_visible()
    await page.get_by_role("button", name="close").click()
    await expect(page.locator("dialog")).to_be_hidden()


async def test_text_is_found(browser_page: Page, tmp_path: Path) -> None:
    await opened(browser_page, tmp_path, small())
    await browser_page.get_by_role("searchbox").fill("answer is")
    await expect(browser_page.locator(".tools output")).to_have_text("2 found")
    await expect(browser_page.locator(".node.found")).to_have_count(2)
    await browser_page.keyboard.press("Enter")
    await expect(browser_page.locator(".side h2 code")).to_have_text("r.0.0")


async def test_markup_in_texts_stays_text(browser_page: Page, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    nodes = [
        made_node("r", text=evil, given=1, children=("r.0",)),
        made_node(
            "r.0", number=1, text=evil, answer=evil, rid=evil, request={evil: evil}, score_failure=evil, score=None
        ),
    ]
    question = by_hand(nodes, [{"r": 1}], answer=evil, expected=evil, problem=evil)
    await opened(browser_page, tmp_path, question, "#r.0")
    await expect(browser_page.locator(".side pre").first).to_contain_text(evil)
    await expect(browser_page.locator("h1")).to_have_text(evil)
    assert await browser_page.locator("img").count() == 0
    assert await browser_page.locator("script").count() == 2
    await browser_page.locator(".level").first.click()


async def test_what_got_in_would_not_run_and_would_load_nothing(
    browser_page: Page, problems: list[str], tmp_path: Path
) -> None:
    await opened(browser_page, tmp_path, small())
    refused = await browser_page.evaluate(
        """async () => {
            const refused = [];
            const both = new Promise((resolve) => document.addEventListener("securitypolicyviolation", (event) => {
                refused.push(event.effectiveDirective);
                if (refused.length === 2) resolve();
            }));
            const image = document.createElement("img");
            image.src = "https://example.invalid/x.png";
            const script = document.createElement("script");
            script.textContent = "window.gotIn = 'example.invalid'";
            document.body.append(image, script);
            await both;
            return [...refused.sort(), String(window.gotIn)];
        }"""
    )
    assert refused == ["img-src", "script-src-elem", "undefined"]
    problems.clear()  # Chromium tells of both, and that is right


async def test_a_tree_of_width_256_opens_at_once_and_draws_what_is_seen(browser_page: Page, tmp_path: Path) -> None:
    question = made_question(width=256, depth=25, ending=0.05)
    await opened(browser_page, tmp_path, question)
    assert len(question.nodes) > 4000
    assert await browser_page.evaluate("performance.now()") < 15_000  # 0.5 s on an idle machine
    assert await browser_page.locator("[data-node]").count() < 3000
    last = list(question.nodes)[-1]
    await browser_page.get_by_role("searchbox").fill(last)
    await browser_page.keyboard.press("Enter")
    await expect(browser_page.locator(".side h2 code")).to_have_text(last)
    await expect(browser_page.locator(f'[data-node="{len(question.nodes) - 1}"]')).to_be_visible()


async def test_the_saved_drawing_is_a_whole_tree_with_its_own_colours(browser_page: Page, tmp_path: Path) -> None:
    await opened(browser_page, tmp_path, small())
    async with browser_page.expect_download() as waiting:
        await browser_page.get_by_role("button", name="save SVG").click()
    download = await waiting.value
    assert download.suggested_filename == "question-1.svg"
    await download.save_as(tmp_path / "tree.svg")
    drawing = (tmp_path / "tree.svg").read_text(encoding="utf-8")
    assert drawing.count('class="node') == 6
    assert "var(" not in drawing
    assert "light-dark" not in drawing
    await browser_page.goto((tmp_path / "tree.svg").as_uri())
    await expect(browser_page.locator("svg")).to_be_visible()


async def test_dark_and_light_are_a_choice_that_lasts(browser_page: Page, tmp_path: Path) -> None:
    await opened(browser_page, tmp_path, small())
    colour = "getComputedStyle(document.body).backgroundColor"
    light = await browser_page.evaluate(colour)
    await browser_page.get_by_role("button", name="dark / light").click()
    assert await browser_page.evaluate(colour) != light
    await browser_page.reload()
    await expect(browser_page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("place", [0, 2, 8])  # number, answer, generated
async def test_the_index_sorts_and_filters(browser_page: Page, tmp_path: Path, place: int) -> None:
    run = made_run(12, width=4, depth=3)
    index = write_pages(run, tmp_path, is_same=same)
    await browser_page.goto(index.as_uri())
    head = browser_page.locator("th").nth(place)
    values = f"[...document.querySelectorAll('tbody tr')].map((row) => row.cells[{place}].dataset.value)"
    await head.get_by_role("button").click()
    await expect(head).to_have_attribute("aria-sort", "ascending")
    ascending = await browser_page.evaluate(values)
    assert [float(each or "-1") for each in ascending] == sorted(float(each or "-1") for each in ascending)
    await head.get_by_role("button").click()
    descending = await browser_page.evaluate(values)
    assert [float(each or "-1") for each in descending] == sorted(
        (float(each or "-1") for each in ascending), reverse=True
    )
    await browser_page.get_by_role("searchbox").fill("coins")
    shown = sum("coins" in question.problem for question in run.questions.values())
    assert 0 < shown < 12
    await expect(browser_page.locator("#shown")).to_have_text(f"{shown} of 12 questions")
    await expect(browser_page.locator("tbody tr:visible")).to_have_count(shown)
    await browser_page.locator("tbody tr:visible a").first.click()
    await expect(browser_page.locator("html")).to_have_attribute("data-ready", "yes")
