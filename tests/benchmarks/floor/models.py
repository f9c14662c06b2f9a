"""Three tables: a release, its items, its history."""

from django.conf import settings
from django.db import models


class Release(models.Model):  # noqa: DJ008 - shown nowhere
    key = models.CharField(max_length=40, unique=True)
    title = models.CharField(max_length=120)
    status = models.CharField(max_length=16)
    t_zero = models.DateTimeField(db_index=True)
    window_end = models.DateTimeField()
    coordinator = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT)
    revision = models.PositiveIntegerField(default=0)

    class Meta:
        app_label = "floor"


class Item(models.Model):  # noqa: DJ008 - shown nowhere
    release = models.ForeignKey(Release, models.CASCADE, related_name="items")
    phase = models.CharField(max_length=80)
    position = models.PositiveIntegerField()
    title = models.CharField(max_length=300)
    guidance = models.TextField()
    role = models.CharField(max_length=80)
    due_at = models.DateTimeField()
    state = models.CharField(max_length=16, default="open")
    state_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True)
    state_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        app_label = "floor"
        ordering = ["position"]


class History(models.Model):  # noqa: DJ008 - shown nowhere
    release = models.ForeignKey(Release, models.CASCADE, related_name="history")
    item = models.ForeignKey(Item, models.CASCADE)
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT)
    action = models.CharField(max_length=60)
    data = models.JSONField()

    class Meta:
        app_label = "floor"
