"""The environment reader: what is wrong is named, and how it would be right."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from relcoord.env import Environment

GOOD_SECRET = "0123456789abcdefghijklmnopqrstuvwxyz" * 2


def env(**variables: str) -> Environment:
    return Environment(variables)


# Where a value comes from


def test_a_missing_value_is_named_with_both_ways_to_give_it() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY is not set.*SECRET_KEY_FILE"):
        env().text("SECRET_KEY")


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    assert env(SECRET_KEY_FILE=str(tmp_path / "key")).text("SECRET_KEY") == "from the file"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY_FILE is .*missing: No such file"):
        env(SECRET_KEY_FILE=str(tmp_path / "missing")).text("SECRET_KEY", default="unused")


def test_a_value_and_a_file_with_it_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY and SECRET_KEY_FILE are both set"):
        env(SECRET_KEY="one", SECRET_KEY_FILE=str(tmp_path / "two")).text("SECRET_KEY")


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_value_counts_as_not_given(empty: str) -> None:
    assert not env(REDIS_URL=empty).given("REDIS_URL")
    assert env(REDIS_URL=empty).text("REDIS_URL", default="the default") == "the default"


# One value at a time


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("1", True), ("TRUE", True), ("off", False), ("no", False)])
def test_a_flag_is_yes_or_no(text: str, value: bool) -> None:
    assert env(DEBUG=text).flag("DEBUG", default=not value) is value


def test_a_flag_that_is_neither_is_refused_rather_than_guessed() -> None:
    with pytest.raises(ImproperlyConfigured, match="DEBUG is 'maybe'; it can be yes or no"):
        env(DEBUG="maybe").flag("DEBUG", default=False)


@pytest.mark.parametrize("text", ["0", "65536", "http", "80.5"])
def test_a_number_outside_its_span_is_refused(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="PORT is .* whole number from 1 to 65535"):
        env(PORT=text).number("PORT", default=8000, smallest=1, largest=65535)


def test_names_are_divided_by_commas() -> None:
    assert env(ALLOWED_HOSTS="a.example, b.example,").names("ALLOWED_HOSTS") == ["a.example", "b.example"]


@pytest.mark.parametrize("text", ["short", "a" * 60, "change-me-" + GOOD_SECRET, "django-insecure-" + GOOD_SECRET])
def test_a_secret_that_can_be_guessed_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="^SECRET_KEY") as refusal:
        env(SECRET_KEY=text).secret("SECRET_KEY")
    assert text not in str(refusal.value)


def test_a_time_zone_must_be_one() -> None:
    assert env(TIME_ZONE="Europe/Berlin").time_zone("TIME_ZONE", default="UTC") == "Europe/Berlin"
    with pytest.raises(ImproperlyConfigured, match="TIME_ZONE is 'Mars/Olympus', which is no time zone"):
        env(TIME_ZONE="Mars/Olympus").time_zone("TIME_ZONE", default="UTC")


@pytest.mark.parametrize("text", ["releases.example.com", "ftp://releases.example.com", "https://example.com/releases"])
def test_a_site_address_that_people_could_not_open_is_refused(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="SITE_URL"):
        env(SITE_URL=text).site_url("SITE_URL", secure=False)


def test_the_site_is_https_except_on_this_machine() -> None:
    with pytest.raises(ImproperlyConfigured, match="must begin with https"):
        env(SITE_URL="http://releases.example.com").site_url("SITE_URL", secure=True)
    assert env(SITE_URL="http://localhost:8000/").site_url("SITE_URL", secure=True) == "http://localhost:8000"


# Databases, brokers, mail servers


def test_a_database_url_becomes_django_settings() -> None:
    url = "postgresql://release%40team:p%2Fw@db.example:5433/relcoord?sslmode=require"
    assert env(DATABASE_URL=url).database("DATABASE_URL") == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "relcoord",
        "USER": "release@team",
        "PASSWORD": "p/w",
        "HOST": "db.example",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "require"},
    }


def test_a_database_may_be_behind_a_socket() -> None:
    settings = env(DATABASE_URL="postgresql://me@/relcoord?host=/run/postgresql").database("DATABASE_URL")
    assert (settings["HOST"], settings["PORT"], settings["OPTIONS"]) == ("/run/postgresql", "", {})


@pytest.mark.parametrize(
    "url",
    ["mysql://me:hidden@db/relcoord", "postgresql://me:hidden@db/", "postgresql://me:hidden@db:99999/x", "hidden"],
)
def test_a_wrong_database_url_is_named_and_its_password_is_not(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="^DATABASE_URL") as refusal:
        env(DATABASE_URL=url).database("DATABASE_URL")
    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "port", "starttls", "tls"),
    [
        ("smtp://mail.example", 587, True, False),
        ("smtps://mail.example", 465, False, True),
        ("smtp+plain://mail.example:1025", 1025, False, False),
    ],
)
def test_the_scheme_of_a_mail_server_says_how_it_is_encrypted(url: str, port: int, starttls: bool, tls: bool) -> None:
    settings = env(EMAIL_URL=url).email("EMAIL_URL")
    assert (settings["EMAIL_PORT"], settings["EMAIL_USE_TLS"], settings["EMAIL_USE_SSL"]) == (port, starttls, tls)


@pytest.mark.parametrize("url", ["mail.example", "smtp://", "imap://mail.example", "smtp://mail.example:none"])
def test_a_wrong_mail_server_is_named(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="^EMAIL_URL"):
        env(EMAIL_URL=url).email("EMAIL_URL")


def test_a_broker_must_be_redis() -> None:
    assert env(REDIS_URL="rediss://cache:6380/1").redis("REDIS_URL") == "rediss://cache:6380/1"
    with pytest.raises(ImproperlyConfigured, match="^REDIS_URL"):
        env(REDIS_URL="amqp://rabbit").redis("REDIS_URL")
