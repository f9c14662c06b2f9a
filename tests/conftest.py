"""Fixtures every test may use: the browser, a running server, the services."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.test import TransactionTestCase

from releases.models.guard import guards_stand, lift_guards, put_back_guards
from tests import chromium, database, remembered
from tests.factories import ReleaseFactory, UserFactory

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

    from relcoord.models import User

# Playwright's blocking interface runs an event loop in the test's thread, which Django takes for async code.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

BROWSER_PATIENCE = 8_000  # milliseconds


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Throttling counts in the cache; one test's log-ins are not another's."""
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _begin() -> None:
    """What is remembered begins with the database as it is now; and what is counted begins with one again."""
    remembered.begin()
    ReleaseFactory.reset_sequence(0)
    UserFactory.reset_sequence(0)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        database.copy_instead_of_migrating()


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """SQLite's copy is there before it is set up. Its folder goes with the run."""
    return connection.vendor == "sqlite"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """And after a test that commits, the database is emptied in the quick way where there is one."""

    def teardown(self: Any) -> None:
        if not emptying.empty():
            lift_guards()  # to empty the database is the one thing that may remove events
            original(self)
            remembered.forget()
        if not guards_stand():
            put_back_guards()

    with django_db_blocker.unblock():
        emptying = database.Emptying()
    original = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]
    TransactionTestCase._fixture_teardown = teardown  # type: ignore[attr-defined]
    yield
    TransactionTestCase._fixture_teardown = original  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def kept(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """For fixtures of a module: rows that take long to make and that all its tests begin with.

    They stand in a transaction around those of the tests, so what a test does to them is undone with the test.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


# A running server


@pytest.fixture(scope="session")
def _server(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    import uvicorn
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

    from relcoord.asgi import application

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        ASGIStaticFilesHandler(application),  # type: ignore[arg-type]
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    end = time.monotonic() + 10
    while not server.started:
        if time.monotonic() > end or not thread.is_alive():
            raise RuntimeError("the test server did not start")
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=5)
    with django_db_blocker.unblock():
        _end_other_connections()


def _end_other_connections() -> None:
    """The server's threads leave connections behind, which would keep the test database from being dropped."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    connection.close()  # beside playwright's event loop this thread has a second one, which drops the database


@pytest.fixture
def live_url(_server: str, transactional_db: None, settings: Any) -> str:
    """The address of the real application over HTTP, with a database that is emptied after the test."""
    settings.SITE_URL = _server
    return _server


# A real browser


@pytest.fixture(scope="session")
def playwright() -> "Iterator[Playwright]":
    from playwright.sync_api import sync_playwright

    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(chromium.node()))
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: "Playwright") -> "Iterator[Browser]":
    found = chromium.find()
    browser = playwright.chromium.launch(
        executable_path=found.program, args=list(chromium.FLAGS), env={**os.environ, **found.environment}
    )
    yield browser
    browser.close()


@pytest.fixture
def new_context(browser: "Browser", live_url: str) -> "Iterator[Callable[..., BrowserContext]]":
    """Make a browser context (`new_context(java_script_enabled=False)`).

    It closes before the database is emptied. The test fails at its end when a script of
    a page failed, or the content security policy stopped something.
    """
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def watch(page: "Page") -> None:
        page.set_default_timeout(BROWSER_PATIENCE)
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
        page.on("console", lambda message: note(page, message))

    def note(page: "Page", message: "ConsoleMessage") -> None:
        text = message.text
        if "Content Security Policy" in text or (message.type == "error" and "htmx:" in text.lower()):
            problems.append(f"{page.url}: {text}")

    def make(**options: Any) -> "BrowserContext":
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"} | options)
        context.on("page", watch)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    assert not problems, "\n".join(problems)


@pytest.fixture
def page(new_context: "Callable[..., BrowserContext]") -> "Page":
    """A page of somebody not signed in."""
    return new_context().new_page()


@pytest.fixture
def page_as(new_context: "Callable[..., BrowserContext]", live_url: str) -> "Callable[..., Page]":
    """Open a page signed in: `page_as(ada)`; options are those of a browser context."""

    def sign_in(user: "User", **options: Any) -> "Page":
        from django.test import Client

        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        context = new_context(**options)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_url}])
        return context.new_page()

    return sign_in


# The lines are put together in the page: to hand over all that axe says of a page takes longer than its check.
AXE = """async () => {
  const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
  const result = await axe.run(document, {runOnly: rules, resultTypes: ['violations']})
  return result.violations.map(
    fault => `${fault.id}: ${fault.help} (${fault.nodes.map(node => JSON.stringify(node.target)).join(', ')})`)
}"""


@pytest.fixture(scope="session")
def _axe_source() -> str:
    return chromium.axe_source()


@pytest.fixture
def axe(_axe_source: str) -> "Callable[[Page], list[str]]":
    """Check a page for accessibility: returns one line for each fault of WCAG 2.2 A or AA, with the places."""

    def check(page: "Page") -> list[str]:
        # `evaluate` runs in the page's world but not under its content security policy.
        page.evaluate(_axe_source)
        lines: list[str] = page.evaluate(AXE)
        return lines

    return check


# Services, for tests that start processes of their own


@pytest.fixture
def service_environment(transactional_db: None, tmp_path: Any) -> dict[str, str]:
    """The environment of a process in production that shares this test's database and Redis.

    Mail goes nowhere until the test sets EMAIL_URL.
    """
    options = settings.DATABASES["default"]
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "relcoord.settings",
        "DATABASE_URL": _test_database_url(options),
        "VAR_DIR": str(tmp_path),
    }


def _test_database_url(options: dict[str, Any]) -> str:
    from urllib.parse import quote, urlencode

    name = connection.settings_dict["NAME"]
    login = ":".join(quote(options[key], safe="") for key in ("USER", "PASSWORD") if options[key])
    place = {key.lower(): options[key] for key in ("HOST", "PORT") if options[key]}
    return f"postgresql://{login}@/{quote(str(name), safe='')}?{urlencode(place)}"
