"""`manage.py runall`: relcoord on one machine, in the foreground, until Ctrl-C."""

import errno
import fcntl
import http.client
import io
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from relcoord.processes import ProcessTree

START_PATIENCE = 60  # seconds until the first page must be there


class Command(BaseCommand):
    help = "Start web, worker and scheduler together; Ctrl-C stops them."
    requires_system_checks = ()  # they have run when the children start

    def handle(self, *args: Any, **options: Any) -> None:
        check_port(settings.HOST, settings.PORT)
        with only_one(settings.VAR_DIR):
            try:
                self.prepare()
            except KeyboardInterrupt:
                self.stderr.write("Stopped before it was up.")
                return
            tree = ProcessTree(programs(), environment=os.environ | {"PYTHONWARNINGS": quiet_celery()})
            try:
                tree.start()
                self.announce(tree)
                ended = tree.wait()
            finally:
                killed = tree.stop()
        for name in killed:
            self.stderr.write(f"{name} did not stop by itself and was killed.")
        if ended:
            names = " and ".join(f"{name} (exit code {code})" for name, code in ended.items())
            raise CommandError(f"{names} ended unasked, so relcoord stopped. The lines above say why.")

    def prepare(self) -> None:
        """Bring the database up to date; on the first start fill it."""
        call_command("migrate", verbosity=0, interactive=False)
        if not apps.get_model("checklists", "Template").objects.exists():
            call_command("import_checklist", str(settings.BASE_DIR / "checklists" / "standard.md"), stdout=self.stdout)
        empty = not any(apps.get_model(name).objects.exists() for name in ("releases.Release", "relcoord.User"))
        if empty and settings.DEMO:
            self.make_examples()

    def make_examples(self) -> None:
        told = io.StringIO()
        call_command("demo", stdout=told)
        with os.fdopen(os.open(log_ins(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(told.getvalue())  # they are told again at each start

    def announce(self, tree: ProcessTree) -> None:
        end = time.monotonic() + START_PATIENCE
        while tree.is_up() and not answers(settings.HOST, settings.PORT):
            if time.monotonic() > end:
                raise CommandError(f"The web server gave no answer within {START_PATIENCE} seconds.")
            time.sleep(0.1)
        if not tree.is_up():
            return
        if log_ins().exists():
            self.stdout.write(log_ins().read_text())
        elif not apps.get_model("relcoord", "User").objects.exists():
            self.stdout.write("Nobody has an account yet. This makes one: python3 dev.py manage createsuperuser")
        self.stdout.write(f"relcoord is at {settings.SITE_URL}  (Ctrl-C stops it; data is in {settings.VAR_DIR})")
        self.stdout.flush()


def log_ins() -> Path:
    """Where the log-ins of the examples are kept."""
    return Path(settings.VAR_DIR) / "demo-log-ins.txt"


def programs() -> dict[str, list[str]]:
    """The command lines of the tree."""
    web = [sys.executable, "-m", "uvicorn", "relcoord.asgi:application"]
    address = ["--host", settings.HOST, "--port", str(settings.PORT)]
    stop = ["--timeout-graceful-shutdown", "2"]  # seconds; open streams would hold up a stop
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return {
        "web": [*web, *address, *stop, "--log-level", "warning"],
        "worker": [
            *(sys.executable, "-m", "celery", "--app", "relcoord", "--quiet", "worker", "--beat"),
            *("--pool", "threads", "--concurrency", "2", "--loglevel", "WARNING", *alone),
        ],
    }


def quiet_celery() -> str:
    """Celery warns about running as root, because of a message format that is switched off here."""
    given = os.environ.get("PYTHONWARNINGS", "")
    ours = "ignore:You're running the worker with superuser privileges"
    return f"{given},{ours}" if given else ours


def check_port(host: str, port: int) -> None:
    """Raise CommandError, with what to do, when nothing can listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise CommandError(f"HOST is {host!r}, which is no address of this machine.") from None
    except OSError as error:
        another = f"Choose another one: PORT={port + 1 if port < 65535 else 8001} python3 dev.py run"
        if error.errno == errno.EADDRINUSE:
            raise CommandError(f"Port {port} is already in use on {host}. {another}") from None
        if error.errno == errno.EACCES:
            raise CommandError(f"Port {port} may not be used by this user. {another}") from None
        raise CommandError(f"Nothing can listen on {host}, port {port}: {error.strerror}.") from None


@contextmanager
def only_one(var: Path) -> Iterator[None]:
    """Refuse a second tree over the same data: two schedulers would do everything twice."""
    var.mkdir(parents=True, exist_ok=True)
    with (var / "runall.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"relcoord already runs with the data in {var}.") from None
        yield


def answers(host: str, port: int) -> bool:
    """Whether a page comes from there, whatever it says."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    with closing(http.client.HTTPConnection(name, port, timeout=5)) as connection:
        try:
            connection.request("HEAD", "/", headers={"Host": f"localhost:{port}"})
            return connection.getresponse().status > 0
        except (OSError, http.client.HTTPException):
            return False
