"""Six rules of the ledger, each left out on purpose, to show that the simulation would see it. Two ways for one of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from django.core.mail import EmailMultiAlternatives

from relcoord.lib.mail import Courier, Undelivered
from releases import ledger, reminders
from releases.models import Release, Reminder


def no_catch_up_window() -> AbstractContextManager[Any]:
    """A mark is sent in its own minute or never."""
    real = reminders.marks

    def marks(release: Release) -> list[reminders.Mark]:
        minute = timedelta(minutes=1)
        return [replace(mark, not_after=min(mark.not_after, mark.due_at + minute)) for mark in real(release)]

    return mock.patch.object(reminders, "marks", marks)


def window_without_end() -> AbstractContextManager[Any]:
    """A mark is worth sending until T-0, whatever came after it."""
    real = reminders.marks

    def marks(release: Release) -> list[reminders.Mark]:
        return [replace(mark, not_after=release.t_zero) for mark in real(release)]

    return mock.patch.object(reminders, "marks", marks)


def no_rank_guard() -> AbstractContextManager[Any]:
    """Nobody looks whether a nearer mark has gone out."""
    real = reminders._mark_refusal

    def guard(row: Reminder, release: Release) -> reminders.Refusal | None:
        ends = real(row, release)
        return None if ends and ends[1] == "a later mark has gone out" else ends

    return mock.patch.object(reminders, "_mark_refusal", guard)


def no_version_check() -> AbstractContextManager[Any]:
    """Nobody looks whether the release moved since the row was planned."""
    real = reminders.outdated

    def outdated(row: Reminder, release: Release, now: datetime | None = None) -> reminders.Refusal | None:
        ends = real(row, release, now)
        return None if ends and ends[1] == "the release moved" else ends

    return mock.patch.object(reminders, "outdated", outdated)


def mark_before_send() -> AbstractContextManager[Any]:
    """The row says sent before the mail is handed over."""

    def hand_over(row: Reminder, message: EmailMultiAlternatives, courier: Courier, clock: ledger.Clock) -> bool:
        ledger._sent(row, str(message.subject), "", clock())
        with suppress(Undelivered):
            courier.hand_over(message)
        return True

    return mock.patch.object(ledger, "_hand_over", hand_over)


def no_lease_sweep() -> AbstractContextManager[Any]:
    """A row whose sender died stays leased."""
    return mock.patch.object(ledger, "free_leases", mock.Mock(__name__="free_leases", return_value=0))


def no_renewal() -> AbstractContextManager[Any]:
    """A sender that was stopped goes on without looking whether the row is still its own."""

    def renew(row: Reminder, now: datetime) -> bool:
        return True

    return mock.patch.multiple(ledger, _renew=renew, _renew_unchanged=renew)


Fault = Callable[[], AbstractContextManager[Any]]

FAULTS: tuple[Fault, ...] = (
    no_catch_up_window,
    window_without_end,
    no_rank_guard,
    no_version_check,
    mark_before_send,
    no_lease_sweep,
    no_renewal,
)
