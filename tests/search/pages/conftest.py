"""A headless Chromium for the tests of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import async_playwright

from .browser import chromium, environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page


@pytest.fixture
def problems() -> list[str]:
    """What went wrong in the browser; not empty at the end, it fails the test."""
    return []


@pytest.fixture
async def browser_page(problems: list[str]) -> AsyncIterator[Page]:
    """A page; errors of its scripts, dialogs, and requests for anything but its own file are problems."""
    program = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, env={**environment(program)}, args=["--no-sandbox"]
        )
        page = await browser.new_page(viewport={"width": 1500, "height": 950})
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("console", lambda message: problems.append(f"console: {message.text}"))
        page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: problems.append(request.url) if "file://" not in request.url else None)
        yield page
        await browser.close()
    assert not problems
