"""People at their browsers: one context each, signed in by the form, acting by what the pages show."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Response,
    expect,
    sync_playwright,
)

from tests import chromium
from tests.acceptance.server import LogIn, Running

PATIENCE = 10_000  # milliseconds
DESKTOP = {"width": 1440, "height": 900}


class Person:
    """Somebody at a browser. What is done here is what a hand could do; what is asserted, an eye could see."""

    def __init__(self, name: str, context: BrowserContext, url: str) -> None:
        self.name, self.context, self.url = name, context, url
        self.problems: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("pageerror", lambda error: self.problems.append(f"{self.page.url}: {error}"))
        self.page.on("console", self._note)
        self.page.on("response", self._heard)

    def _heard(self, answer: Response) -> None:
        if answer.status >= 500:
            self.problems.append(f"{answer.url}: {answer.status}")

    def _note(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or (message.type == "error" and "htmx:" in message.text.lower()):
            self.problems.append(f"{self.page.url}: {message.text}")

    # going and looking

    def goes(self, path: str) -> Person:
        """Open an address of the site; anything but a page that was found is a failure."""
        answer = self.page.goto(path if path.startswith("http") else self.url + path)
        assert answer is not None, path
        assert answer.status < 400, f"{self.name} gets {answer.status} at {path}: {self.page.inner_text('body')[:400]}"
        return self

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    def sees(self, *words: str | re.Pattern[str], where: str = "body") -> None:
        """Each of `words` stands in what the page shows (waits for it)."""
        for text in words:
            expect(self.page.locator(where).first, f"{self.name} at {self.path}").to_contain_text(
                text, use_inner_text=True, ignore_case=True, timeout=PATIENCE
            )

    def does_not_see(self, *words: str, where: str = "body") -> None:
        for text in words:
            expect(self.page.locator(where).first, f"{self.name} at {self.path}").not_to_contain_text(
                text, use_inner_text=True, ignore_case=True
            )

    def waits_for_the_page(self) -> None:
        """As an eye does: until no part of the page is being fetched or put in place."""
        busy = ".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added"
        self.page.wait_for_function("busy => !document.querySelector(busy)", arg=busy)

    # acting

    def button(self, name: str | re.Pattern[str], within: Locator | None = None) -> Locator:
        return (within or self.page).get_by_role("button", name=name)

    def link(self, name: str | re.Pattern[str], within: Locator | None = None) -> Locator:
        return (within or self.page).get_by_role("link", name=name)

    def presses(self, name: str | re.Pattern[str], within: Locator | None = None) -> None:
        self.button(name, within).first.click()

    def follows(self, name: str | re.Pattern[str], within: Locator | None = None) -> None:
        self.link(name, within).first.click()

    def confirms(self, button: Locator) -> None:
        """Press a button that asks once more in its place, by other words."""
        pressed = button.element_handle()
        pressed.click()
        pressed.click()

    def writes(self, label: str | re.Pattern[str], text: str, within: Locator | None = None) -> None:
        (within or self.page).get_by_label(label, exact=isinstance(label, str)).first.fill(text)

    def chooses(self, label: str | re.Pattern[str], within: Locator | None = None) -> None:
        """Choose a radio button or tick a box by its words."""
        (within or self.page).get_by_label(label).first.check(force=True)


class People:
    """Those of one site. `people["ana"]` signs her in at the first time."""

    def __init__(self, browser: Browser, site: Running, **options: Any) -> None:
        self.browser, self.site = browser, site
        self.options: dict[str, Any] = {
            "viewport": DESKTOP,
            "locale": "en-GB",
            "timezone_id": "UTC",
            "accept_downloads": True,
        } | options
        self.known: dict[str, Person] = {}

    def __getitem__(self, handle: str) -> Person:
        if handle not in self.known:
            log_in = self.site.log_ins[handle]
            self.known[handle] = self.stranger(log_in.name)
            sign_in(self.known[handle], log_in)
        return self.known[handle]

    def stranger(self, name: str) -> Person:
        """Somebody not signed in."""
        return Person(name, self.browser.new_context(**self.options), self.site.url)

    def joins(self, handle: str, person: Person) -> None:
        """Keep somebody who came in by an invitation."""
        self.known[handle] = person

    @property
    def problems(self) -> list[str]:
        """Scripts that failed, what the content security policy stopped, answers of 500 and above."""
        return [problem for person in self.known.values() for problem in person.problems]

    def leave(self) -> None:
        for person in self.known.values():
            person.context.close()


def sign_in(person: Person, log_in: LogIn) -> None:
    person.goes("/accounts/login/")
    person.page.get_by_label(re.compile("mail", re.IGNORECASE)).first.fill(log_in.email)
    person.page.locator("input[type=password]").first.fill(log_in.password)
    person.page.locator("input[type=password]").first.press("Enter")
    person.page.wait_for_url(lambda url: "/accounts/login" not in url)


@contextmanager
def chromium_browser() -> Iterator[Browser]:
    """A real Chromium."""
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(chromium.node()))
    found = chromium.find()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.program, args=list(chromium.FLAGS), env={**os.environ, **found.environment}
        )
        yield browser
        browser.close()
