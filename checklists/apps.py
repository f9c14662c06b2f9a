from django.apps import AppConfig


class ChecklistsConfig(AppConfig):
    name = "checklists"
    verbose_name = "Checklists"
    default_auto_field = "django.db.models.BigAutoField"
