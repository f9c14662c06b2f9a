"""Getting started: what a fresh machine meets, told in sentences, and a stop that leaves nothing behind."""

import ast
import http.client
import json
import os
import re
import runpy
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from django.core import signing
from django.core.exceptions import ImproperlyConfigured

from relcoord.lib import tickets
from tests.checks import PRODUCTION, postponed_calls
from tests.provision import free_port

ROOT = Path(__file__).resolve().parent.parent
OLD_PYTHON = (3, 10, 12, "final", 0)
START_PATIENCE = 90  # seconds, on a busy machine


def environment(var: Path, **variables: str) -> dict[str, str]:
    """A bare shell: what the tests set for themselves is not there."""
    return {"PATH": os.environ["PATH"], "HOME": str(var), "VAR_DIR": str(var), **variables}


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(Path(variables.pop("VAR_DIR")), **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Sentences


def test_an_old_python_is_told_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", OLD_PYTHON)
    monkeypatch.setattr(sys, "version", "3.10.12 (main)")
    with pytest.raises(SystemExit) as refusal:
        runpy.run_path(str(ROOT / "dev.py"), run_name="__main__")
    assert refusal.value.code == "relcoord needs Python 3.11 or newer; this is Python 3.10.12."


def test_an_old_python_can_read_that_far() -> None:
    ast.parse((ROOT / "dev.py").read_text(), feature_version=(3, 8))


def test_a_port_in_use_is_told_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = manage("runall", VAR_DIR=str(tmp_path), PORT=str(port))
    assert done.returncode == 1
    assert done.stderr.strip().startswith(f"CommandError: Port {port} is already in use on 127.0.0.1. Choose another")
    assert len(done.stderr.splitlines()) == 1


def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    done = manage("runall", VAR_DIR=str(tmp_path), HOST="192.0.2.1", PORT=str(free_port()))
    assert done.returncode == 1
    assert "Nothing can listen on 192.0.2.1" in done.stderr


def test_a_data_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = manage("runall", VAR_DIR=str(tmp_path / "file" / "var"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"relcoord cannot start: VAR_DIR is {tmp_path}/file/var, and relcoord cannot write")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("missing", sorted(PRODUCTION.keys() - {"DATABASE_URL"}))
def test_production_does_not_start_without(missing: str, tmp_path: Path) -> None:
    given = {name: value for name, value in PRODUCTION.items() if name != missing}
    done = manage("check", VAR_DIR=str(tmp_path), **given)
    assert done.returncode == 1
    assert done.stderr.startswith(f"relcoord cannot start: {missing}")


WEAK = {
    "DATABASE_URL": ["mysql://relcoord@db/relcoord", "postgresql://relcoord@db"],
    "REDIS_URL": ["http://redis"],
    "SECRET_KEY": ["short", "a" * 60, "change me " * 8],
    "SITE_URL": ["releases.example.com", "http://releases.example.com", "https://example.com/releases"],
    "EMAIL_URL": ["mail.example.com"],
    "METRICS_TOKEN": ["guess"],
    "DATABASE_STATEMENT_TIMEOUT": ["soon", "-1"],
    "TIME_ZONE": ["Mars/Base"],
    "LOG_FORMAT": ["xml"],
    "LOG_LEVEL": ["LOUD"],
    "BEHIND_PROXY": ["perhaps"],
    "DEBUG": ["perhaps"],
    "DEMO": ["perhaps"],
    "PORT": ["99999"],
    "OIDC_CLIENT_ID": [""],
    "OIDC_SECRET": [""],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WEAK.items() for value in values])
def test_a_weak_setting_stops_the_start_and_is_named(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in settings_variables():
        monkeypatch.delenv(known, raising=False)
    company = {"OIDC_URL": "https://login.example.com", "OIDC_CLIENT_ID": "relcoord", "OIDC_SECRET": "hidden"}
    for known, given in (PRODUCTION | company | {"VAR_DIR": str(tmp_path), name: value}).items():
        monkeypatch.setenv(known, given)
    with pytest.raises(ImproperlyConfigured, match=f"^{name}"):
        runpy.run_path(str(ROOT / "relcoord" / "settings.py"))
    monkeypatch.setenv(name, (PRODUCTION | company).get(name, ""))
    runpy.run_path(str(ROOT / "relcoord" / "settings.py"))


def test_the_embedded_secret_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    code = "from relcoord import settings; print(settings.SECRET_KEY)"
    command, bare = [sys.executable, "-c", code], environment(tmp_path)
    keys = [subprocess.check_output(command, cwd=ROOT, env=bare) for _ in range(2)]
    assert keys[0] == keys[1]
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


# The process tree


class Tree:
    """`manage.py runall`, started for real."""

    def __init__(self, var: Path, **variables: str) -> None:
        self.port = free_port()
        self.log = var.with_name("runall.log")
        self._output = self.log.open("a")
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "runall"],
            cwd=ROOT,
            env=environment(var, PORT=str(self.port), **variables),
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_until_it_is_up(self) -> None:
        end = time.monotonic() + START_PATIENCE
        while f"relcoord is at http://127.0.0.1:{self.port}" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"no start within {START_PATIENCE} s:\n{self.log.read_text()}"
            time.sleep(0.1)

    def children(self) -> list[int]:
        """Every process below, also those of the children."""
        parents: dict[int, int] = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            parents[int(status.parent.name)] = int(fields[1])
        found = [self.process.pid]
        for known in found:
            found += [pid for pid, parent in parents.items() if parent == known]
        return found[1:]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30)
        self._output.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[type[Tree]]:
    trees: list[Tree] = []

    def make(*arguments: Path, **variables: str) -> Tree:
        trees.append(Tree(*arguments, **variables))
        return trees[-1]

    yield make  # type: ignore[misc]
    for tree in trees:
        tree.end()


def still_there(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()]


def wait_until_gone(pids: list[int], seconds: float) -> list[int]:
    end = time.monotonic() + seconds
    while still_there(pids) and time.monotonic() < end:
        time.sleep(0.1)
    return still_there(pids)


def open_stream(tree: Tree, var: Path) -> http.client.HTTPResponse:
    """Listen to the first release, as a page drawn by this site does."""
    key = (var / "secret_key").read_text()
    ticket = signing.Signer(key=key, salt=tickets.SALT).sign_object([1, 1, 0, int(time.time() * 1000)])
    address = f"http://127.0.0.1:{tree.port}{tickets.PATH}?ticket={quote(ticket)}"
    answer: http.client.HTTPResponse = urllib.request.urlopen(address, timeout=20)
    return answer


def heard(stream: http.client.HTTPResponse) -> bytes:
    """The name of the next event."""
    while not (line := stream.readline()).startswith(b"event: "):
        assert line, stream.status
        assert not line.startswith(b":"), "nothing came"
    return line.removeprefix(b"event: ").strip()


def releases_in(var: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(var / "relcoord.sqlite3")) as database:
        return database.execute("SELECT key FROM releases_release ORDER BY key").fetchall()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_command_starts_everything_and_ctrl_c_ends_it_and_the_data_stays(tmp_path: Path, start: type[Tree]) -> None:
    var = tmp_path / "var"
    first = start(var)
    first.wait_until_it_is_up()

    with urllib.request.urlopen(f"http://127.0.0.1:{first.port}/", timeout=10) as answer:
        assert answer.status == 200
        assert answer.url.startswith(f"http://127.0.0.1:{first.port}/accounts/login/")
        assert b"<form" in answer.read()
    assert len(releases_in(var)) > 0
    stream = open_stream(first, var)
    assert heard(stream) in (b"live", b"resync")
    for step in (1, -1):  # it counts its events, and a restore counts them after it
        with closing(sqlite3.connect(var / "relcoord.sqlite3")) as database, database:
            database.execute("UPDATE releases_release SET event_sequence = event_sequence + ? WHERE id = 1", [step])
        assert step < 0 or heard(stream) == b"change", "without Redis it looks by itself"
    assert "@demo.example" in first.log.read_text(), "the log-ins of the examples are told"
    second_tree = manage("runall", VAR_DIR=str(var), PORT=str(free_port()))
    assert "relcoord already runs with the data in" in second_tree.stderr

    children = first.children()
    assert len(children) >= 2
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(timeout=30) == 0, first.log.read_text()
    stream.read()  # to its end
    assert "Cancel" not in first.log.read_text()
    assert "was killed" not in first.log.read_text(), "each program ended by itself, with a stream open"
    assert still_there(children) == []

    before = releases_in(var)
    done = manage("backup", str(tmp_path / "kept.zip"), VAR_DIR=str(var))
    assert done.returncode == 0, done.stdout + done.stderr
    again = start(var)
    again.log.write_text("")
    again.wait_until_it_is_up()
    assert releases_in(var) == before
    assert "@demo.example" in again.log.read_text(), "and told again"
    orphans = again.children()
    again.process.kill()
    again.process.wait()
    assert wait_until_gone(orphans, seconds=15) == [], "a killed supervisor leaves no orphan"


TWO_PROGRAMS = """
import os, sys
from relcoord.processes import ProcessTree
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
fail = [sys.executable, "-c", "import time; time.sleep(0.3); raise SystemExit(7)"]
tree = ProcessTree({"sleeps": sleep, "fails": fail}, environment=os.environ)
tree.start()
ended = tree.wait()
print(ended, tree.stop(), sorted(tree.dead()))
"""


def test_when_one_program_dies_all_end_and_it_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO_PROGRAMS],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout.strip() == "{'fails': 7} [] ['fails', 'sleeps']"


# What is written down


def settings_variables() -> set[str]:
    """The names that settings read from the environment."""
    tree = ast.parse((ROOT / "relcoord" / "settings.py").read_text())
    return {
        str(node.args[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "env"
        and isinstance(node.args[0], ast.Constant)
    }


def test_every_setting_is_in_the_example_file() -> None:
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    assert settings_variables() <= named
    assert named - settings_variables() == {"POSTGRES_PASSWORD", "RELCOORD_VERSION"}, "no name that nothing reads"


def test_every_setting_is_in_the_readme_s_table() -> None:
    chapter = (ROOT / "README.md").read_text().partition("\n## Configuration")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in chapter.splitlines() if line.startswith("|")]
    assert settings_variables() - set(re.findall(r"`([A-Z_]+)`", "\n".join(rows))) == set()


@pytest.mark.parametrize("name", ["uv", "base", "dev"])
def test_every_requirement_is_pinned_by_hash_and_names_no_registry(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    pins = [line for line in text.splitlines() if "==" in line]
    assert pins
    assert all(line.endswith("\\") for line in pins), "each goes on with its hashes"


def test_the_tests_install_the_versions_that_production_runs() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))

    assert pins("base") <= pins("dev")


def test_the_browser_s_lock_names_no_registry() -> None:
    lock = json.loads((ROOT / "tests" / "browser" / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []


def test_ci_does_what_a_developer_does() -> None:
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if "dev.py" in line]
    assert commands == ["python3 dev.py lint", "python3 dev.py test"]


def test_postponed_tasks_are_found_in_any_call() -> None:
    source = "task.apply_async(countdown=5)\nsignature(\n    eta=moment,\n)\ncount = down\n"
    assert list(postponed_calls(source)) == [(1, "countdown"), (3, "eta")]
