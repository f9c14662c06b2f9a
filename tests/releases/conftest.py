"""The cast and a small release, for every test of the run."""

from __future__ import annotations

import pytest

from releases.models import Release
from tests.factories import Cast, ReleaseFactory
from tests.noon import from_noon_on

__all__ = ["cast", "from_noon_on", "release"]


@pytest.fixture
def cast(db: None) -> Cast:
    """Ada leads, Ben is QA, Dana the Project Manager, Eli on call; Cy is on nothing, Sam is staff."""
    return Cast()


@pytest.fixture
def release(cast: Cast) -> Release:
    """The small checklist, preparing, T-0 in three days and an hour, everybody in their role."""
    return ReleaseFactory(key="PAY-4.2")
