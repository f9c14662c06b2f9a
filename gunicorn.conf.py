"""How gunicorn serves the pages; it reads this file from where it is started.

Its own lines have the form of all others (LOG_FORMAT). Its access log stays off: `relcoord.access` writes a line a
request, with its id, its person and its release.
"""

import gc
from importlib import import_module
from typing import Any

from django.conf import settings

from relcoord.settings import LOGGING

# Loaded once and forked: the processes share what they do not change, and one that is replaced is there at once.
preload_app = True


def when_ready(server: Any) -> None:
    """What is loaded stays: no look for garbage goes over it again, which would take each process a copy of its own."""
    import_module(settings.ROOT_URLCONF)  # with every view, which else the first request of each process would load
    gc.collect()
    gc.freeze()


_as_ours = {"handlers": [], "propagate": True}
_silent = {
    "handlers": [],
    "propagate": False,
    "level": "CRITICAL",
}  # with a logconfig gunicorn takes it for switched on
logconfig_dict = LOGGING | {"loggers": {"gunicorn.error": _as_ours, "gunicorn.access": _silent}}
