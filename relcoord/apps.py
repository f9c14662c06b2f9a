import logging

from django.apps import AppConfig
from django.conf import settings

from relcoord.lib.masking import mask_tokens


class RelcoordConfig(AppConfig):
    name = "relcoord"
    verbose_name = "relcoord"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        mask_tokens()
        logging.captureWarnings(settings.LOG_FORMAT == "json")  # a warning is a line like all others
