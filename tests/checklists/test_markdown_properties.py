"""What holds for every blueprint and every text: nothing changes on the way, nothing is lost, nothing takes long."""

import dataclasses
import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import checklists
from checklists.blueprints import Blueprint, ItemPlan, Kind, PhasePlan, RolePlan, SeatPlan, Stage
from checklists.markdown import ChecklistTooLarge, Limits, dump, parse
from checklists.tminus import Anchor, Offset

STANDARD = Path(checklists.__file__).with_name("standard.md").read_text(encoding="utf-8")
SECONDS = 2.0  # a text as large as allowed is read in less

PLAIN = (
    "Run smoke tests", "QA Lead confirms", "Deploy (if needed)", "Done by the Developers",
    "Monitor for 15-30 minutes",
)  # fmt: skip
NASTY = (
    "", " ", "a**b", "`code", "a | b", "<b>bold</b>", "[link](url)", "![x](y)", "# head", "- [ ] box", "1. one",
    "tail\\", "**", "_x_", "x - y", "x: y", "(T-3d)", "T-3d: x", "🚀 launch", "שלום", "\u202eabc", "a\nb",
    "a\n\n- b\n  - c", "\ta", "a\r\nb", "<!-- c -->", "<!-- role: X -->", "-->", "<!-- end of note -->",
    "```\ncode", "---", "===", "|a|b|\n|-|-|", "none", "NONE", "yes", "Attendees: A, B", "A, B (optional)", "Roles",
    "Release day", "Within 2 hours", "x #", "\\*", "a;b", "If NO-GO: stop.", "> quote", "## Sub\n\ntext",
    "para\n\n## Production\n\n- [ ] x", "  indented", "trailing  ", '"q"', "\x0b\x0c\x85\u2028", "\ufeff",
    "sign-off", "a_b_c", "*em*", "x\n---\ny", "~~~", "[ ]", "- - -", "\x7f", "--", "&amp;",
)  # fmt: skip
texts = st.one_of(
    st.sampled_from(PLAIN),
    st.sampled_from(NASTY),
    st.lists(st.sampled_from(NASTY + PLAIN), max_size=3).map("\n".join),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
)
offsets = st.none() | st.builds(
    lambda anchor, sign, days, minutes: Offset(anchor, sign * days, sign * minutes),
    st.sampled_from(Anchor), st.sampled_from((-1, 1)), st.integers(0, 20), st.integers(0, 400),
)  # fmt: skip
items = st.builds(
    ItemPlan, title=texts, guidance=texts, role=texts, kind=st.sampled_from(Kind), required=st.booleans(),
    condition=texts, bound_to_window=st.booleans(), evidence_wanted=st.booleans(), group=texts,
    watch_min=st.integers(0, 2000), watch_max=st.integers(0, 2000),
)  # fmt: skip
plain_items = st.builds(ItemPlan, title=texts, guidance=texts, kind=st.sampled_from(Kind))
phases = st.builds(
    PhasePlan, name=texts, stage=st.sampled_from(Stage), opens=offsets, due=offsets, note=texts,
    items=st.lists(items | plain_items, max_size=4).map(tuple),
)  # fmt: skip
blueprints = st.builds(
    Blueprint, name=texts, description=texts, closing=texts,
    phases=st.lists(phases, max_size=4).map(tuple),
    roles=st.lists(st.builds(RolePlan, texts, texts, st.booleans()), max_size=3).map(tuple),
    seats=st.lists(st.builds(SeatPlan, texts, st.booleans()), max_size=3).map(tuple),
)  # fmt: skip


@given(blueprints)
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
def test_every_blueprint_is_read_back_from_its_text(blueprint):
    assert parse(dump(blueprint)).blueprint == blueprint


@given(blueprints)
@settings(max_examples=40, derandomize=True, deadline=None, database=None)
def test_a_text_that_was_written_once_is_written_the_same_again(blueprint):
    text = dump(blueprint)
    assert dump(parse(text).blueprint) == text


LINES = (
    "# Title @", "## Phase @ (T-3d)", "## Go/No-Go @ (T-4h)", "## Production @",
    "## Post-deployment @ (Within 2 hours)", "### Group @", "###### Deep @", "## Rollback @ (If needed)",
    "## Roles @", "## Attendees @", "## Purpose @", "# Second @", "- [ ] item @", "* [x] **bold @** - guidance @",
    "+ [ ] **bold:** guidance @ (if @)", "  - nested @", "    - [ ] deep @", "1. step @", "2) [ ] step @",
    "- bullet @", "  - [ ] in a bullet @", "Attendees: A@, B@ (optional)", "text @", "> quote @",
    "| Role @ | Duty @ |", "|---|---|", "| a@ | b@ | c@ |", "**Lead @**: duty @", "- **Lead @**: duty @",
    "**Boss @:** ____ @", "<!-- remark @ -->", "<!-- open @", "closed @ -->",
    "- [ ] x @ <!-- role: R@; kind: sign_off -->", "<!-- kind: odd@ -->", "<!-- role: R@; colour: red@ -->",
    "<!-- watch: soon@ -->", "<!-- note -->", "<!-- end of note -->", "<!-- description -->",
    "<!-- end of description -->", "<!-- log -->", "<!-- end of log -->", "```", "~~~", "---", "***", "===", "", "",
    "", "   ", "name: @", "labels: @", "- [ ]", "- [ ] [link @](http://x/@)", "##", "\ttab @", "- [ ] é 🚀 @",
    "\u2028 @", "\\<!-- @", "- [ ] a `code @` **b @** _c @_", "12345. @", "- [ ] done @ <!-- log: yes -->",
    "## T-1d: name @", "| lonely @", "@ | @",
)  # fmt: skip


def numbered(lines):
    """Put a word of its own for every @, so that each can be looked for."""
    counter = iter(range(10**6))
    return [re.sub("@", lambda _: f"zq{next(counter)}", line) for line in lines]


def strings(value):
    """All texts in a blueprint."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from strings(part)
    elif dataclasses.is_dataclass(value):
        for part in dataclasses.fields(value):
            yield from strings(getattr(value, part.name))


def assert_nothing_is_lost(text):
    reading = parse(text)
    lines = re.split("\r\n|\r|\n", text.removeprefix("\ufeff"))
    reported = {number for problem in reading.problems for number in problem.lines}
    said = " ".join([*strings(reading.blueprint), *(problem.message for problem in reading.problems)])
    words = set(re.findall(r"zq\d+", said))
    assert all(1 <= number <= len(lines) for number in reading.lines_used | reported)
    for number, line in enumerate(lines, start=1):
        if number in reported or not line.strip() or re.fullmatch(r"(?:[-*_][ \t]*){3,}", line.strip()):
            continue
        assert number in reading.lines_used, (number, line)
        assert set(re.findall(r"zq\d+", line)) <= words, (number, line)


@given(st.lists(st.sampled_from(LINES), max_size=25), st.sampled_from(("\n", "\r\n", "\r")), st.booleans())
@settings(max_examples=200, derandomize=True, deadline=None, database=None)
def test_every_line_is_in_the_blueprint_or_in_the_report(lines, end, front):
    lines = ["---", "name: @", "labels: @", "---", *lines] if front else lines
    assert_nothing_is_lost(end.join(numbered(lines)))


def test_a_mangled_checklist_loses_nothing_either():
    dice = random.Random(4)
    junk = ("#", "- [ ] ", "  ", "\t", "<!--", "-->", "|", "```", "**", "(", ")", "1. ", "> ", ":", "---", "`", "\\")
    for _ in range(80):
        lines = numbered(f"{line} @" if line and dice.random() < 0.8 else line for line in STANDARD.split("\n"))
        for _ in range(dice.randint(1, 12)):
            at = dice.randrange(len(lines))
            act = dice.choice(("drop", "swap", "front", "behind", "double", "join"))
            if act == "drop":
                del lines[at]
            elif act == "swap":
                other = dice.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            elif act == "double":
                lines.insert(at, numbered(["- [ ] again @"])[0].replace("zq", "zq77"))
            elif act == "join":
                lines[at] = lines[at].replace("(", "<!-- ").replace(")", " -->")
            else:
                extra = dice.choice(junk)
                lines[at] = extra + lines[at] if act == "front" else lines[at] + extra
        assert_nothing_is_lost("\n".join(lines))


@given(st.text(st.characters(codec="utf-8"), max_size=200))
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
def test_any_text_at_all_is_read_and_accounted_for(text):
    assert_nothing_is_lost(text)


FULL = Limits.BYTES
HOSTILE = {
    "the largest sensible checklist": "".join(
        f"## Phase {n} (T-{30 - n}d)\n\n" + "- [ ] **Title** - Words by the QA Lead (if needed)\n  - step\n" * 20
        for n in range(25)
    ),
    "brackets": "- [ ] " + "[" * FULL,
    "many lines of brackets": ("- [ ] " + "[" * 9_000 + "\n") * 57,
    "bold that never ends": ("- [ ] " + "**a" * 3_000 + "\n") * 57,
    "runs of backticks": ("- [ ] " + " ".join("`" * n for n in range(1, 130)) + "\n") * 57,
    "half links": ("- [ ] " + "[a](b" * 1_500 + "\n") * 57,
    "comments that never end": "<!--" * (FULL // 4),
    "comments without end": "<!--a-->" * (FULL // 8),
    "escaped comments": "- [ ] " + "\\<!--" * (FULL // 5),
    "bullets in bullets": "\n".join("  " * n + "- a" for n in range(680)) + "\n" + "  " * 681 + "- [ ] x",
    "many headings": "- [ ] a\n" + "".join("#" * (n % 6 + 1) + " h\n" for n in range(15_000)),
    "many conditions": "## x" + " (if needed)" * 40_000,
    "one long list of attendees": "## Go/No-Go\n- [ ] x\n\nattendees: " + "a," * 250_000,
    "many short lists of attendees": "## Go/No-Go\n- [ ] x\n\n" + ("attendees: " + "a," * 20 + "\n") * 9_000,
    "roles in every item": "## Roles\n"
    + "".join(f"- **R{n}**: x\n" for n in range(90))
    + "## P\n"
    + ("- [ ] " + "lorem R6 ipsum " * 60 + "\n") * 450,
    "nested lists in a mark": "- [ ] a <!-- role: " + "[" * 500_000 + " -->",
    "many marks": "- [ ] x <!-- role: a;" + "zz: a;" * 60_000 + "-->",
    "regions that never end": "<!-- note -->\n" * 9_000 + "<!-- end of closing -->\n" * 9_000,
    "fences": "```\n" * 19_000,
    "spaces": " " * FULL,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_read_in_time(name):
    text = HOSTILE[name].encode()[:FULL].decode(errors="ignore")
    started = time.process_time()
    parse(text)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("é" * 300_000, "longer than 512 KiB"),
        ("- [ ] a\n" * 501, "501 items"),
        ("## Rollback\n" + "1. a\n" * 501, "501 items"),
        ("\n" * 30_000, "30001 lines"),
        ("## Roles\n" + "".join(f"- R{n}\n" for n in range(101)), "101 roles"),
    ],
)
def test_a_text_beyond_the_limits_is_refused_with_a_sentence(text, sentence):
    with pytest.raises(ChecklistTooLarge, match=sentence):
        parse(text)


def test_500_items_are_not_too_many():
    assert len(parse("## Checks (T-1d)\n" + "- [ ] a\n" * 500).blueprint.items) == 500
