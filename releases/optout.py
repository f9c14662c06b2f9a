"""Which mails a person may do without, and the link that says so without a log-in (RFC 8058).

The token names a person and a kind and is signed; it holds no secret, and all it can do is end one kind of mail.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from relcoord.models import User
from releases.models import OPTIONAL, OptOut, Reminder

if TYPE_CHECKING:
    from releases.models import Release

SALT = "unsubscribe"
Kind = Reminder.Kind
WORDS: dict[Kind, str] = {
    Kind.MARK: "T-reminders: what is open and yours at T-3d, T-1d, T-4h",
    Kind.RESCHEDULED: "A release was rescheduled",
    Kind.HELD: "The clock was put on hold",
    Kind.RESUMED: "The clock runs again",
    Kind.REVOKED: "A GO was revoked",
    Kind.WITHDRAWN: "A GO or a poll was withdrawn",
    Kind.CANCELLED: "A release was cancelled",
    Kind.CLOSED: "A release was closed",
}


def path(person: User, kind: str) -> str:
    """Where `person` can end the mails of `kind`; "" for those nobody can do without."""
    if kind not in OPTIONAL:
        return ""
    return reverse("unsubscribe", args=[signing.dumps({"person": person.pk, "kind": str(kind)}, salt=SALT)])


def read(token: str) -> tuple[User, Kind] | None:
    """Whose mails of which kind `token` ends; None when it was not made here."""
    try:
        said = signing.loads(token, salt=SALT)
        kind = Kind(said["kind"])
        person = User.objects.filter(pk=said["person"]).first()
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None
    return (person, kind) if person and kind in OPTIONAL else None


def opt_out(person: User, kind: Kind) -> None:
    """End the mails of `kind` to `person`; a second time changes nothing."""
    OptOut.objects.get_or_create(user=person, kind=kind, defaults={"at": timezone.now()})


@transaction.atomic
def choose(person: User, wanted: Collection[str]) -> None:
    """Of the mails one may do without, `person` wants these."""
    User.objects.select_for_update().get(pk=person.pk)
    OptOut.objects.filter(user=person, kind__in=wanted).delete()
    for kind in OPTIONAL:
        if kind not in wanted:
            opt_out(person, kind)


def wanted(person: User) -> list[str]:
    """The kinds `person` gets, of those one may do without."""
    unwanted = set(OptOut.objects.filter(user=person).values_list("kind", flat=True))
    return [kind.value for kind in OPTIONAL if kind not in unwanted]


def of_release(release: Release) -> list[tuple[User, list[str]]]:
    """Who on `release` does without which mails, for its coordinator to know."""
    rows = OptOut.objects.filter(user__assignments__release=release).select_related("user").distinct()
    found: dict[User, list[str]] = {}
    for row in rows.order_by("user__name", "kind"):
        found.setdefault(row.user, []).append(row.get_kind_display())
    return list(found.items())
