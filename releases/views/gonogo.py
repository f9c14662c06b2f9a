"""The go/no-go room: the page and its regions, asking, and answering."""

from __future__ import annotations

from typing import Any

from django.core import signing
from django.db.models import prefetch_related_objects
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from relcoord.lib.htmx import HtmxRequest, say
from relcoord.models import User
from releases import ballots, clearance, gonogo, permissions, readiness
from releases.errors import DomainError, Refused
from releases.forms.followups import FollowUpForm, ReasonForm, focus_first_error
from releases.forms.gonogo import DecideForm, SeatBallotForm, SettleForm, SpokenForm
from releases.models import Ballot, Choice, Release, Seat, Status
from releases.readiness import Hindrance
from releases.views import room
from releases.views.base import acts, shows, to, who
from releases.views.frame import frame

PARTS = ("poll", "readiness", "ballots", "against", "actions")
SALT = "what a ballot's page showed"


# The page


def context(request: HtmxRequest, release: Release, **given: Any) -> dict[str, Any]:
    """What the room shows; `given` puts a refused form in its place."""
    me, whole = who(request), frame(request, release, "decision")
    poll = readiness.open_poll_of(release)
    seats = room.consoles(release, poll, me)
    leads = permissions.may(me, "decide", release)
    known = room.cards(release)
    standing = next((card for card in known if card.decision.standing), None)
    gate = readiness.go(release, poll) if poll else readiness.before_decision(release)
    own: dict[str, Any] = {
        "poll": poll,
        "seats": seats,
        "tally": room.Tally(seats),
        "facts": room.facts(release, me, whole["now"]),
        "leads": leads,
        "room_gate": gate,
        "against": " ".join(key_of(hindrance) for hindrance in gate.hindrances),
        "seen": _seal(release),
        "people": sorted({person.name: person for person in clearance.everyone(release)}.items()),
        "card": standing,
        "rounds": [one for one in room.rounds(release, known) if standing is None or one.card is not standing],
        "actions": _actions(release, me, given.pop("settle", {})),
        "told": len(clearance.everyone(release)),
        "decision_phase": next((m for m in release.plan if m.phase.stage == "decision"), None),
        "may_add_action": leads and release.status == Status.NO_GO,
    }
    if poll:
        own |= {"ballot_forms": _ballot_forms(seats, given.pop("ballot", None)), "withdraw": ReasonForm(prefix="poll")}
        if leads:
            own |= {"decide": DecideForm(release=release), "spoken": SpokenForm(release=release, me=me)}
    if own["may_add_action"]:
        own["add"] = FollowUpForm(prefix="add", release=release)
    return whole | own | given


def _ballot_forms(
    seats: list[room.Console], refused: tuple[int, SeatBallotForm] | None
) -> list[tuple[room.Console, SeatBallotForm]]:
    """A form for each seat the reader may answer for, filled with the answer that stands."""
    found = []
    for console in seats:
        if not console.mine:
            continue
        ballot = console.ballot
        initial = {"choice": ballot.choice, "statement": ballot.statement} if ballot else {}
        form = SeatBallotForm(prefix=f"seat-{console.seat.pk}", initial=initial)
        found.append((console, refused[1] if refused and refused[0] == console.seat.pk else form))
    return found


def _actions(release: Release, me: User, refused: dict[int, SettleForm]) -> list[dict[str, Any]]:
    """The action items, open ones first, with what the reader may do to each."""
    rows = sorted(release.action_items.all(), key=lambda row: (row.state != "open", row.due_at, row.pk))
    prefetch_related_objects(rows, "state_by")
    return [
        {
            "row": row,
            "may_settle": permissions.may(me, "settle_action", release, on=row),
            "may_waive": permissions.may(me, "waive_action", release, on=row),
            "form": refused.get(row.pk),
        }
        for row in rows
    ]


def page(request: HtmxRequest, release: Release, status: int = 200, part: str = "", **given: Any) -> HttpResponse:
    """The whole room, or for htmx the `part` that was asked for."""
    name = f"releases/decision.html#{part}" if part and request.htmx else "releases/decision.html"
    return render(request, name, context(request, release, **given), status=status)


def url(release: Release) -> str:
    return reverse("releases:decision", args=[release.key])


@shows("view")
def decision(request: HtmxRequest, release: Release) -> HttpResponse:
    """The room; with `?wall=1` the board alone, to be read from three metres."""
    if request.GET.get("wall"):
        return render(request, "releases/decision_wall.html", context(request, release))
    return page(request, release)


@shows("view")
def decision_part(request: HtmxRequest, release: Release, name: str) -> HttpResponse:
    """One live region of the room."""
    if name not in PARTS:
        raise Http404
    return render(request, f"releases/decision.html#{name}", context(request, release))


def key_of(hindrance: Hindrance) -> str:
    return f"{hindrance.kind}:{hindrance.id}"


# The poll


@acts("open_poll")
def poll_open(request: HtmxRequest, release: Release) -> HttpResponse:
    poll = gonogo.open_poll(release, by=who(request))
    say(request, f"The poll is open, round {poll.round}. Every seat is asked")
    return to(request, url(release))


@acts("withdraw")
def poll_withdraw(request: HtmxRequest, release: Release) -> HttpResponse:
    permissions.require(who(request), "withdraw", release)
    form = ReasonForm(request.POST, prefix="poll")
    if not form.is_valid():
        return page(request, release, 422, withdraw=form)
    gonogo.withdraw_poll(release, form.cleaned_data["reason"], by=who(request))
    say(request, "The poll is withdrawn. Those who were asked are told")
    return to(request, url(release))


@acts("vote")
def ballot(request: HtmxRequest, release: Release, pk: int) -> HttpResponse:
    """Take an answer for a seat, unless something got worse since its page was made: then it is asked again."""
    me, release = who(request), Release.objects.lock(release)
    seat = get_object_or_404(Seat.objects.select_related("role"), pk=pk, release=release)
    readiness.load(release)
    permissions.require(me, "vote", release, on=seat)
    polling(release)
    form = SeatBallotForm(request.POST, prefix=f"seat-{pk}")
    worse = _worse_since(release, seat, me, form["seen"].value())
    if worse and form.is_valid():
        form.add_error(None, f"{'; '.join(worse)} since you opened this page. Look again, then answer")
        return page(request, release, 409, part="after-ballot", ballot=(pk, form))
    if form.is_valid():
        try:
            data = form.cleaned_data
            cast = gonogo.cast_ballot(release, seat, Choice(data["choice"]), by=me, statement=data["statement"])
        except Refused:
            raise
        except DomainError as refusal:
            form.add_error("statement", str(refusal))
        else:
            say(request, f"{cast.get_choice_display()} as {seat.role.name} is recorded")
            release.forget()
            return page(request, release, part="after-ballot") if request.htmx else to(request, url(release))
    focus_first_error(form)
    return page(request, release, 422, part="after-ballot", ballot=(pk, form))


def polling(release: Release) -> None:
    """Raise the sentence for a form whose poll was closed while it was open on somebody's screen."""
    if release.status != Status.POLLING:
        raise DomainError(f"The poll of {release.key} is closed: it is {release.state.label} now")


def _seal(release: Release) -> str:
    """What the page shows a voter, to come back with the ballot."""
    return signing.dumps([release.schedule_version, ballots.shown(release)], salt=SALT, compress=True)


def _worse_since(release: Release, seat: Seat, me: User, sealed: str | None) -> list[str]:
    """What got worse between the page a ballot comes from and now, in sentences."""
    try:
        version, shown = signing.loads(sealed or "", salt=SALT)
    except signing.BadSignature:
        return []
    draft = Ballot(seat=seat, voter=me, schedule_version=version, seen=shown, seen_hash=ballots.hash_of(shown))
    return ballots.staleness(draft, release)


@acts("record_spoken")
def ballot_spoken(request: HtmxRequest, release: Release) -> HttpResponse:
    me = who(request)
    permissions.require(me, "record_spoken", release)
    polling(release)
    readiness.load(release)
    form = SpokenForm(request.POST, release=release, me=me)
    if form.is_valid():
        seat, voter = form.spoken()
        data = form.cleaned_data
        try:
            gonogo.cast_ballot(
                release, seat, Choice(data["choice"]), by=me, statement=data["statement"], spoken_by_holder=voter
            )
        except DomainError as refusal:
            form.add_error("statement", str(refusal))
        else:
            said = Choice(data["choice"]).label
            say(request, f"{voter.name}’s {said} is recorded. They are mailed and may correct it")
            return to(request, url(release))
    return page(request, release, 422, spoken=form)
