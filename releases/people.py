"""Who holds what: assign, release, transfer, take over, delegate, invite."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from checklists.models import Role
from relcoord.models import User
from releases import events, permissions, tasks
from releases.errors import DomainError
from releases.models import COORDINATOR, Assignment, Delegation, Invitation, Planning, Release, Reminder

if TYPE_CHECKING:
    from collections.abc import Iterable

INVITATION_LASTS = timedelta(days=7)
COALESCE = timedelta(minutes=10)  # several roles given in one sitting make one mail


@transaction.atomic
def assign(release: Release, role: Role, user: User, *, by: User) -> Assignment:
    """Let `user` hold `role` in `release`. Giving the coordinator's role is a transfer."""
    release = Release.objects.lock(release)
    if role.slug == COORDINATOR:
        raise DomainError("A release has one coordinator; hand it over instead")
    permissions.require(by, "assign", release)
    _running(release)
    if not user.is_active:
        raise DomainError(f"{user.name} no longer has an account")
    row, made = Assignment.objects.get_or_create(
        release=release, role=role, user=user, defaults={"by": by, "at": timezone.now()}
    )
    if made:
        events.record(release, "role.assigned", by=by, on=user, after={"role": role.slug}, role_name=role.name)
        _tell_assigned(release, user, by=by)
    return row


@transaction.atomic
def unassign(release: Release, role: Role, user: User, *, by: User) -> None:
    """End `user`'s hold of `role`. Their ballot for it turns stale, their planned reminders are looked at again."""
    release = Release.objects.lock(release)
    if role.slug == COORDINATOR:
        raise DomainError("A release always has a coordinator; hand it over instead")
    permissions.require(by, "assign", release)
    _running(release)
    gone, _ = Assignment.objects.filter(release=release, role=role, user=user).delete()
    if gone:
        events.record(release, "role.unassigned", by=by, on=user, before={"role": role.slug}, role_name=role.name)
        tasks.look_on_commit()


@transaction.atomic
def transfer(release: Release, to: User, *, by: User, reason: str = "") -> Release:
    """Hand the release over to another coordinator."""
    release = Release.objects.lock(release)
    permissions.require(by, "transfer", release)
    _running(release)
    if to.pk == release.coordinator_id:
        return release
    former = release.coordinator
    _set_coordinator(release, to, by=by)
    events.record(
        release,
        "coordinator.transferred",
        by=by,
        before={"coordinator": former},
        after={"coordinator": to},
        reason=reason,
    )
    _tell_assigned(release, to, by=by)
    return release


@transaction.atomic
def take_over(release: Release, reason: str, *, by: User) -> Release:
    """Become the coordinator because the present one cannot be reached. They are told."""
    release = Release.objects.lock(release)
    permissions.require(by, "take_over", release)
    _running(release)
    if not reason.strip():
        raise DomainError("Say why you take over; the record shows it")
    if by.pk == release.coordinator_id:
        raise DomainError(f"You coordinate {release.key} already")
    former = release.coordinator
    _set_coordinator(release, by, by=by)
    events.record(
        release,
        "coordinator.taken_over",
        by=by,
        before={"coordinator": former},
        after={"coordinator": by},
        reason=reason.strip(),
    )
    Reminder.objects.owe(
        Reminder.Kind.TAKEN_OVER, [former], now=timezone.now(), release=release, reason=reason.strip(), by=by.name
    )
    tasks.look_on_commit()
    return release


def _set_coordinator(release: Release, to: User, *, by: User) -> None:
    """The only place that writes the coordinator: the column and its assignment, kept equal."""
    role = coordinator_role()
    Assignment.objects.filter(release=release, role=role).delete()
    Assignment.objects.create(release=release, role=role, user=to, by=by, at=timezone.now())
    release.coordinator = to
    release.save(update_fields=["coordinator"])
    release.forget()


def coordinator_role() -> Role:
    return Role.objects.get_or_create(slug=COORDINATOR, defaults={"name": "Release Coordinator"})[0]


def _tell_assigned(release: Release, user: User, *, by: User) -> None:
    """Owe one mail for all that a sitting gives a person; nobody is told of what they gave themselves."""
    waiting = Reminder.objects.planned().filter(release=release, recipient=user, kind=Reminder.Kind.ASSIGNED)
    if user.pk != by.pk and not waiting.exists():
        Reminder.objects.owe(
            Reminder.Kind.ASSIGNED, [user], now=timezone.now(), release=release, due_in=COALESCE, by=by.name
        )
    tasks.look_on_commit()


def _running(release: Release) -> None:
    if release.is_final:
        raise DomainError(f"{release.key} is {release.state.label.lower()}; its people no longer change")


@transaction.atomic
def delegate(user: User, deputy: User, starts_on: date, ends_on: date, *, by: User, reason: str = "") -> Delegation:
    """Name who stands in for `user` from `starts_on` to `ends_on`, both days included."""
    if by.pk != user.pk and not by.is_staff:
        raise DomainError(f"Only {user.name} or staff may say when {user.name} is away")
    if user.pk == deputy.pk:
        raise DomainError("Choose somebody else as deputy")
    if not deputy.is_active:
        raise DomainError(f"{deputy.name} no longer has an account")
    if ends_on < starts_on:
        raise DomainError("The absence ends before it starts")
    if ends_on < timezone.localdate() - timedelta(days=1):
        raise DomainError("That absence is over already")
    User.objects.select_for_update().get(pk=user.pk)
    row, made = Delegation.objects.get_or_create(
        user=user,
        deputy=deputy,
        starts_on=starts_on,
        ends_on=ends_on,
        defaults={"reason": reason.strip(), "created_at": timezone.now()},
    )
    if not made:  # the form was sent twice
        return row
    for release in Release.objects.in_flight().filter(assignments__user=user).distinct().order_by("pk"):
        release = Release.objects.lock(release)
        events.record(
            release,
            "absence.named",
            by=by,
            on=user,
            after={"deputy": deputy, "from": starts_on, "to": ends_on},
            reason=reason.strip(),
        )
    Planning.objects.forget()  # who stands in for them may do so where they are on nothing themselves
    return row


@transaction.atomic
def end_delegation(row: Delegation, *, by: User) -> None:
    """Take an absence back."""
    if by.pk != row.user_id and not by.is_staff:
        raise DomainError(f"Only {row.user.name} or staff may change when {row.user.name} is away")
    for release in Release.objects.in_flight().filter(assignments__user=row.user).distinct().order_by("pk"):
        release = Release.objects.lock(release)
        events.record(release, "absence.ended", by=by, on=row.user, before={"deputy": row.deputy})
    row.delete()
    Planning.objects.forget()


@transaction.atomic
def invite(email: str, name: str, *, by: User, release: Release | None = None) -> User:
    """Make an account for somebody new and owe them a link that lets them in. Staff, or a release's coordinator."""
    if release is not None:
        release = Release.objects.lock(release)
        permissions.require(by, "invite", release)
    elif not by.is_staff:
        raise DomainError("Only staff may invite people outside a release")
    email, name = email.strip().lower(), " ".join(name.split())
    try:
        validate_email(email)
    except ValidationError as failure:
        raise DomainError(f"“{email}” is not a mail address") from failure
    if not name:
        raise DomainError(f"Say the name of {email}")
    if User.objects.filter(email__iexact=email).exists():
        raise DomainError(f"{email} has an account already")
    user = User.objects.create_user(email, name=name[:120])
    owe_invitation(user, by=by, release=release)
    if release is not None:
        events.record(release, "person.invited", by=by, on=user, email=email)
    return user


def owe_invitation(user: User, *, by: User, release: Release | None = None) -> Invitation:
    """Owe `user` a new link; earlier ones no longer work."""
    now = timezone.now()
    Invitation.objects.filter(user=user, used_at=None, expires_at__gt=now).update(expires_at=now)
    row = Invitation.objects.create(user=user, by=by, created_at=now, expires_at=now + INVITATION_LASTS)
    Reminder.objects.owe(
        Reminder.Kind.INVITATION, [user], now=now, release=release, about=f"invitation:{row.pk}", by=by.name
    )
    tasks.look_on_commit()
    return row


@transaction.atomic
def come_in(invitation: Invitation, name: str, password: str) -> bool:
    """Take an invitation: the person gets their password. False when it was used or ran out meanwhile."""
    now = timezone.now()
    if not Invitation.objects.filter(pk=invitation.pk, used_at=None, expires_at__gt=now).update(used_at=now):
        return False
    user = invitation.user
    user.name = " ".join(name.split()) or user.name
    user.set_password(password)
    user.save(update_fields=["name", "password"])
    return True


@dataclass(frozen=True)
class Person:
    """One line of a pasted list, as understood. `user` is None for somebody who will be invited."""

    name: str
    email: str
    user: User | None


_LINE = re.compile(r"^(?P<name>[^<>]*?)\s*<\s*(?P<email>[^<>\s]+)\s*>[,;]?$")


def read_people(text: str) -> tuple[list[Person], list[str]]:
    """Read lines such as `Ada Lovelace <ada@example.com>`; returns the people and a sentence for each bad line."""
    people, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.match(line.strip()[:400])
        email = match["email"].lower() if match else line.strip().rstrip(",;").lower()
        name = match["name"].strip(" \"'") if match else ""
        try:
            validate_email(email)
        except ValidationError:
            problems.append(f"Line {number}: “{line.strip()[:80]}” is not written as Name <mail>")
            continue
        user = User.objects.filter(email__iexact=email).first()
        if user is None and not name:
            problems.append(f"Line {number}: {email} is new here; write a name before the address")
            continue
        people.append(Person(user.name if user else name, email, user))
    return people, problems


@transaction.atomic
def assign_pasted(release: Release, role: Role, text: str, *, by: User) -> list[Assignment]:
    """Give `role` to everyone in a pasted list, inviting those unknown. All or nothing."""
    people, problems = read_people(text)
    if problems:
        raise DomainError("; ".join(problems))
    if not people:
        raise DomainError("The list is empty: write one person a line, as Name <mail>")
    return [assign(release, role, _known(person, release, by=by), by=by) for person in _once(people)]


def _once(people: Iterable[Person]) -> list[Person]:
    return list({person.email: person for person in people}.values())


def _known(person: Person, release: Release, *, by: User) -> User:
    return person.user or invite(person.email, person.name, by=by, release=release)
