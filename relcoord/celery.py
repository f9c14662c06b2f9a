"""Celery, set up from Django's settings: `celery -A relcoord worker`, `celery -A relcoord beat`."""

import os
from datetime import timedelta
from typing import Any

from celery import Celery
from celery.signals import beat_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relcoord.settings")

app = Celery("relcoord")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@beat_init.connect
def begin_at_once(sender: Any, **_: Any) -> None:
    """A beat that starts anew would first wait for an interval, and what is due with it; the canary would look lost."""
    for entry in sender.scheduler.schedule.values():
        entry.last_run_at -= timedelta(days=1)
