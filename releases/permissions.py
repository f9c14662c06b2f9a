"""Who may do what: one table, verb by standing; what is not in it is refused (RELIABILITY: "Who may do what").

A standing is what a person is to a release, or to the item, seat or action item at hand. Rights are read
at each request, never kept in a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone

from releases.errors import Refused
from releases.models import (
    COORDINATOR,
    ON_CALL,
    PROJECT_MANAGER,
    ActionItem,
    Assignment,
    Delegation,
    Item,
    Release,
    Seat,
    assignments_of,
    holders,
)
from releases.models.kept import Kept

if TYPE_CHECKING:
    from checklists.models import Role
    from relcoord.models import User
    from releases.models.people import DelegationQuerySet


class Standing(StrEnum):
    SIGNED_IN = "anyone signed in"
    STAFF = "staff"
    COORDINATOR = "the Release Coordinator"
    COORDINATORS_DEPUTY = "the coordinator's deputy"
    PROJECT_MANAGER = "the Project Manager"
    ON_CALL = "the On-call Engineer"
    MEMBER = "anyone on the release"
    HOLDER = "the holders of its role"  # of the item or seat at hand, dated deputies included
    OWNER = "its owner"  # of the action item at hand


_LEAD = frozenset({Standing.COORDINATOR})
_RUN = frozenset({Standing.COORDINATOR, Standing.PROJECT_MANAGER, Standing.ON_CALL})
_TICK = frozenset({Standing.COORDINATOR, Standing.HOLDER})

TABLE: dict[str, frozenset[Standing]] = {
    # seeing and planning
    "view": frozenset({Standing.SIGNED_IN}),
    "own_account": frozenset({Standing.SIGNED_IN}),  # one's own settings and absences
    "create_release": frozenset({Standing.SIGNED_IN}),
    "edit_release": _LEAD,
    "assign": frozenset({Standing.COORDINATOR, Standing.STAFF}),
    "invite": frozenset({Standing.COORDINATOR, Standing.STAFF}),
    "transfer": _LEAD,
    "take_over": frozenset({Standing.PROJECT_MANAGER, Standing.COORDINATORS_DEPUTY, Standing.STAFF}),
    "administer": frozenset({Standing.STAFF}),
    # items
    "tick": _TICK,
    "sign_off": frozenset({Standing.HOLDER}),
    "block": _TICK,
    "not_applicable": _TICK,
    "waive": _LEAD,
    "reopen": _TICK,
    "add_evidence": _TICK,
    "edit_items": _LEAD,
    "note": frozenset({Standing.MEMBER, Standing.COORDINATOR, Standing.STAFF}),
    # go/no-go
    "open_poll": _LEAD,
    "vote": frozenset({Standing.HOLDER}),
    "record_spoken": _LEAD,
    "decide": _LEAD,
    "withdraw": _LEAD,
    "settle_action": frozenset({Standing.OWNER, Standing.COORDINATOR}),
    "waive_action": _LEAD,
    # the schedule
    "hold": _LEAD,
    "resume": _LEAD,
    "reschedule": _LEAD,
    "cancel": _LEAD,
    # production
    "start": _LEAD,
    "finish": _LEAD,
    "close": _LEAD,
    "trigger_rollback": _RUN,
    "run_rollback": _RUN,
    # mail
    "send_now": _LEAD,
}


def standings(
    user: User, release: Release, on: Item | Seat | ActionItem | None = None, held: frozenset[str] | None = None
) -> frozenset[Standing]:
    """Return what `user` is to `release`, and to `on` when it is given.

    `held` are the roles to go by; those held in person or as a dated deputy by default.
    """
    if held is None:
        held = roles_held(user, release)
    found = {Standing.SIGNED_IN}
    if user.is_staff:
        found.add(Standing.STAFF)
    if held:
        found.add(Standing.MEMBER)
    if release.coordinator_id == user.pk:
        found |= {Standing.COORDINATOR, Standing.MEMBER}
    elif COORDINATOR in held:
        found.add(Standing.COORDINATORS_DEPUTY)
    if PROJECT_MANAGER in held:
        found.add(Standing.PROJECT_MANAGER)
    if ON_CALL in held:
        found.add(Standing.ON_CALL)
    if isinstance(on, ActionItem) and on.owner_id == user.pk:
        found.add(Standing.OWNER)
    if isinstance(on, Item | Seat) and _holds(on.role, held):
        found.add(Standing.HOLDER)
    return frozenset(found)


def _holds(role: Role | None, held: frozenset[str]) -> bool:
    return (role.slug if role else COORDINATOR) in held


def roles_held(user: User, release: Release, now: datetime | None = None) -> frozenset[str]:
    """The slugs of the roles `user` holds in `release`, in person or as the dated deputy of an absent holder."""
    return _roles_of({user.pk} | {row.user_id for row in absences(release, now) if row.deputy_id == user.pk}, release)


def _roles_of(people: set[int], release: Release) -> frozenset[str]:
    return frozenset(row.role.slug for row in assignments_of(release) if row.user_id in people)


def absences(release: Release, now: datetime | None = None) -> list[Delegation]:
    """The absences of the day of `now`, counted in the release's zone: of people on it, and of their deputies.

    What ends later is read once a release object.
    """
    day = timezone.localdate(now, release.zone)
    since, known = release.__dict__.get("_absences", (None, []))
    if since is None or day < since:
        known = _absences_on(release.pk, day)
        if known:  # seldom; then it matters whether a deputy is away too
            deputies = {row.deputy_id for row in known} - {row.user_id for row in known}
            known += _ending_from(day).filter(user__in=deputies)
        release.__dict__["_absences"] = (day, known)
    return [row for row in known if row.starts_on <= day <= row.ends_on]


def _ending_from(day: date) -> DelegationQuerySet:
    return Delegation.objects.filter(ends_on__gte=day).select_related("user", "deputy")


def _absences_of(release: int, day: date) -> DelegationQuerySet:
    """Absences of those who hold a role or an open action item."""
    holding = Q(user__in=Assignment.objects.filter(release=release).order_by().values("user"))
    owning = Q(user__in=ActionItem.objects.filter(release=release, state="open").values("owner"))
    return _ending_from(day).filter(holding | owning)


_absences_on = Kept(_absences_of, int, date)


def load_absences(releases: Sequence[Release], now: datetime | None = None) -> None:
    """Read the absences for many releases in one query; `absences` then asks no more for any of them.

    The releases have their assignments and open action items loaded.
    """
    days = {release.pk: timezone.localdate(now, release.zone) for release in releases}
    if not days:
        return
    rows = list(_ending_from(min(days.values())))
    for release in releases:
        people = {row.user_id for row in assignments_of(release)} | {row.owner_id for row in release.action_items.all()}
        people |= {row.deputy_id for row in rows if row.user_id in people}
        release.__dict__["_absences"] = (days[release.pk], [row for row in rows if row.user_id in people])


def forget_absences(release: Release) -> None:
    """They are no part of a release: nothing of it tells that one was named."""
    release.__dict__.pop("_absences", None)


def knows_absences(release: Release) -> bool:
    """Is anybody who has to do with `release` away, today or later, as far as was read?"""
    return bool(release.__dict__.get("_absences", (None, []))[1])


def acting_for(user: User, release: Release, role: Role | None) -> User | None:
    """The absent holder of `role` for whom `user` stands in today; None when they hold it themselves, or not at all."""
    held = {person.pk for person in holders(release, role)}
    if user.pk in held:
        return None
    return next((a.user for a in absences(release) if a.deputy_id == user.pk and a.user_id in held), None)


def open_to_all(verb: str) -> bool:
    """May everybody signed in do `verb`, to what they see? Then nobody's roles have to be read."""
    return Standing.SIGNED_IN in TABLE[verb]


def may(user: User, verb: str, release: Release, on: Item | Seat | ActionItem | None = None) -> bool:
    """May `user` do `verb`? KeyError for a verb that is not in the table."""
    if open_to_all(verb):
        return True
    in_person = standings(user, release, on, _roles_of({user.pk}, release))
    return bool(TABLE[verb] & in_person or TABLE[verb] & standings(user, release, on))  # absences are read last


def require(user: User, verb: str, release: Release, on: Item | Seat | ActionItem | None = None) -> None:
    """Raise `Refused`, with the names of those who may, unless `user` may do `verb`."""
    if not may(user, verb, release, on):
        raise Refused(f"Only {who_may(verb, release, on)} may {words(verb, on)}.")


def who_may(verb: str, release: Release, on: Item | Seat | ActionItem | None = None) -> str:
    """Name those who may do `verb`: "Chloe Martin (QA Lead) or Ana Kovač (Release Coordinator)"."""
    named = [_named(standing, release, on) for standing in Standing if standing in TABLE[verb]]
    return " or ".join(dict.fromkeys(name for name in named if name))


def _named(standing: Standing, release: Release, on: Item | Seat | ActionItem | None) -> str:
    if standing is Standing.COORDINATOR:
        return f"{release.coordinator.name} (Release Coordinator)"
    if standing is Standing.OWNER and isinstance(on, ActionItem):
        return f"{on.owner.name} (owner)"
    if standing is Standing.HOLDER and isinstance(on, Item | Seat):
        return _holders_named(release, on.role)
    if standing in (Standing.PROJECT_MANAGER, Standing.ON_CALL):
        slug = PROJECT_MANAGER if standing is Standing.PROJECT_MANAGER else ON_CALL
        rows = [row for row in assignments_of(release) if row.role.slug == slug]
        return ", ".join(f"{row.user.name} ({row.role.name})" for row in rows) or standing.value
    return standing.value


def _holders_named(release: Release, role: Role | None) -> str:
    if role is None:
        return f"{release.coordinator.name} (Release Coordinator)"
    people = ", ".join(f"{person.name} ({role.name})" for person in holders(release, role))
    return people or f"the {role.name}, whom nobody has been named as yet,"


_WORDS = {
    "edit_release": "edit the release",
    "assign": "give people roles here",
    "invite": "invite people",
    "transfer": "hand the release over",
    "take_over": "take the release over",
    "administer": "administer people, roles and products",
    "own_account": "change their own settings and absences",
    "block": "mark this blocked",
    "not_applicable": "answer “not applicable” here",
    "waive": "waive an item",
    "reopen": "reopen this",
    "add_evidence": "add evidence here",
    "edit_items": "change the checklist of a release",
    "note": "write notes on this release",
    "open_poll": "open the poll",
    "vote": "vote for this seat",
    "record_spoken": "record a spoken ballot",
    "decide": "record the decision",
    "withdraw": "withdraw a poll or a GO",
    "settle_action": "settle this action item",
    "waive_action": "waive an action item",
    "hold": "hold the clock",
    "resume": "resume the clock",
    "reschedule": "reschedule the release",
    "cancel": "cancel the release",
    "start": "start the deployment",
    "finish": "finish the deployment",
    "close": "close the release",
    "trigger_rollback": "start a rollback",
    "run_rollback": "run the rollback",
    "send_now": "send a reminder now",
}


def words(verb: str, on: Item | Seat | ActionItem | None = None) -> str:
    """What `verb` is called in a sentence."""
    if verb == "sign_off" and on is not None:
        return f"sign off “{on}”"
    if verb == "tick" and on is not None:
        return f"tick “{on}”"
    return _WORDS.get(verb, verb.replace("_", " "))
