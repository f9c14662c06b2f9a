"""What docker-compose.yml promises of every service, whichever they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
ONCE = {"migrate"}  # runs and ends


def test_the_services_are_those_of_the_plan() -> None:
    everyday = {"postgres", "redis", "migrate", "web", "live", "worker", "beat", "reminders", "caddy"}
    assert {name for name, one in SERVICES.items() if "profiles" not in one} == everyday
    assert SERVICES["mail"]["profiles"] == ["try"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_service_may_do_no_more_than_it_must_and_is_seen_to_be_well(name: str) -> None:
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in one
    assert name in ONCE or one["restart"] == "unless-stopped"
    assert name in ONCE or one["healthcheck"]["test"]
    if one["image"].startswith("relcoord:"):
        assert "cap_add" not in one, "ours begins as nobody"
    conditions = {other: how["condition"] for other, how in one.get("depends_on", {}).items()}
    wanted = {other: "service_completed_successfully" if other in ONCE else "service_healthy" for other in conditions}
    assert conditions == wanted


def test_only_the_door_and_the_mail_catcher_are_open_to_the_outside() -> None:
    ports = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert ports == {"caddy": ["80:80", "443:443", "443:443/udp"], "mail": ["127.0.0.1:8025:8025"]}  # UDP: HTTP/3


def test_the_image_is_built_once_and_the_door_stays_open_while_the_rest_is_replaced() -> None:
    assert {name for name, one in SERVICES.items() if "build" in one} == {"migrate"}
    assert "depends_on" not in SERVICES["caddy"]


def test_redis_needs_no_way_down_from_root() -> None:
    """Its image's own way, `setpriv --bounding-set=-all`, fails without SETPCAP, and the container starts for ever."""
    assert SERVICES["redis"]["user"] == "redis"
    assert "cap_add" not in SERVICES["redis"]


def test_the_image_runs_as_nobody_in_particular_and_has_no_build_tools() -> None:
    last = (ROOT / "Dockerfile").read_text().split("\nFROM ")[-1]
    assert re.search(r"^USER 10001$", last, re.MULTILINE)
    assert "apt-get" not in last
    assert "VOLUME" not in last, "it would give each container a disk to write to"


def test_every_variable_is_in_the_example() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text() + (ROOT / "Caddyfile").read_text()))
    asked |= set(re.findall(r"\{\$(\w+)", (ROOT / "Caddyfile").read_text()))
    example = (ROOT / ".env.example").read_text()
    assert {name for name in asked if not re.search(rf"^(# )?{name}=", example, re.MULTILINE)} == set()


def test_the_image_holds_what_its_programs_read() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept >= {"manage.py", "gunicorn.conf.py", "relcoord", "checklists", "releases", "templates", "static"}
