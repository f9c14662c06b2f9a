"""The programs of docker-compose.yml, started for real against PostgreSQL and Redis."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

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
    assert web.stop() == 0


AWAY_FOR_AN_HOUR = """
import sys
from datetime import timedelta
from celery.beat import PersistentScheduler
from relcoord.celery import app
scheduler = PersistentScheduler(app, schedule_filename=sys.argv[1])
for entry in scheduler.schedule.values():
    entry.last_run_at -= timedelta(hours=1)
scheduler.close()
"""


def test_a_beat_that_comes_back_ticks_at_once_and_a_worker_takes_it_from_redis(
    start: Callable[..., Program], tmp_path: Path, service_environment: dict[str, str]
) -> None:
    schedule = str(tmp_path / "schedule")
    subprocess.run([sys.executable, "-c", AWAY_FOR_AN_HOUR, schedule], cwd=ROOT, env=service_environment, check=True)
    worker = start("celery", "--app", "relcoord", "worker", "--loglevel", "INFO", "--concurrency", "1")
    beat = start("celery", "--app", "relcoord", "beat", "--loglevel", "INFO", "--pidfile=", "--schedule", schedule)
    worker.wait_until(lambda: "Task releases.tasks.tick" in worker.output(), "the first tick")
    worker.wait_until(lambda: "succeeded in" in worker.output() or "raised" in worker.output(), "the end of the tick")
    assert "succeeded in" in worker.output(), worker.output()
    assert beat.stop() == 0
    assert worker.stop() == 0
    assert redis.Redis.from_url(os.environ["REDIS_URL"]).llen("celery") == 0
