"""One address that shows a form and takes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse


def either(show: Callable[..., HttpResponse], act: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """GET goes to `show`, POST to `act`; both carry out the same verb."""
    if show.verb != act.verb:  # type: ignore[attr-defined]
        raise TypeError(f"{show} and {act} carry out different verbs")

    @wraps(show)
    def page(request: HttpRequest, **rest: Any) -> HttpResponse:
        return (act if request.method == "POST" else show)(request, **rest)

    return page
