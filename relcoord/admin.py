"""Operators see accounts here; people are invited and administered on the site's own pages."""

from django.contrib import admin

from relcoord.models import User


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ("name", "email", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("name", "email")
    fields = (
        "name",
        "email",
        "is_active",
        "is_staff",
        "is_superuser",
        "groups",
        "time_zone",
        "last_login",
        "date_joined",
    )
    readonly_fields = ("last_login", "date_joined")
