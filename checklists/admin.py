from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from checklists.models import Role, Template, TemplateVersion


class LooksOnly(admin.ModelAdmin):
    """Versions never change, and every change has a page of its own: the admin only looks."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Template)
class TemplateAdmin(LooksOnly):
    list_display = ("name", "slug", "retired_at")
    search_fields = ("name",)


@admin.register(TemplateVersion)
class TemplateVersionAdmin(LooksOnly):
    list_display = ("template", "number", "created_at", "created_by", "change_note")
    list_select_related = ("template", "created_by")


@admin.register(Role)
class RoleAdmin(admin.ModelAdmin):
    """The one thing mended here: the name or the duty of a role. Its slug is what holds it together."""

    list_display = ("name", "slug", "responsibility")
    readonly_fields = ("slug",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
