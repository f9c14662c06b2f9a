"""The help page: the idea, the keys, and the permission table as it stands."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from relcoord.lib.verbs import needs
from releases.permissions import TABLE, Standing

# The verbs of the table as a reader says them; a test holds both to the same set.
WORDS: Final = {
    "view": "See releases that are not restricted",
    "own_account": "Change one's own settings and absences",
    "create_release": "Plan a release",
    "edit_release": "Change a release's title, links and text",
    "assign": "Give people their roles",
    "invite": "Invite people who have no account yet",
    "transfer": "Hand the release to another coordinator",
    "take_over": "Take over from a coordinator nobody can reach",
    "administer": "Administer people, roles and products",
    "tick": "Mark an item done",
    "sign_off": "Sign off, in person",
    "block": "Mark an item blocked",
    "not_applicable": "Mark a conditional item not applicable",
    "waive": "Waive a required item",
    "reopen": "Open an item again",
    "add_evidence": "Add evidence",
    "edit_items": "Add, change and move items of a running release",
    "note": "Write a note",
    "open_poll": "Open the go/no-go poll",
    "vote": "Answer the poll for a seat",
    "record_spoken": "Record an answer spoken in the meeting",
    "decide": "Decide GO or NO-GO",
    "withdraw": "Withdraw a poll or a GO",
    "settle_action": "Settle an action item",
    "waive_action": "Waive an action item",
    "hold": "Hold the clock",
    "resume": "Resume after a hold",
    "reschedule": "Move the window",
    "cancel": "Cancel the release",
    "start": "Start the deployment",
    "finish": "Finish the deployment",
    "close": "Close the release",
    "trigger_rollback": "Start a rollback",
    "run_rollback": "Carry out the rollback's steps",
    "send_now": "Send a reminder now",
}


def permission_rows() -> list[tuple[str, str]]:
    """(what, who may) in the table's order; who in the order of `Standing`."""
    return [
        (WORDS[verb], ", ".join(standing.value for standing in Standing if standing in allowed))
        for verb, allowed in TABLE.items()
    ]


@needs("view")
@require_safe
def help_page(request: HttpRequest) -> HttpResponse:
    return render(request, "help/help.html", {"permissions": permission_rows()})
