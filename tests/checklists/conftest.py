"""The people of the checklist pages: Ada edits, Cy only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from checklists.editing import save_template
from checklists.models import TemplateVersion
from tests.factories import SMALL, UserFactory
from tests.noon import from_noon_on

if TYPE_CHECKING:
    from django.test import Client

__all__ = ["ada", "as_ada", "ben", "cy", "from_noon_on", "small"]


@pytest.fixture
def ada(db: None) -> Any:
    return UserFactory(name="Ada Lovelace", is_staff=True)


@pytest.fixture
def ben(db: None) -> Any:
    return UserFactory(name="Ben Okri", is_staff=True)


@pytest.fixture
def cy(db: None) -> Any:
    return UserFactory(name="Cy Stranger")


@pytest.fixture
def small(ada: Any) -> TemplateVersion:
    return save_template(SMALL, by=ada)


@pytest.fixture
def as_ada(client: Client, ada: Any) -> Client:
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    return client
