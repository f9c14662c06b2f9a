"""The record of a release, on screen, on paper and as files; and its history, as a story."""

from __future__ import annotations

from pathlib import Path

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render

from relcoord.lib.htmx import HtmxRequest
from releases import story, verify_record
from releases.audit import audit
from releases.models import Release
from releases.record import as_csv, as_json, as_markdown, build
from releases.views.base import shows
from releases.views.frame import frame

PAGE = 200  # events on one page of the story


@shows("view")
def record(request: HtmxRequest, release: Release) -> HttpResponse:
    """The document: what was decided, by whom, on what; who did what; the chain, verified now."""
    made = build(release)
    context = frame(request, release, "record") | {
        "record": made,
        "audit": audit(release, made),
        "decisions": [(decision, made.poll(decision.round)) for decision in reversed(made.decisions)],
        "undecided": [poll for poll in made.polls if poll.state != "decided"],
        "story": [story.tell(event, made.zone) for event in made.events],
    }
    return render(request, "releases/record.html", context)


@shows("view")
def record_md(request: HtmxRequest, release: Release) -> HttpResponse:
    return _file(as_markdown(build(release)), "text/markdown", f"{release.key}-record.md")


@shows("view")
def record_json(request: HtmxRequest, release: Release) -> HttpResponse:
    return _file(as_json(build(release)), "application/json", f"{release.key}-record.json")


@shows("view")
def record_csv(request: HtmxRequest, release: Release) -> HttpResponse:
    return _file(as_csv(build(release)), "text/csv", f"{release.key}-record.csv")


@shows("view")
def verify_script(request: HtmxRequest, release: Release) -> HttpResponse:
    """The program that checks a record, to be read and run by those who do not trust this server."""
    return _file(Path(verify_record.__file__).read_text(encoding="utf-8"), "text/x-python", "verify_record.py")


@shows("view")
def events(request: HtmxRequest, release: Release) -> HttpResponse:
    """The story by day, the newest first unless `order=oldest`, of one `kind` or of all."""
    kind, oldest_first = request.GET.get("kind", ""), request.GET.get("order") == "oldest"
    rows = release.events.order_by("sequence" if oldest_first else "-sequence")
    if kind in story.KINDS:
        rows = rows.filter(action__in=story.actions_of(kind))
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = frame(request, release, "events") | {
        "days": list(story.by_day(page, release.zone)),
        "page": page,
        "kinds": [(name, words) for name, words in story.KINDS.items() if story.actions_of(name)],
        "kind": kind,
        "oldest_first": oldest_first,
    }
    return render(request, "releases/events.html", context)


def _file(text: str, content_type: str, name: str) -> HttpResponse:
    """A download. Keys are letters, digits, dots and hyphens, so the name needs no quoting."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type=f"{content_type}; charset=utf-8", headers=headers)
