"""The group that `checklists.permissions` speaks of stands from the start; an operator puts people into it."""

from typing import Any

from django.db import migrations

EDITORS = "Checklist editors"


def make_group(apps: Any, schema_editor: Any) -> None:
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="checklists", model="template"
    )
    # Permissions are made after the last migration; made here, this one is found there and left alone.
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename="change_template", defaults={"name": "Can change template"}
    )
    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=EDITORS)
    group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("checklists", "0002_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_group, migrations.RunPython.noop)]
