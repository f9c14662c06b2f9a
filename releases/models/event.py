"""Append-only history, hash-chained per release (RELIABILITY: "History")."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from releases.models.release import Release


class Event(models.Model):
    """One change, written in its transaction. The actor is kept as text: history outlives accounts.

    `before` and `after` hold what changed of `object_type` `object_id`; `data` what a reader needs beside.
    """

    release = models.ForeignKey(Release, models.PROTECT, related_name="events")
    sequence = models.PositiveIntegerField()
    at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=120)
    role = models.CharField(max_length=300, blank=True)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=40)
    object_name = models.CharField(max_length=300)
    before: models.JSONField[Any, Any] = models.JSONField()
    after: models.JSONField[Any, Any] = models.JSONField()
    data: models.JSONField[Any, Any] = models.JSONField()
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["release", "sequence"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["release", "sequence"], name="event_sequence_once")]

    def __str__(self) -> str:
        return f"{self.sequence} {self.action}"
