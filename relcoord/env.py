"""Read the environment: typed, and with errors that name the variable.

Every reader also accepts `NAME_FILE`, the path of a file that holds the value,
which is how container platforms hand over secrets. An empty value counts as not given.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured

YES = {"1", "true", "yes", "on"}
NO = {"0", "false", "no", "off"}
SHORTEST_SECRET = 50
FEWEST_DIFFERENT_CHARACTERS = 5


class Environment:
    """The variables of one process. With `default=None` a variable must be given."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.names_read: set[str] = set()

    def given(self, name: str) -> bool:
        """Whether `name` or `name_FILE` has a value."""
        return self._find(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        value = self._find(name)
        if value is None:
            value = default
        if value is None:
            raise ImproperlyConfigured(f"{name} is not set. Set {name}, or {name}_FILE to the path of a file with it.")
        return value

    def secret(self, name: str, default: str | None = None) -> str:
        """A text nobody can guess: at least 50 characters, at least 5 of them different."""
        value = self.text(name, default)
        if len(value) < SHORTEST_SECRET or len(set(value)) < FEWEST_DIFFERENT_CHARACTERS:
            raise ImproperlyConfigured(
                f"{name} is too easy to guess: it needs at least {SHORTEST_SECRET} random characters. "
                'This makes one: python3 -c "import secrets; print(secrets.token_urlsafe(50))"'
            )
        if value.startswith(("change", "django-insecure")):
            raise ImproperlyConfigured(f"{name} still has its example value. Set it to random characters of your own.")
        return value

    def choice(self, name: str, *choices: str, default: str) -> str:
        """One of a few words, in any case."""
        value = self.text(name, default).lower()
        if value not in choices:
            raise ImproperlyConfigured(f"{name} is {value!r}; it can be {' or '.join(choices)}.")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.text(name, default="yes" if default else "no").lower()
        if value not in YES | NO:
            raise ImproperlyConfigured(f"{name} is {value!r}; it can be yes or no.")
        return value in YES

    def number(self, name: str, *, default: int, smallest: int = 0, largest: int | None = None) -> int:
        """A whole number from `smallest` to `largest`, both allowed."""
        value = self.text(name, default=str(default))
        span = f"from {smallest} to {largest}" if largest is not None else f"of {smallest} or more"
        try:
            number = int(value)
        except ValueError:
            number = smallest - 1
        if number < smallest or (largest is not None and number > largest):
            raise ImproperlyConfigured(f"{name} is {value!r}; it must be a whole number {span}.")
        return number

    def names(self, name: str, default: str | None = None) -> list[str]:
        """Several values, divided by commas."""
        values = [part.strip() for part in self.text(name, default).split(",")]
        return [value for value in values if value]

    def time_zone(self, name: str, default: str) -> str:
        value = self.text(name, default)
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ImproperlyConfigured(f"{name} is {value!r}, which is no time zone; Europe/Berlin is one.") from None
        return value

    def directory(self, name: str, default: Path) -> Path:
        """An absolute path; it need not exist."""
        return Path(self.text(name, default=str(default))).expanduser().absolute()

    def site_url(self, name: str, default: str | None = None, *, secure: bool) -> str:
        """The address people open, without a slash at its end.

        With `secure`, it must be https, except on this machine itself.
        """
        value = self.text(name, default).rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path:
            raise ImproperlyConfigured(f"{name} is {value!r}; it must look like https://releases.example.com")
        if secure and parts.scheme != "https" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise ImproperlyConfigured(f"{name} is {value!r}; it must begin with https:// (http only on localhost).")
        return value

    def redis(self, name: str, default: str | None = None) -> str:
        value = self.text(name, default)
        if value and urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
            raise ImproperlyConfigured(f"{name} must look like redis://host:6379/0")
        return value

    def database(self, name: str) -> dict[str, Any]:
        """Django's settings for `postgresql://user:password@host:5432/name?sslmode=require`."""
        # The value holds a password, so no message repeats it.
        parts = self._split_url(name, {"postgres", "postgresql"}, "postgresql://user:password@host:5432/name")
        query = dict(parse_qsl(parts.query))
        database = unquote(parts.path.removeprefix("/"))
        if not database:
            raise ImproperlyConfigured(f"{name} names no database; it must end like .../relcoord")
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database,
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": query.pop("host", parts.hostname or ""),
            "PORT": query.pop("port", str(parts.port or "")),
            "OPTIONS": query,
        }

    def email(self, name: str) -> dict[str, Any]:
        """Django's EMAIL_* settings for `smtp://user:password@host:587`.

        `smtp` speaks STARTTLS, `smtps` TLS from the start, `smtp+plain` neither: for a
        mail server on the same machine or network.
        """
        allowed = {"smtp", "smtps", "smtp+plain"}
        parts = self._split_url(name, allowed, "smtp://user:password@mail.example.com:587")
        if not parts.hostname:
            raise ImproperlyConfigured(f"{name} names no host; it must look like smtp://mail.example.com:587")
        ports = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": parts.hostname,
            "EMAIL_PORT": parts.port or ports[parts.scheme],
            "EMAIL_HOST_USER": unquote(parts.username or ""),
            "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
            "EMAIL_USE_TLS": parts.scheme == "smtp",
            "EMAIL_USE_SSL": parts.scheme == "smtps",
        }

    def _split_url(self, name: str, schemes: set[str], example: str) -> Any:
        try:
            parts = urlsplit(self.text(name))
            valid = parts.scheme in schemes and (parts.port is None or parts.port > 0)
        except ValueError:
            valid = False
        if not valid:
            raise ImproperlyConfigured(f"{name} cannot be read; it must look like {example}")
        return parts

    def _find(self, name: str) -> str | None:
        self.names_read.add(name)
        file_name = self._variables.get(f"{name}_FILE", "").strip()
        value = self._variables.get(name, "").strip()
        if value and file_name:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; keep one of them.")
        if file_name:
            try:
                value = Path(file_name).read_text().strip()
            except OSError as error:
                reason = error.strerror or "it cannot be read"
                raise ImproperlyConfigured(f"{name}_FILE is {file_name}: {reason}.") from None
        return value or None
