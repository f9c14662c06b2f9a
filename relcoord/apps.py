from django.apps import AppConfig

from relcoord.lib.masking import mask_tokens


class RelcoordConfig(AppConfig):
    name = "relcoord"
    verbose_name = "relcoord"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        mask_tokens()
