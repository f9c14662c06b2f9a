"""What the embedded default stands on: one folder, SQLite and files; nothing to install."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured


def prepare(var: Path) -> None:
    """Make the folder that holds all data, readable by its owner alone."""
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("queue", "queue-control", "outbox"):
            (var / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(_unwritable(var, error)) from None
    if not os.access(var, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(_unwritable(var))


def secret_key(var: Path) -> str:
    """Return the key kept in `var`, made on the first start. Safe when several processes start at once."""
    path = var / "secret_key"
    if not path.exists():
        draft = path.with_name(f"secret_key.{os.getpid()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(50))
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                pass  # another process was first; its key is the one
            finally:
                draft.unlink()
        except OSError as error:
            raise ImproperlyConfigured(_unwritable(var, error)) from None
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(_unwritable(var, error)) from None


def sqlite(var: Path) -> dict[str, Any]:
    """One file, made for several processes: readers never wait, writers queue up for up to 20 s."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(var / "relcoord.sqlite3"),
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def broker_options(var: Path) -> dict[str, Any]:
    """Celery's queue as files: what is put in is what is taken out, so both folders are one."""
    return {
        "data_folder_in": str(var / "queue"),
        "data_folder_out": str(var / "queue"),
        "control_folder": str(var / "queue-control"),
        "polling_interval": 0.25,
    }


def _unwritable(var: Path, error: OSError | None = None) -> str:
    reason = f" ({error.strerror})" if error and error.strerror else ""
    return f"VAR_DIR is {var}, and relcoord cannot write there{reason}. Set VAR_DIR to a folder it may write."
