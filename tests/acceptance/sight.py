"""What each page must stand: no serious fault of accessibility, no sideways scroll on a phone, in both themes; its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests import chromium
from tests.acceptance.people import DESKTOP, Person

NARROW = {"width": 360, "height": 740}
PHONE = {"width": 390, "height": 844}
THEMES = ("light", "dark")
GRAVE = ("serious", "critical")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

WIDER_THAN_THE_PAGE = """() => {
  const edge = document.documentElement.clientWidth, wide = document.documentElement.scrollWidth - edge
  if (wide <= 0) return ""
  const scrolls = (element) => element && (getComputedStyle(element).overflowX !== "visible" || scrolls(element.parentElement))
  const out = [...document.querySelectorAll("body *")].filter(
    (element) => element.getBoundingClientRect().right > edge + 1 && !scrolls(element.parentElement))
  const words = (element) => `${element.tagName.toLowerCase()} “${element.textContent.trim().slice(0, 60)}”`
  return `${wide} px too wide: ${out.slice(-3).map(words).join(", ")}`
}"""


# Colours move for 120 ms after a change of theme; on a busy machine nobody knows when that begins.
SETTLED = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
  for (const move of document.getAnimations()) move.finish();
  done();
})))"""


@dataclass
class Sight:
    """Looks at pages; keeps what was wrong, and a line for each page."""

    shots: Path | None = None
    examine: bool = True
    seen: dict[str, str] = field(default_factory=dict)  # page -> what was wrong, "" when nothing was
    minor: dict[str, list[str]] = field(default_factory=dict)

    def look(self, person: Person, name: str, *, shot: bool = False) -> None:
        """Examine the page a person is on, once for each `name`, and picture it when `shot`."""
        if self.examine and name not in self.seen:
            self.seen[name] = "; ".join(self._faults(person.page, name))
        if shot and self.shots:
            self._picture(person.page, name, self.shots)

    def _faults(self, page: Page, name: str) -> list[str]:
        found: list[str] = []
        for size in (DESKTOP, NARROW):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            for theme in THEMES:
                _wear(page, theme)
                found += [
                    f"{theme} {size['width']}: {fault}" for fault in self._axe(page, f"{name} {theme} {size['width']}")
                ]
            if wide := page.evaluate(WIDER_THAN_THE_PAGE):
                found.append(f"{size['width']}: {wide}")
        _back(page)
        return found

    def _axe(self, page: Page, name: str) -> list[str]:
        if not page.evaluate("typeof axe !== 'undefined'"):
            page.evaluate(chromium.axe_source())
        faults: Sequence[dict[str, Any]] = page.evaluate(
            "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']}).then(found => found.violations)",
            RULES,
        )
        small = [_words(fault) for fault in faults if fault["impact"] not in GRAVE]
        if small:
            self.minor[name] = small
        return [_words(fault) for fault in faults if fault["impact"] in GRAVE]

    def _picture(self, page: Page, name: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        page.evaluate("document.activeElement && document.activeElement.blur()")
        for size, device in ((DESKTOP, "desktop"), (PHONE, "phone")):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.evaluate("window.scrollTo(0, 0)")
            for theme in THEMES:
                _wear(page, theme)
                page.screenshot(path=folder / f"{name}-{theme}-{device}.png", animations="disabled", caret="hide")
        _back(page)

    @property
    def wrong(self) -> list[str]:
        return [f"{name}: {faults}" for name, faults in self.seen.items() if faults]

    def table(self) -> str:
        """One line a page: what was wrong with it, in both themes, at a desktop's width and at 360 px."""
        wide = max((len(name) for name in self.seen), default=0)
        return "\n".join(f"  {name:{wide}}  {faults or 'nothing'}" for name, faults in self.seen.items())


def _wear(page: Page, theme: str) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.evaluate(SETTLED)


def _back(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]


def _words(fault: dict[str, Any]) -> str:
    places = ", ".join(str(node["target"][0]) for node in fault["nodes"][:4])
    return f"{fault['id']} ({fault['impact']}) at {places}"
