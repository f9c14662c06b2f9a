"""What calendar programs read: a person's own feed at its secret address, and the file of one release."""

from __future__ import annotations

from hashlib import sha256

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from relcoord.lib.htmx import HtmxRequest
from relcoord.lib.verbs import needs
from releases import feed, ical
from releases.models import Release
from releases.views.account import own_settings
from releases.views.base import shows, who

ICS = "text/calendar; charset=utf-8"


@login_not_required
@needs("public")
@require_safe
def feed_text(request: HttpRequest, token: str) -> HttpResponseBase:
    """The feed behind `token`, and 404 for every other; whoever asks often gets 304 until something changes."""
    person = feed.person_of(token)
    if person is None:
        raise Http404
    text = feed.text(person, timezone.now())
    answer = HttpResponse(text, content_type=ICS)
    answer["Cache-Control"] = "private, no-cache"  # kept by nobody but the reader, and asked for again: a reset counts
    answer["ETag"] = quote_etag(sha256(text.encode()).hexdigest())
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex"
    return get_conditional_response(request, etag=answer["ETag"], response=answer) or answer


@needs("own_account")
@require_POST
@never_cache
def reset(request: HtmxRequest) -> HttpResponse:
    """A new address. It is in this answer and nowhere else, so the answer is the page itself and no redirect."""
    return own_settings(request, token=feed.reset(who(request)))


@shows("view")
def release_file(request: HtmxRequest, release: Release) -> HttpResponse:
    """The window and the poll of one release, for a calendar to take once."""
    answer = HttpResponse(ical.file(release, timezone.now()), content_type=ICS)
    answer["Content-Disposition"] = f'attachment; filename="{release.key}.ics"'
    answer["Cache-Control"] = "private, no-cache"
    return answer
