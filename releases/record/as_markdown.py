"""The record as Markdown: the checklist in its own shape, with ticks, names and times.

What happened stands on lines and in sections that the importer knows to be a log: read back, the file gives the
checklist again. Times are on the release's wall clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from checklists.blueprints import Stage
from checklists.markdown import Progress, dump
from checklists.markdown.inline import escape
from releases.models import State
from releases.record.values import ActionRecord, DecisionRecord, ItemRecord, Record, RollbackRecord, WatchRecord

Place = tuple[int, int]


def as_markdown(record: Record) -> str:
    """Return `record` as Markdown that `parse` reads back as the release's checklist."""
    title, rest = _cut(dump(record.plan, _progress(record)))
    return f"{title}{_log(_summary(record))}\n\n{rest}\n{_log(_outcome(record))}\n"


def _cut(text: str) -> tuple[str, str]:
    """The title's paragraph, if the text begins with one, and the rest."""
    if not text.startswith("# "):
        return "", text
    title, _, rest = text.partition("\n\n")
    return f"{title}\n\n", rest


def _log(lines: Iterator[str]) -> str:
    return "\n".join(["<!-- log -->", *lines, "<!-- end of log -->"])


def _progress(record: Record) -> Progress:
    """The ticks, and below each item what was done about it."""
    done: set[Place] = set()
    lines: dict[Place, tuple[str, ...]] = {}
    live = iter(record.phases)
    step = 0
    for at, plan in enumerate(record.plan.phases):
        if plan.stage is Stage.CONTINGENCY:
            for index in range(len(plan.items)):
                step += 1
                lines[at, index] = tuple(_step(record, step))
            continue
        for index, item in enumerate(next(live).items):
            lines[at, index] = tuple(_item(item, record.zone))
            if item.state == State.DONE:
                done.add((at, index))
    return Progress(frozenset(done), lines)


def _item(item: ItemRecord, zone: ZoneInfo) -> Iterator[str]:
    """`done by Ben Osei, Sun 22 Nov 2026 15:12 CET`, then each piece of evidence and each watch."""
    if item.state != State.OPEN:
        who = f" by {item.who}" if item.by else ", computed"
        why = f": {item.reason}" if item.reason else ""
        yield f"{item.label}{who}, {_at(item.at, zone)}{why}"
    for proof in item.evidence:
        words = " ".join(dict.fromkeys(filter(None, (proof.label, proof.url))))
        commit = f" at commit {proof.commit}" if proof.commit else ""
        yield f"evidence: {words}{commit}, {proof.by}, {_at(proof.at, zone)}"
    yield from (_watch(watch, zone) for watch in item.watches)


def _watch(watch: WatchRecord, zone: ZoneInfo) -> str:
    words = f"watched from {_at(watch.started_at, zone)}"
    if watch.ended_at is None:
        return words
    note = f": {watch.note}" if watch.note else ""
    return f"{words} for {watch.minutes} minutes, {watch.verdict} says {watch.ended_by}{note}"


def _step(record: Record, position: int) -> Iterator[str]:
    """What each rollback did about the step at `position`."""
    for rollback in record.rollbacks:
        for step in rollback.steps:
            if step.position == position and step.state != "open":
                who = f" by {step.by}" if step.by else ""
                note = f": {step.note}" if step.note else ""
                words = step.state.replace("_", " ")
                yield f"rollback {rollback.number}: {words}{who}, {_at(step.at, record.zone)}{note}"


def _summary(record: Record) -> Iterator[str]:
    release, zone = record.release, record.zone
    counts = ", ".join(f"{count} {state.label}" for state, count in record.counts())
    yield _bullet("Release", f"{release.key} {release.title}")
    yield _bullet("State", record.status.label)
    yield _bullet("Window", f"{_at(release.t_zero, zone)} to {_at(release.window_end, zone)}")
    if release.started_at:
        yield _bullet("Deployed", f"{_at(release.started_at, zone)} to {_at(release.deployed_at, zone) or 'open'}")
    yield _bullet("Coordinator", release.coordinator.name)
    yield _bullet("Checklist", f"{release.checklist}, version {release.checklist_version}")
    yield _bullet("Items", counts)


def _outcome(record: Record) -> Iterator[str]:
    yield f"## Record of {_text(record.release.key)}"
    for decision in record.decisions:
        yield from _decision(record, decision)
    for override in record.overrides:
        yield _bullet("Override", f"{override.against}. {override.by}: {override.reason}")
    yield from (_bullet("Waived", f"{item.title}. {item.by}: {item.reason}") for item in record.waived)
    yield from (_action(action, record.zone) for action in record.action_items)
    for hold in record.holds:
        until = _at(hold.ended_at, record.zone) or "still"
        yield _bullet("Hold", f"{_at(hold.started_at, record.zone)} to {until}. {hold.by}: {hold.reason}")
    for rollback in record.rollbacks:
        yield from _rollback(rollback, record.zone)
    yield "\n### People\n"
    for held in record.people:
        until = f" to {_at(held.until, record.zone)}" if held.until else ""
        yield _bullet(held.role, f"{held.person}, from {_at(held.since, record.zone)}{until}")
    yield f"\nHistory: {record.counted} events, head `{record.head}`, written {_at(record.made_at, record.zone)}."


def _decision(record: Record, decision: DecisionRecord) -> Iterator[str]:
    ended = "" if decision.standing else f" (ended {_at(decision.ended_at, record.zone)}: {decision.ended_reason})"
    yield f"\n### {decision.label}, round {decision.round}{_text(ended)}\n"
    yield _text(f"{decision.by}, {_at(decision.at, record.zone)}: {decision.rationale}") + "\n"
    poll = record.poll(decision.round)
    for ballot in poll.answers if poll else ():
        statement = f": {ballot.statement}" if ballot.statement else ""
        spoken = f", spoken, recorded by {ballot.spoken_by}" if ballot.spoken_by else ""
        deputy = f", by deputy {ballot.deputy}" if ballot.deputy else ""
        words = f"{ballot.label} by {ballot.voter}{deputy}{spoken}, {_at(ballot.at, record.zone)}{statement}"
        yield _bullet(ballot.seat_name, words)


def _action(action: ActionRecord, zone: ZoneInfo) -> str:
    reason = f" ({action.state_reason})" if action.state_reason else ""
    return _bullet(
        "Action item", f"{action.title}. {action.owner}, due {_at(action.due_at, zone)}, {action.state}{reason}"
    )


def _rollback(rollback: RollbackRecord, zone: ZoneInfo) -> Iterator[str]:
    yield f"\n### Rollback {rollback.number}\n"
    yield _bullet("Seen", f"{rollback.seen}. Noticed {_at(rollback.noticed_at, zone)}")
    yield _bullet("Triggered", f"{rollback.triggered_by}, {_at(rollback.triggered_at, zone)}")
    minutes = (("detect", rollback.minutes_to_detect), ("decide", rollback.minutes_to_decide))
    for name, value in (*minutes, ("restore", rollback.minutes_to_restore)):
        if value is not None:
            yield _bullet(f"Time to {name}", f"{value} minutes")


def _bullet(name: str, words: str) -> str:
    return f"- **{_text(name)}**: {_text(words)}"


def _text(words: str) -> str:
    """On one line, and nothing in it is Markdown: what people wrote must not end the log or start a heading."""
    return escape(" ".join(words.split()))


def _at(moment: datetime | None, zone: ZoneInfo) -> str:
    if moment is None:
        return ""
    here = moment.astimezone(zone)
    return f"{here:%a} {here.day} {here:%b %Y %H:%M %Z}"
