"""How gunicorn serves the pages; it reads this file from where it is started.

Its own lines have the form of all others (LOG_FORMAT). Its access log stays off: `relcoord.access` writes a line a
request, with its id, its person and its release.
"""

import gc
from typing import Any

from relcoord.settings import LOGGING

_as_ours = {"handlers": [], "propagate": True}
_silent = {
    "handlers": [],
    "propagate": False,
    "level": "CRITICAL",
}  # with a logconfig gunicorn takes it for switched on
logconfig_dict = LOGGING | {"loggers": {"gunicorn.error": _as_ours, "gunicorn.access": _silent}}


def post_worker_init(worker: Any) -> None:
    """What was loaded stays: no look for garbage goes over it again, nor comes every 700 objects of a page."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
