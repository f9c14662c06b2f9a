"""The help page says who may do what, as the table stands."""

import pytest

from releases.permissions import TABLE
from releases.views import guide


def test_every_verb_of_the_permission_table_is_said_in_words():
    assert set(guide.WORDS) == set(TABLE)


def test_a_verb_names_all_who_may():
    rows = dict(guide.permission_rows())
    assert rows["Decide GO or NO-GO"] == "the Release Coordinator"
    assert "the On-call Engineer" in rows["Start a rollback"]


@pytest.mark.django_db
def test_the_help_page_names_keys_shapes_and_rights(client):
    from relcoord.models import User

    client.force_login(
        User.objects.create_user("ada@example.org", "a long pass phrase", name="Ada"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    html = client.get("/help/").content.decode()
    assert all(words in html for words in ("Start a rollback", "Mark an item blocked", "<kbd>j</kbd>", 'id="keyboard"'))
