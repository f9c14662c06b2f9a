"""What `base.html` needs on every page. Nothing here asks the database.

A middleware may put cheap values on `request.shell` (a mapping or an object; a value may be a callable, which runs
only when the template reads it): `mine` open things for the reader, `scheduler_age` seconds since the reminder tick,
`worker_age` since a worker answered, `silent_since` when it stopped (for staff), `ribbon` words that mark a demo or
staging site.
"""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest

from relcoord.lib import cache

SECTIONS: Final = {"releases:my_work": "mine", "releases:people": "people", "help": "help", "settings": "settings"}
THEMES: Final = {"auto", "light", "dark"}
LATE_AFTER: Final = 120  # seconds without a reminder tick


def _section(request: HttpRequest) -> str:
    match = request.resolver_match
    name = match.view_name if match else ""
    return SECTIONS.get(name) or {"checklists": "checklists", "releases": "releases"}.get(name.split(":")[0], "")


def _wired(request: HttpRequest, name: str) -> Any:
    source = getattr(request, "shell", None)
    return source.get(name) if isinstance(source, dict) else getattr(source, name, None)


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `nav` (section, mine) and `shell` (theme, density, keys, ribbon, ...)."""
    user = getattr(request, "user", None)
    cookie = request.COOKIES.get("theme", "")
    theme = getattr(user, "theme", "") or (cookie if cookie in THEMES else "")
    return {
        "nav": {"section": _section(request), "mine": _wired(request, "mine")},
        "shell": {
            "theme": theme or "auto",
            "density": getattr(user, "density", "") or "comfortable",
            "keys": "on" if getattr(user, "single_keys", True) else "off",
            "ribbon": _wired(request, "ribbon") or getattr(settings, "RIBBON", ""),
            "scheduler_age": _wired(request, "scheduler_age"),
            "worker_age": _wired(request, "worker_age"),
            "silent_since": _wired(request, "silent_since"),
            "slow": cache.is_away(),
            "late_after": LATE_AFTER,
            "embedded": bool(getattr(settings, "EMBEDDED", False)),
            "site_zone": settings.TIME_ZONE,
        },
    }
