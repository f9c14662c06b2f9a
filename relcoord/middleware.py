"""Small middlewares of the web: what every answer carries, and how a fragment learns that the session is over."""

from __future__ import annotations

import logging
import time
import zoneinfo
from collections.abc import Callable, Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import resolve_url
from django.urls import resolve
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect

from relcoord.lib import logs
from relcoord.lib.masking import masked

GetResponse = Callable[[HttpRequest], HttpResponseBase]
Policy = Mapping[str, Collection[str] | str | bool | None]

SELF: Final = "'self'"
NONE: Final = "'none'"
# Django 6 reads the same dict from the same setting: on that upgrade this middleware leaves.
DEFAULT_CSP: Final[Policy] = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF, "data:"],
    "connect-src": [SELF],
    "frame-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}

PROBES: Final = {"/livez", "/readyz", "/metrics"}

access = logging.getLogger("relcoord.access")


class LogMiddleware:
    """Give the request an id, have every line written meanwhile carry it, and write one line about the answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.monotonic()
        request.request_id = logs.request_id(request.headers.get(logs.HEADER, ""))  # type: ignore[attr-defined]
        token = logs.asked.set(request)
        try:
            response = self.get_response(request)
            response[logs.HEADER] = request.request_id  # type: ignore[attr-defined]
            self.note(request, response.status_code, round((time.monotonic() - began) * 1000))
            return response
        finally:
            logs.asked.reset(token)

    def note(self, request: HttpRequest, status: int, milliseconds: int) -> None:
        """The path alone, without tokens, and nothing of what stands behind the ?. Probes come all the time: DEBUG."""
        fields = {"method": request.method, "path": masked(request.path), "status": status, "ms": milliseconds}
        level = logging.DEBUG if request.path in PROBES and status < 400 else logging.INFO
        access.log(level, "%s %s %s %s ms", *fields.values(), extra={"fields": fields})


class ProbeMiddleware:
    """Answer probes before anything asks for a host name, a session or a person: they come from inside, by address."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info not in PROBES:
            return self.get_response(request)
        return resolve(request.path_info).func(request)


def build_policy(policy: Policy) -> str:
    """The header's text. True stands for a directive without a value; None, False and empty leave it out."""
    parts = []
    for directive, values in policy.items():
        if values is True:
            parts.append(directive)
        elif values:
            parts.append(f"{directive} {values if isinstance(values, str) else ' '.join(values)}")
    return "; ".join(parts)


def log_in_origins() -> list[str]:
    """Where single sign-on sends people: Chromium applies form-action to redirects after a form post too."""
    apps = getattr(settings, "SOCIALACCOUNT_PROVIDERS", {}).get("openid_connect", {}).get("APPS", [])
    addresses = [urlsplit(app.get("settings", {}).get("server_url", "")) for app in apps]
    return [f"{address.scheme}://{address.netloc}" for address in addresses if address.netloc]


def default_policy() -> Policy:
    return {**DEFAULT_CSP, "form-action": [SELF, *log_in_origins()]}


class ContentSecurityPolicyMiddleware:
    """Put `settings.SECURE_CSP`, else our own policy, on every answer, errors included; a view's own header stays.

    With DEBUG, Django's own error pages need inline styles and go without.
    """

    header = "Content-Security-Policy"

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.policy = build_policy(getattr(settings, "SECURE_CSP", None) or default_policy())

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not (settings.DEBUG and response.status_code in (404, 500)):
            response.headers.setdefault(self.header, self.policy)
        return response


def page_of(request: HttpRequest) -> str:
    """The path of the page an htmx request came from; "/" when htmx did not say or named another host."""
    return request.htmx.current_url_abs_path or "/"  # type: ignore[attr-defined]


class HtmxLoginMiddleware:
    """Turn a fragment's redirect to the log-in page into one of the whole page, and come back to that page after."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not getattr(request, "htmx", False) or response.status_code not in (302, 303, 307):
            return response
        login = resolve_url(settings.LOGIN_URL)
        if urlsplit(response["Location"]).path != urlsplit(login).path:
            return response
        query = QueryDict(mutable=True)
        query[REDIRECT_FIELD_NAME] = page_of(request)
        answer = HttpResponseClientRedirect(f"{login}?{query.urlencode(safe='/')}")
        answer.cookies = response.cookies
        return answer


class RefuseNulMiddleware:
    """No address of ours holds a NUL and PostgreSQL takes none: 400 rather than a fault deep inside.

    What is posted is looked at by the forms.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\x00" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            raise BadRequest("The address holds a NUL")
        return self.get_response(request)


class NoStoreFragmentsMiddleware:
    """One address serves page and fragment: say so to caches, and let none keep a fragment."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        patch_vary_headers(response, ["HX-Request"])
        if getattr(request, "htmx", False):
            response["Cache-Control"] = "no-store"
        return response


class TimeZoneMiddleware:
    """Show times in the reader's zone: their setting, else the browser's (cookie `tz`), else the site's."""

    cookie = "tz"

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with timezone.override(self.zone(request)):
            return self.get_response(request)

    def zone(self, request: HttpRequest) -> zoneinfo.ZoneInfo | None:
        """None lets the site's zone stand."""
        chosen = getattr(getattr(request, "user", None), "time_zone", "")
        for name in (chosen, request.COOKIES.get(self.cookie, "")):
            try:
                if name:
                    return zoneinfo.ZoneInfo(name)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                continue
        return None
