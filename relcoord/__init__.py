"""The project: settings, wiring and the user model."""

import gc

from relcoord.celery import app as celery_app

gc.set_threshold(20_000, 20, 20)  # of 700: a start makes much and drops little, and so does a page or a mail

__all__ = ["celery_app"]
__version__ = "1.0.0"
