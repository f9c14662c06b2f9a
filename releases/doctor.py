"""What `manage.py doctor` looks at: a finding a part, with what to do about it. Reads only; mails when asked to."""

from __future__ import annotations

import importlib.metadata
import shutil
import smtplib
import socket
import zoneinfo
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import Error, connection
from django.http.request import validate_host
from django.utils import timezone

from relcoord.celery import app
from relcoord.env import Environment
from relcoord.lib.mail import Courier, Undelivered
from relcoord.models import User
from releases import health
from releases.health import Finding, Level, ok
from releases.models import Release
from releases.models.guard import guards_stand

SMTP: Final = "django.core.mail.backends.smtp.EmailBackend"
MEGABYTE: Final = 1024 * 1024
LITTLE, NOTHING = 1024 * MEGABYTE, 100 * MEGABYTE  # free disk
SKEW, STEP = timedelta(seconds=2), timedelta(seconds=60)  # between two clocks
PILE: Final = 100  # tasks in the queue: beat adds three a minute, and a worker drops what is past its time
SUMMER = datetime(2026, 7, 1, tzinfo=UTC)


def examine(mail_to: str = "") -> list[Finding]:
    """Everything, the parts that others stand on first; what stands on a missing one is left out."""
    found, broker = [health.database()], health.broker()
    if found[0].level != Level.FAIL:
        found.append(health.migrations())
    complete = found[-1].level != Level.FAIL
    found += [_careful(triggers), queue(broker)] if complete else [queue(broker)]
    if complete:
        found += map(_asked_by_name, health.of_the_ledger(deaf=broker.level == Level.WARN))
        found.append(_careful(clock_of_the_database))
    found += [_careful(check) for check in (clock_of_redis, mail_server, site, secret_key, disk, time_zones)]
    return found + ([test_mail(mail_to)] if mail_to else [])


def _careful(check: Callable[[], Finding]) -> Finding:
    """A check that breaks is a finding, and keeps no other from being made."""
    try:
        return check()
    except Exception as failure:
        name = check.__name__.replace("_", " ")
        return Finding(
            name, Level.FAIL, "could not be checked", "See what it says", f"{type(failure).__name__}: {failure}"
        )


# One by one


def triggers() -> Finding:
    if guards_stand():
        return ok("history", "the triggers that keep events from being changed stand")
    todo = "Run manage.py migrate, which puts them back, find out who removed them, and run manage.py verify_audit"
    return Finding("history", Level.FAIL, "the triggers that keep events from being changed are missing", todo)


def queue(found: Finding) -> Finding:
    """What was found of the broker, and whether work piles up in it."""
    if found.level != Level.OK:
        return found
    number = _waiting_tasks()
    if number <= PILE:
        return ok(found.name, f"{found.words}, {number} tasks wait")
    return Finding(found.name, Level.WARN, f"{number} tasks wait", "No worker takes them: start one, or restart it")


def _waiting_tasks() -> int:
    if settings.REDIS_URL:
        return int(health.redis_client().llen(app.conf.task_default_queue))
    folder = Path(settings.CELERY_BROKER_TRANSPORT_OPTIONS["data_folder_in"])
    return sum(1 for _ in folder.glob("*.celery.msg"))


def _asked_by_name(found: Finding) -> Finding:
    """A worker that left the canary is told apart from one that is not there."""
    silent = found.name == health.CANARY and found.level == Level.FAIL
    return replace(found, detail=pinged()) if silent else found


def pinged() -> str:
    """Whether a worker answers at least when it is called by name; only Redis carries such a call."""
    if not settings.REDIS_URL or health.broker().level != Level.OK:
        return ""
    names = [name for answer in app.control.ping(timeout=1) or [] for name in answer]
    return f"a ping was answered by {', '.join(sorted(names))}" if names else "a ping was answered by nobody"


def clock_of_the_database() -> Finding:
    if connection.vendor != "postgresql":
        return ok("clock", "the database is on this machine and has its clock")
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        theirs = cursor.fetchone()[0]
    return _skew("clock", "the database", theirs, before)


def clock_of_redis() -> Finding:
    if not settings.REDIS_URL or health.broker().level != Level.OK:
        return ok("clock of Redis", "nothing to compare")
    before = timezone.now()
    whole, micro = health.redis_client().time()
    return _skew("clock of Redis", "Redis", datetime.fromtimestamp(whole, UTC) + timedelta(microseconds=micro), before)


def _skew(name: str, whose: str, theirs: datetime, before: datetime) -> Finding:
    after = timezone.now()
    ahead = theirs - (before + (after - before) / 2)
    if abs(ahead) <= max(SKEW, after - before):
        return ok(name, f"{whose} has our time, within {max(SKEW, after - before).total_seconds():.0f} s")
    level = Level.FAIL if abs(ahead) > STEP else Level.WARN
    words = f"{whose} is {health.seconds(abs(ahead))} {'ahead' if ahead > timedelta(0) else 'behind'}"
    return Finding(name, level, words, "Set both clocks by NTP")


def mail_server() -> Finding:
    """Connect, say who we are, and hang up."""
    if settings.OUTBOX_ENABLED:
        return ok("mail server", f"none: mail is kept in {settings.OUTBOX_DIR} and shown at /outbox/")
    line = get_connection()
    try:
        _greet(line)
    except (smtplib.SMTPException, OSError) as failure:
        refused = isinstance(failure, smtplib.SMTPAuthenticationError)
        words = "does not let us in" if refused else "does not answer as it should"
        todo = "Check user and password in EMAIL_URL" if refused else "Check scheme, host and port in EMAIL_URL"
        return Finding("mail server", Level.FAIL, words, todo, " ".join(str(failure).split()))
    log_in = "takes our log-in" if settings.EMAIL_BACKEND == SMTP and settings.EMAIL_HOST_USER else "answers"
    return ok("mail server", f"{log_in}; no mail was sent")


def _greet(line: Any) -> None:
    try:
        line.open()
        if talk := getattr(line, "connection", None):
            talk.ehlo_or_helo_if_needed()
            talk.noop()
    finally:
        line.close()


def test_mail(to: str) -> Finding:
    now = timezone.now()
    words = f"This was sent by `manage.py doctor` of {settings.SITE_URL} on {now:%Y-%m-%d at %H:%M} UTC.\n"
    message = EmailMultiAlternatives(subject="relcoord: a test mail", body=words, to=[to])
    try:
        with Courier() as courier:
            reply = courier.hand_over(message)
    except Undelivered as failure:
        return Finding("test mail", Level.FAIL, f"was not taken for {to}", "Do as the server says", str(failure))
    return ok("test mail", f"handed over for {to}", reply)


def site() -> Finding:
    parts = urlsplit(settings.SITE_URL)
    host = parts.hostname or ""
    here = host in settings.LOCAL_NAMES
    if settings.DEBUG and not settings.EMBEDDED:
        return Finding("site", Level.FAIL, "DEBUG shows strangers the inside of errors", "Set DEBUG=no")
    if not validate_host(host, settings.ALLOWED_HOSTS):
        words = f"ALLOWED_HOSTS does not name {host}, so every page answers 400"
        return Finding("site", Level.FAIL, words, f"Add {host} to ALLOWED_HOSTS")
    if parts.scheme != "https" and not here:
        return Finding(
            "site", Level.WARN, f"{settings.SITE_URL} has no TLS: passwords can be read on the way", "Use https"
        )
    if settings.HTTPS and not getattr(settings, "SECURE_PROXY_SSL_HEADER", None):
        words = "https, and BEHIND_PROXY is no: behind a proxy every page redirects to itself for ever"
        return Finding("site", Level.WARN, words, "Set BEHIND_PROXY=yes where a proxy speaks TLS")
    if "*" in settings.ALLOWED_HOSTS:
        return Finding("site", Level.WARN, "ALLOWED_HOSTS takes any name", f"Set ALLOWED_HOSTS={host}")
    return ok("site", f"{settings.SITE_URL}, and ALLOWED_HOSTS names it")


def secret_key() -> Finding:
    try:
        Environment({"SECRET_KEY": settings.SECRET_KEY}).secret("SECRET_KEY")
    except ImproperlyConfigured as weak:
        return Finding("secret key", Level.FAIL, "can be guessed", str(weak))
    file = Path(settings.VAR_DIR) / "secret_key"
    if settings.EMBEDDED and file.exists() and file.stat().st_mode & 0o077:
        return Finding("secret key", Level.WARN, "other users of this machine can read it", f"chmod 600 {file}")
    return ok("secret key", "long and mixed enough")


def disk() -> Finding:
    """Where this machine keeps things; a database elsewhere has a disk of its own."""
    folders = {Path(settings.VAR_DIR), *([Path(settings.MEDIA_ROOT)] if settings.MEDIA_ROOT else [])}
    there = [next(folder for folder in (path, *path.parents) if folder.exists()) for path in sorted(folders)]
    free, folder = min((shutil.disk_usage(folder).free, folder) for folder in there)
    words = f"{free // MEGABYTE} MB free in {folder}"
    if free >= LITTLE:
        return ok("disk", words)
    return Finding(
        "disk", Level.FAIL if free < NOTHING else Level.WARN, words, "Make room; a full disk stops everything"
    )


def time_zones() -> Finding:
    """The zones are there, know their summer time, and all that people and releases chose are among them."""
    todo = "Install the system's tzdata, or the Python package tzdata"
    try:
        shift = SUMMER.astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset()
    except zoneinfo.ZoneInfoNotFoundError:
        return Finding("time zones", Level.FAIL, "there are none", todo)
    known = zoneinfo.available_timezones()
    unknown = sorted({name for name in _zones_in_use() if name and name not in known})
    if shift != timedelta(hours=2) or unknown:
        words = f"not known here: {', '.join(unknown[:5])}" if unknown else "Europe/Berlin has no summer time"
        return Finding("time zones", Level.FAIL, words, todo)
    return ok("time zones", f"{len(known)} known", _version_of_zones())


def _zones_in_use() -> set[str]:
    try:
        releases = Release.objects.order_by().values_list("time_zone", flat=True).distinct()
        return {*releases, *User.objects.order_by().values_list("time_zone", flat=True).distinct()}
    except Error:  # a finding of its own
        return set()


def _version_of_zones() -> str:
    for folder in zoneinfo.TZPATH:
        table = Path(folder) / "tzdata.zi"
        if table.exists():
            with table.open() as lines:
                return f"the system's, {lines.readline().strip('# ').strip()}"
    try:
        return f"the package tzdata {importlib.metadata.version('tzdata')}"
    except importlib.metadata.PackageNotFoundError:
        return f"the system's, on {socket.gethostname()}"
