from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ReleasesConfig(AppConfig):
    name = "releases"
    verbose_name = "Releases"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from releases.models.guard import put_back_guards

        # Not domain work: SQLite silently loses the triggers of a table that a migration rewrites.
        post_migrate.connect(put_back_guards, sender=self, dispatch_uid="releases.guard")
