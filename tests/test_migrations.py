"""The previous code runs on the new schema (docs/upgrading.md): a migration adds, and takes away only a version later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

OURS = {"relcoord", "checklists", "releases"}
# What takes away what no supported version uses any more: "releases.0009_x": "since 1.3 nobody reads it".
CONTRACTIONS: dict[str, str] = {}
HARMLESS = (
    migrations.CreateModel,
    migrations.AddIndex,
    migrations.RemoveIndex,
    migrations.RemoveConstraint,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
    migrations.RunPython,
)


def breaks(app: str, migration: migrations.Migration, before: ProjectState) -> Iterator[str]:
    """What the previous code could not work with."""
    born = {part.name_lower for part in migration.operations if isinstance(part, migrations.CreateModel)}
    for part in migration.operations:
        if getattr(part, "model_name_lower", "") in born or isinstance(part, HARMLESS):
            continue
        if why := _why(app, part, before):
            yield f"{app}.{migration.name}: {part.describe()}: {why}"


def _why(app: str, part: Operation, before: ProjectState) -> str:
    if isinstance(part, migrations.AddField):
        filled = part.field.null or part.field.many_to_many or part.field.db_default is not models.NOT_PROVIDED
        return "" if filled else "the previous code gives it no value: null=True or db_default"
    if isinstance(part, migrations.AlterField):
        old = before.models[app, part.model_name_lower].fields[part.name]
        if type(old) is not type(part.field):
            return "another type"
        if old.null and not part.field.null:
            return "the previous code may leave it empty"
        if (old.max_length or 0) > (part.field.max_length or 0):
            return "the previous code may write more"
        return ""
    return "only what adds is harmless"


def test_every_migration_of_ours_only_adds() -> None:
    loader = MigrationLoader(None)
    later = [
        (app, found)
        for (app, _), found in sorted(loader.disk_migrations.items())
        if app in OURS and not getattr(found, "initial", False)
    ]
    assert len(later) >= 3
    found = [
        words
        for app, migration in later
        if f"{app}.{migration.name}" not in CONTRACTIONS
        for words in breaks(app, migration, loader.project_state((app, migration.name), at_end=False))
    ]
    assert found == [], "split it: add now, take away in a later version, and name that in CONTRACTIONS"


@pytest.mark.parametrize(
    "part",
    [
        migrations.RemoveField("reminder", "smtp_reply"),
        migrations.RenameField("reminder", "smtp_reply", "reply"),
        migrations.AddField("reminder", "tone", models.CharField(max_length=9, default="calm")),
        migrations.AlterField("reminder", "sent_at", models.DateTimeField()),
        migrations.AlterField("reminder", "reason", models.CharField(max_length=30)),
        migrations.AlterField("reminder", "rank", models.BigIntegerField()),
        migrations.DeleteModel("reminder"),
        migrations.AddConstraint("reminder", models.CheckConstraint(condition=models.Q(rank=0), name="none")),
        migrations.RunSQL("DROP TABLE releases_note"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_takes_away_is_found(part: Operation) -> None:
    state = MigrationLoader(None).project_state(("releases", "0001_initial"))
    migration = migrations.Migration("0099_less", "releases")
    migration.operations = [part]
    assert len(list(breaks("releases", migration, state))) == 1


def test_what_adds_is_let_through() -> None:
    state = MigrationLoader(None).project_state(("releases", "0001_initial"))
    migration = migrations.Migration("0099_more", "releases")
    migration.operations = [
        migrations.AddField("reminder", "tone", models.CharField(max_length=9, null=True)),
        migrations.AddField("reminder", "pace", models.IntegerField(db_default=0)),
        migrations.AlterField("reminder", "reason", models.CharField(max_length=900)),
    ]
    assert list(breaks("releases", migration, state)) == []
