"""Who may do what with checklists: one table, and the sentence that names who may."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from relcoord.lib import verbs

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from relcoord.models import User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]

EDITORS_GROUP: Final = "Checklist editors"  # made by a migration; operators put people into it in /admin/
EDIT_PERMISSION: Final = "checklists.change_template"


class Who(Enum):
    """Two circles are enough: a checklist holds no secret, and changing one is looked over by its versions."""

    SIGNED_IN = "Everybody who is signed in"
    EDITORS = f"Administrators and members of the group “{EDITORS_GROUP}”"


TABLE: Final[dict[str, tuple[Who, str]]] = {
    "view": (Who.SIGNED_IN, "read a checklist"),
    "export": (Who.SIGNED_IN, "take a checklist away as Markdown"),
    "edit": (Who.EDITORS, "change a checklist"),
    "import": (Who.EDITORS, "import a checklist"),
    "copy": (Who.EDITORS, "copy a checklist"),
    "retire": (Who.EDITORS, "retire a checklist"),
    "restore": (Who.EDITORS, "bring a retired checklist back"),
}


def may(user: User | AnonymousUser, verb: str) -> bool:
    """KeyError when the table has no such verb."""
    who, _ = TABLE[verb]
    if not (user.is_authenticated and user.is_active):
        return False
    return who is Who.SIGNED_IN or user.is_staff or user.has_perm(EDIT_PERMISSION)


def sentence(verb: str) -> str:
    """Say who may: "Administrators and members of … may change a checklist."."""
    who, act = TABLE[verb]
    return f"{who.value} may {act}."


def require(user: User | AnonymousUser, verb: str) -> None:
    """Raise PermissionDenied with the sentence; the 403 page shows it."""
    if not may(user, verb):
        raise PermissionDenied(sentence(verb))


def needs(verb: str) -> Callable[[View[P]], View[P]]:
    """Mark a view with its verb and refuse whoever may not: one without the other cannot be written."""

    def guard(view: View[P]) -> View[P]:
        @verbs.needs(verb)
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            require(request.user, verb)
            return view(request, *args, **kwargs)

        return guarded

    return guard
