"""For operators: everything of a release can be looked at, nothing that a verb guards can be changed here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from releases.models import (
    ActionItem,
    Assignment,
    Ballot,
    CalendarFeed,
    Decision,
    Delegation,
    Event,
    Evidence,
    Heartbeat,
    Hold,
    Invitation,
    Item,
    Note,
    OptOut,
    Override,
    Phase,
    Planning,
    Poll,
    Product,
    Release,
    Reminder,
    Rollback,
    RollbackStep,
    Seat,
    Watch,
)


class LookOnly(admin.ModelAdmin):
    """No adding, changing or deleting: the domain's states change by verbs, which record who and why."""

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> Any:
        """Every column; said here, so that no form has to be made to find them."""
        return [field.name for field in self.opts.get_fields() if field.concrete and not field.auto_created]

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


@admin.register(Release)
class ReleaseAdmin(LookOnly):
    list_display = ("key", "title", "status", "t_zero", "coordinator", "event_sequence")
    list_filter = ("status", "product")
    search_fields = ("key", "title")


@admin.register(Reminder)
class ReminderAdmin(LookOnly):
    list_display = ("kind", "mark", "release", "recipient", "state", "due_at", "sent_at", "attempts")
    list_filter = ("state", "kind")
    search_fields = ("release__key", "recipient__name")


@admin.register(Event)
class EventAdmin(LookOnly):
    list_display = ("release", "sequence", "at", "actor", "action", "object_name")
    list_filter = ("action",)
    search_fields = ("release__key", "actor", "object_name")


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("name", "slug")


for shown in (
    ActionItem,
    Assignment,
    Ballot,
    CalendarFeed,
    Decision,
    Delegation,
    Evidence,
    Heartbeat,
    Hold,
    Invitation,
    Item,
    Note,
    OptOut,
    Override,
    Phase,
    Planning,
    Poll,
    Rollback,
    RollbackStep,
    Seat,
    Watch,
):
    admin.site.register(shown, LookOnly)
