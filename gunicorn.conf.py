"""gunicorn's own lines, in the form of all others (LOG_FORMAT); gunicorn reads this file from where it is started.

Its access log stays off: `relcoord.access` writes a line a request, with its id, its person and its release.
"""

from relcoord.settings import LOGGING

_as_ours = {"handlers": [], "propagate": True}
_silent = {
    "handlers": [],
    "propagate": False,
    "level": "CRITICAL",
}  # with a logconfig gunicorn takes it for switched on
logconfig_dict = LOGGING | {"loggers": {"gunicorn.error": _as_ours, "gunicorn.access": _silent}}
