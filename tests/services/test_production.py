"""The programs of docker-compose.yml, started for real against PostgreSQL and Redis."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db.models import F
from django.test import Client
from kombu import Connection

from releases import tasks
from releases.models import Heartbeat
from tests.provision import free_port

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PATIENCE = 60  # seconds, on a busy machine


class Program:
    """One running program; its output is kept in a file."""

    def __init__(self, log: Path, command: list[str], environment: dict[str, str]) -> None:
        self._log = log
        self._output = log.open("w")
        self.process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=ROOT,
            env=environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def output(self) -> str:
        return self._log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """What it wrote, each line one JSON object; Celery prints its farewell past every log."""
        farewell = "worker: Warm shutdown"
        return [json.loads(line) for line in self.output().splitlines() if line and not line.startswith(farewell)]

    def wait_until(self, reached: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not reached():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < end, f"{what} did not come within {PATIENCE} s:\n{self.output()}"
            time.sleep(0.1)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(timeout=30)
        self._output.close()
        return code


@pytest.fixture
def start(tmp_path: Path, service_environment: dict[str, str]) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def make(*command: str, **environment: str) -> Program:
        log = tmp_path / f"{command[0]}-{len(programs)}.log"
        programs.append(Program(log, list(command), service_environment | environment))
        return programs[-1]

    yield make
    for program in programs:
        program.stop()


def get(url: str) -> tuple[int, str]:
    """The status and the page; 0 when nobody answers yet."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_the_web_server_answers_with_static_files_named_by_their_content(
    start: Callable[..., Program], tmp_path: Path, service_environment: dict[str, str]
) -> None:
    static = {"STATIC_ROOT": str(tmp_path / "static")}
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
    subprocess.run(collect, cwd=ROOT, env=service_environment | static, check=True)
    port = free_port()
    web = start("gunicorn", "relcoord.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "4", **static)

    url = f"http://localhost:{port}"
    web.wait_until(lambda: get(f"{url}/accounts/login/")[0] != 0, "an answer")
    status, page = get(f"{url}/accounts/login/")
    assert status == 200, web.output()
    sheets = [part.split('"')[0] for part in page.split('href="') if part.startswith("/static/") and ".css" in part]
    assert sheets
    assert all(get(url + sheet)[0] == 200 for sheet in sheets)
    assert all(len(Path(sheet).name.split(".")) == 3 for sheet in sheets), "name.hash.css"
    assert get(f"{url}/accounts/nothing-is-here/")[0] == 404

    probe = urllib.request.Request(f"{url}/livez", headers={"Host": "10.0.0.7", "X-Request-ID": "from-the-edge"})
    with urllib.request.urlopen(probe, timeout=5) as answer:
        assert (answer.read(), answer.headers["X-Request-ID"]) == (b"ok\n", "from-the-edge")
    assert web.stop() == 0
    lines = web.lines()
    assert {line["logger"] for line in lines} >= {"gunicorn.error", "relcoord.access"}
    assert "gunicorn.access" not in {line["logger"] for line in lines}, "it would write addresses with their tokens"
    missing = [line for line in lines if line.get("path") == "/accounts/nothing-is-here/"]
    assert [(line["status"], len(line["request_id"])) for line in missing] == [(404, 32)]


def test_the_doctor_says_what_is_broken_and_ends_with_1(service_environment: dict[str, str]) -> None:
    dead = f"127.0.0.1:{free_port()}"
    broken = {"DATABASE_URL": f"postgresql://relcoord:hunter2@{dead}/relcoord", "EMAIL_URL": f"smtp+plain://{dead}"}
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=service_environment | broken,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "CommandError: 2 checks fail.\n")
    lines = {line.split(": ")[0].split(maxsplit=1)[1]: line for line in done.stdout.splitlines()}
    assert {name for name, line in lines.items() if line.startswith("FAIL")} == {"database", "mail server"}
    assert lines["database"].endswith("Start it, and check DATABASE_URL: host, port, name, password.")
    assert lines["queue"].startswith("ok   queue: Redis answers")
    assert "hunter2" not in done.stdout


def ready() -> tuple[int, list[str]]:
    """/readyz: its status, and what fails."""
    answer = Client().get("/readyz")
    return answer.status_code, [name for name, check in answer.json()["checks"].items() if check["state"] == "fail"]


def test_a_beat_that_starts_ticks_at_once_and_a_worker_takes_it_from_redis_until_it_is_deaf(
    start: Callable[..., Program], tmp_path: Path
) -> None:
    schedule = str(tmp_path / "schedule")
    worker = start("celery", "--app", "relcoord", "--quiet", "worker", "--loglevel", "INFO", "--concurrency", "1")
    beat = start(
        "celery", "--app", "relcoord", "--quiet", "beat", "--loglevel", "INFO", "--pidfile=", "--schedule", schedule
    )
    worker.wait_until(lambda: "Task releases.tasks.tick" in worker.output(), "the first tick")
    worker.wait_until(lambda: "succeeded in" in worker.output() or "raised" in worker.output(), "the end of the tick")
    assert "succeeded in" in worker.output(), worker.output()
    worker.wait_until(lambda: ready() == (200, []), "a look at the ledger and the answer to beat's canary")

    worker.process.send_signal(signal.SIGSTOP)  # it runs, is connected, and takes nothing
    try:
        with Connection(os.environ["REDIS_URL"]) as broker:
            tasks.canary.apply_async(connection=broker, expires=50)
        Heartbeat.objects.filter(name="worker").update(at=F("at") - timedelta(seconds=120))  # as two minutes would
        assert ready() == (503, ["worker"])
    finally:
        worker.process.send_signal(signal.SIGCONT)
    worker.wait_until(lambda: ready() == (200, []), "the answer of a worker that hears again")

    assert beat.stop() == 0
    assert worker.stop() == 0
    first = min(line["time"] for line in beat.lines() if "Sending due task canary" in line["message"])
    began = min(line["time"] for line in beat.lines() if "beat: Starting" in line["message"])
    assert datetime.fromisoformat(first) - datetime.fromisoformat(began) < timedelta(seconds=20), "not after its minute"
    assert {"releases.tasks.tick", "releases.tasks.canary"} <= {line.get("task") for line in worker.lines()}
    assert {line["logger"] for line in beat.lines()} >= {"celery.beat"}
    assert redis.Redis.from_url(os.environ["REDIS_URL"]).llen("celery") == 0
