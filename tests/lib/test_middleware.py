"""What every answer carries, and what becomes of a fragment when the session is over."""

import time
from zoneinfo import ZoneInfo

import pytest
from django.http import HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.utils import timezone
from django_htmx.middleware import HtmxMiddleware

from relcoord import context, middleware
from relcoord.lib import cache
from relcoord.models import User
from tests.web import signed_in

CSP = "Content-Security-Policy"
FRAGMENT = {"HTTP_HX_REQUEST": "true", "HTTP_HX_CURRENT_URL": "http://testserver/r/PAY-4.2/?phase=2"}


def answered(answer, *, wrap, path="/", **headers):
    """The answer of a view behind htmx's middleware and `wrap`."""
    request = RequestFactory().get(path, **headers)
    return HtmxMiddleware(wrap(lambda _: answer))(request)


# The content security policy


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/accounts/login/", "/nowhere/", "/releases/", "/static/none.css"])
def test_every_answer_carries_the_policy(client, path):
    policy = client.get(path).headers[CSP]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_an_error_of_the_server_carries_the_policy(client, settings):
    settings.ROOT_URLCONF = "tests.lib.failing_urls"
    client.raise_request_exception = False
    answer = client.get("/boom/")
    assert answer.status_code == 500
    assert "script-src 'self'" in answer.headers[CSP]
    assert "Something failed here" in answer.content.decode()


def test_a_refusal_for_want_of_a_csrf_token_has_a_page_of_ours(settings):
    from django.test import Client

    answer = Client(enforce_csrf_checks=True).post("/accounts/login/", {})
    assert answer.status_code == 403
    assert "Send it once more" in answer.content.decode()


def test_a_view_s_own_policy_stays():
    own = HttpResponse(headers={CSP: "sandbox"})
    assert answered(own, wrap=middleware.ContentSecurityPolicyMiddleware).headers[CSP] == "sandbox"


def test_the_policy_is_read_in_django_6_s_spelling(settings):
    settings.SECURE_CSP = {
        "default-src": ["'self'"],
        "upgrade-insecure-requests": True,
        "img-src": None,
        "base-uri": (),
    }
    answer = answered(HttpResponse(), wrap=middleware.ContentSecurityPolicyMiddleware)
    assert answer.headers[CSP] == "default-src 'self'; upgrade-insecure-requests"


def test_forms_may_lead_to_the_company_s_log_in_and_nowhere_else(settings):
    app = {"settings": {"server_url": "https://id.example.org:8443/realms/a/.well-known/openid-configuration"}}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    policy = answered(HttpResponse(), wrap=middleware.ContentSecurityPolicyMiddleware).headers[CSP]
    assert "form-action 'self' https://id.example.org:8443;" in policy


# The session is over


def test_a_fragment_s_log_in_becomes_one_of_the_whole_page_and_comes_back():
    to_login = HttpResponseRedirect("/accounts/login/?next=/r/PAY-4.2/items/3/done/")
    answer = answered(to_login, wrap=middleware.HtmxLoginMiddleware, **FRAGMENT)
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["HX-Redirect"] == "/accounts/login/?next=/r/PAY-4.2/%3Fphase%3D2"


def test_a_page_of_another_host_is_nothing_to_come_back_to():
    headers = FRAGMENT | {"HTTP_HX_CURRENT_URL": "https://evil.example/r/PAY-4.2/"}
    answer = answered(HttpResponseRedirect("/accounts/login/"), wrap=middleware.HtmxLoginMiddleware, **headers)
    assert answer.headers["HX-Redirect"] == "/accounts/login/?next=/"


def test_a_whole_page_s_redirect_stays_one():
    answer = answered(HttpResponseRedirect("/accounts/login/?next=/"), wrap=middleware.HtmxLoginMiddleware)
    assert answer.status_code == 302


def test_a_fragment_s_other_redirects_stay_what_they_are():
    answer = answered(HttpResponseRedirect("/r/PAY-4.2/"), wrap=middleware.HtmxLoginMiddleware, **FRAGMENT)
    assert answer.status_code == 302


@pytest.mark.django_db
def test_the_application_sends_a_stranger_s_fragment_to_the_log_in(client):
    answer = client.get("/releases/", **FRAGMENT)
    assert answer.headers["HX-Redirect"].startswith("/accounts/login/?next=/r/PAY-4.2/")


# Caches


def test_no_cache_keeps_a_fragment_or_takes_one_for_a_page():
    fragment = answered(HttpResponse(), wrap=middleware.NoStoreFragmentsMiddleware, **FRAGMENT)
    assert fragment.headers["Cache-Control"] == "no-store"
    page = answered(HttpResponse(), wrap=middleware.NoStoreFragmentsMiddleware)
    assert "HX-Request" in page.headers["Vary"]
    assert "Cache-Control" not in page.headers


# Time zones


def zone_seen(user=None, cookie=""):
    request = RequestFactory().get("/")
    if user is not None:
        request.user = user
    request.COOKIES["tz"] = cookie
    seen = []
    middleware.TimeZoneMiddleware(lambda _: seen.append(timezone.get_current_timezone()) or HttpResponse())(request)
    return seen[0]


@pytest.mark.parametrize(
    ("chosen", "cookie", "expected"),
    [
        ("Asia/Kathmandu", "America/New_York", "Asia/Kathmandu"),
        ("", "America/New_York", "America/New_York"),
        ("Mars/Olympus", "America/New_York", "America/New_York"),
    ],
)
def test_the_reader_s_own_zone_comes_before_the_browser_s(chosen, cookie, expected):
    assert zone_seen(User(time_zone=chosen), cookie) == ZoneInfo(expected)


@pytest.mark.parametrize("cookie", ["", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "\x00", "a" * 300, "Europe"])
def test_a_cookie_that_is_no_zone_leaves_the_site_s(cookie, settings):
    assert zone_seen(cookie=cookie) == timezone.get_default_timezone()


def test_a_zone_does_not_outlive_its_request():
    before = timezone.get_current_timezone_name()
    zone_seen(cookie="Asia/Kathmandu")
    assert timezone.get_current_timezone_name() == before


# The pages of the account


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        *("/accounts/password/change/", "/accounts/logout/", "/accounts/2fa/", "/accounts/2fa/webauthn/", "/help/"),
        *("/accounts/2fa/totp/activate/", "/accounts/2fa/webauthn/add/", "/accounts/reauthenticate/"),
    ],
)
def test_the_account_s_pages_are_in_the_site_s_look(path):
    ada = User.objects.create_user("ada@example.org", "a long pass phrase", name="Ada")
    answer = signed_in(ada).get(path, follow=True)
    assert answer.status_code == 200
    assert 'class="brand"' in answer.content.decode()
    assert "{%" not in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/accounts/password/reset/", "/accounts/password/reset/done/", "/accounts/signup/"])
def test_a_stranger_s_pages_are_in_the_site_s_look(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    assert 'class="brand"' in answer.content.decode()


@pytest.mark.django_db
def test_a_reset_mail_says_what_to_do_in_our_words(client, mailoutbox):
    User.objects.create_user("ada@example.org", "a long pass phrase", name="Ada")
    client.post("/accounts/password/reset/", {"email": "ada@example.org"})
    [mail] = mailoutbox
    assert mail.subject == "Set a new password for relcoord"
    assert "/accounts/password/reset/key/" in mail.body
    assert "example.com" not in mail.body


@pytest.mark.parametrize("path", ["/away/", "/away/inside/"])
def test_a_database_that_is_away_is_told_calmly_and_without_asking_it(settings, path):
    settings.ROOT_URLCONF = "tests.lib.failing_urls"
    answer = Client(raise_request_exception=False).get(path)  # no fixture gives this test a database
    page = answer.content.decode()
    assert (answer.status_code, answer["Retry-After"], answer["Cache-Control"]) == (503, "5", "no-store")
    assert "Back in a moment" in page
    assert "10.0.0.7" not in page
    assert "Content-Security-Policy" in answer
    assert Client(raise_request_exception=False).get("/boom/").status_code == 500, "any other fault is one"


def test_pages_say_that_redis_is_away_and_only_then(monkeypatch):
    words, request = "Redis does not answer", RequestFactory().get("/")
    request.resolver_match = None
    assert words not in render_to_string("partials/_scheduler.html", context.shell(request))
    monkeypatch.setattr(cache.Silence, "since", time.monotonic())
    assert words in render_to_string("partials/_scheduler.html", context.shell(request))
    monkeypatch.setattr(cache.Silence, "since", time.monotonic() - cache.REST)
    assert not cache.is_away()
