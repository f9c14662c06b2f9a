"""Celery, set up from Django's settings: `celery -A relcoord worker`, `celery -A relcoord beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relcoord.settings")

app = Celery("relcoord")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
