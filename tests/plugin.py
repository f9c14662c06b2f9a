"""Set the stage before Django reads its settings: which database, which services, no outside world.

`TEST_DATABASE=postgres` (the default) runs on PostgreSQL and Redis; `TEST_DATABASE=sqlite`
on the embedded default, where only the rules and journeys run when no path is named.
"""

import gc
import os
import shutil
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import provision

# What meets both databases: the rules and the journeys.
BOTH_DATABASES = (
    "tests/releases/",
    "tests/flows/",
    "tests/checklists/test_commands.py",  # the rest of checklists is text, or pages over these two
    "tests/checklists/test_editing.py",
    "tests/reliability/test_simulation.py",
    "tests/test_remembered.py",
    "tests/test_stage.py",
)

# Of these, what draws words from what the rules have left meets the database of production alone.
WORDS = (
    "tests/releases/test_calendar.py",
    "tests/releases/test_mail.py",
    "tests/releases/test_story.py",
    "tests/releases/test_time.py",  # no database at all
    "tests/releases/test_window_form.py",
)

# What takes long begins first, and what waits for servers beside what computes: then the workers end together.
LONG = (
    "tests/services/test_one_by_one.py",
    "tests/reliability/test_simulation.py",
    "tests/browser/test_journey_quick.py",
    "tests/reliability/test_chaos.py",
    "tests/pages/test_expected_tables.py",
    "tests/services/",
    "tests/browser/",
    "tests/test_setup.py",
    "tests/benchmarks/",
    "tests/pages/",
)

SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "tests.settings",
    "SECRET_KEY": "for-tests-alone-" + "0123456789abcdefghijklmnopqrstuvwxyz" * 2,
    "SITE_URL": "http://localhost:8000",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    "EMAIL_FROM": "relcoord <relcoord@localhost>",
    "TIME_ZONE": "UTC",
}
PRODUCTION = {"EMAIL_URL": "smtp+plain://127.0.0.1:1"}
CLEARED = (
    "DEBUG",
    "BEHIND_PROXY",
    "EMAIL_URL",
    "OIDC_URL",
    "HOST",
    "PORT",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "METRICS_TOKEN",
    "DATABASE_STATEMENT_TIMEOUT",
)

_until_the_end = ExitStack()
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    gc.disable()  # until all is collected
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker:
        _set_the_stage()  # a worker inherits it
    elif os.environ.get("REDIS_URL", "").endswith("/0"):
        os.environ["REDIS_URL"] = f"{os.environ['REDIS_URL'][:-1]}{int(worker.removeprefix('gw')) % 16}"
    socket.socket.connect = _only_this_machine(_connect)  # type: ignore[method-assign]
    socket.socket.connect_ex = _only_this_machine(_connect_ex)  # type: ignore[method-assign]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "postgres: needs PostgreSQL, so it stays out of the round on SQLite")
    config.addinivalue_line("markers", "real_clock: meets services that have clocks; see tests/noon.py")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        named = config.args_source is pytest.Config.ArgsSource.ARGS
        os.environ["TEST_SELECTION"] = "named" if named else "all"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if database() == "postgres" or os.environ["TEST_SELECTION"] == "named" or collection_path.is_dir():
        return None
    path = collection_path.relative_to(config.rootpath).as_posix()
    return None if path.startswith(BOTH_DATABASES) and path not in WORDS else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_how_soon)
    if database() == "postgres":
        return
    left_out = {item for item in items if item.get_closest_marker("postgres")}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """What was loaded stays to the end, and a test leaves little behind: to look for garbage less saves a twentieth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    gc.enable()


def _how_soon(item: pytest.Item) -> int:
    return next((place for place, path in enumerate(LONG) if item.nodeid.startswith(path)), len(LONG))


def pytest_report_header() -> str:
    return f"database: {database()}"


def pytest_unconfigure() -> None:
    _until_the_end.close()


def database() -> str:
    """The database of this round: postgres or sqlite."""
    return os.environ.get("TEST_DATABASE", "postgres")


def _set_the_stage() -> None:
    if database() not in {"postgres", "sqlite"}:
        raise pytest.UsageError(f"TEST_DATABASE is {database()!r}; it can be postgres or sqlite.")
    for name in CLEARED:
        os.environ.pop(name, None)
    os.environ.update(SETTINGS)
    var = tempfile.mkdtemp(prefix="relcoord-test-")
    _until_the_end.callback(shutil.rmtree, var, ignore_errors=True)
    os.environ["VAR_DIR"] = var
    if database() == "sqlite":
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        return
    os.environ.update(PRODUCTION)
    try:
        os.environ["DATABASE_URL"] = _until_the_end.enter_context(provision.postgres())
        _until_the_end.callback(_drop_template)
        os.environ["REDIS_URL"] = _until_the_end.enter_context(provision.redis())
    except provision.ServiceError as error:
        _until_the_end.close()
        raise pytest.UsageError(str(error)) from None


def _drop_template() -> None:
    from tests import database

    database.drop_template()


def _only_this_machine(connect: Any) -> Any:
    """Tests meet no network: refuse every address but those of this machine and of given services."""
    allowed = {"localhost", "::1", *_given_service_addresses()}

    def guarded(self: socket.socket, address: Any) -> Any:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in {socket.AF_INET, socket.AF_INET6} and not host.startswith("127.") and host not in allowed:
            raise RuntimeError(f"A test tried to reach {host}; tests must stay on this machine.")
        return connect(self, address)

    return guarded


def _given_service_addresses() -> set[str]:
    from urllib.parse import urlsplit

    host = urlsplit(os.environ.get("REDIS_URL", "")).hostname
    if not host:
        return set()
    try:
        return {host, *(str(found[4][0]) for found in socket.getaddrinfo(host, None))}
    except OSError:
        return {host}
