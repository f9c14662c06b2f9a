from django.apps import AppConfig


class RelcoordConfig(AppConfig):
    name = "relcoord"
    verbose_name = "relcoord"
    default_auto_field = "django.db.models.BigAutoField"
