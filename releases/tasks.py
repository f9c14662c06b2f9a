"""Celery entry points, nothing else. A task only says "look now"; what is owed stands in the database."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from releases import health, ledger

log = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def tick() -> None:
    """Plan and send what the ledger owes. Safe to run any number of times, side by side."""
    ledger.tick()


@shared_task(ignore_result=True)
def canary() -> None:
    """Beat sends it each minute: whoever takes it shows that work goes all the way from beat to a worker."""
    health.note_worker(timezone.now())


def look_on_commit() -> None:
    """Ask a worker to look at the ledger once this transaction is committed. A dead broker delays, never loses."""
    transaction.on_commit(_look, robust=True)


def _look() -> None:
    try:
        tick.apply_async(expires=25)
    except Exception as failure:
        log.warning("could not ask a worker to look; the next tick will: %s", failure)
