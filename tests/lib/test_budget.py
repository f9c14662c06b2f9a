"""What a page may weigh in styles and scripts."""

import re
from pathlib import Path

import pytest
from django.conf import settings

STATIC = Path(settings.BASE_DIR) / "static"
TEMPLATES = Path(settings.BASE_DIR) / "templates"
EVERYWHERE = ("tokens", "base", "layout", "components")


def test_our_own_scripts_together_stay_under_400_lines():
    lines = {script.name: len(script.read_text().splitlines()) for script in (STATIC / "js").glob("*.js")}
    assert sum(lines.values()) < 400, lines


@pytest.mark.parametrize("kind", ["release", "dashboard", "room", "editor", "record", "account"])
def test_the_styles_of_one_page_stay_small(kind):
    sizes = {name: len((STATIC / "css" / f"{name}.css").read_bytes()) for name in (*EVERYWHERE, kind)}
    assert sum(sizes.values()) <= 33 * 1024, sizes


def test_no_template_has_a_style_or_a_script_of_its_own():
    inline = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\bsrc=)(?![^>]*application/json)", re.IGNORECASE)
    pages = [path for path in TEMPLATES.rglob("*.html") if "emails" not in path.parts]
    assert not {str(path.relative_to(TEMPLATES)) for path in pages if inline.search(path.read_text())}


def test_styles_name_no_colour_outside_the_tokens():
    colour = re.compile(r"#[0-9a-f]{3,8}\b(?=[^{]*})", re.IGNORECASE)
    allowed = {
        "#fff",
        "#f5f6f8",
        "#0b0e1280",
        "#332000",
        "#332606",
        "#f2b632",
        "#ffd166",
    }  # paper, veil, ink of the amber lamp
    for sheet in (STATIC / "css").glob("*.css"):
        if sheet.stem != "tokens":
            found = set(colour.findall(re.sub(r"^#[a-z-]+[^{]*{", "{", sheet.read_text(), flags=re.MULTILINE)))
            assert found <= allowed, sheet.name


def test_every_icon_a_template_asks_for_is_drawn():
    drawn = set(re.findall(r'<symbol id="([a-z]+)"', (STATIC / "icons.svg").read_text()))
    asked = {
        name for page in TEMPLATES.rglob("*.html") for name in re.findall(r'{% icon "([a-z_]+)"', page.read_text())
    }
    assert asked <= drawn
