"""The stage the tests play on is the one they believe in."""

import socket

import pytest
from django.db import connection

from tests.plugin import database


def test_the_database_is_the_one_of_this_round(db: None) -> None:
    assert connection.vendor == {"postgres": "postgresql", "sqlite": "sqlite"}[database()]


def test_no_test_reaches_the_outside_world() -> None:
    with socket.socket() as probe, pytest.raises(RuntimeError, match="stay on this machine"):
        probe.connect(("192.0.2.1", 80))
