"""Operators see accounts here and put people into groups; all else is administered on the site's own pages."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from relcoord.models import User


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ("name", "email", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "groups")
    search_fields = ("name", "email")
    readonly_fields = ("name", "email", "is_active", "is_staff", "time_zone", "last_login", "date_joined")
    fields = (*readonly_fields, "is_superuser", "groups")
    filter_horizontal = ("groups",)

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False  # people are invited

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # an account is closed: its person stays in every record
