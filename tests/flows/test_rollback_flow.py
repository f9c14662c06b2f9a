"""A whole rollback over HTTP, as forms without script, and a hotfix that brings the release back on its way."""

from __future__ import annotations

from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from releases.models import Release, Status
from tests.factories import Cast, bring_to, fresh
from tests.web import signed_in, text


def url(name: str, release: Release, *args: object) -> str:
    return reverse(f"releases:{name}", args=[release.key, *args])


def step_by_step(release: Release, cast: Cast, path: str) -> str:
    """From what was seen to the review; returns the words of the page while the end was near."""
    eli, dana = signed_in(cast.eli), signed_in(cast.dana)
    assert eli.post(url("rollback_trigger", release), {"seen": "error rate 4 % on sign-in"}).status_code == 303
    assert dana.post(url("rollback_charge", release, 1)).status_code == 303
    assert dana.post(url("rollback_promise", release, 1), {"minutes": "15"}).status_code == 303
    way = {"severity": "critical", "path": path, "note": "no fix in sight"}
    assert dana.post(url("rollback_assess", release, 1), way).status_code == 303
    row = release.rollbacks.get()
    while (step := row.steps.filter(state="open").exclude(part="review").first()) is not None:
        answer = dana.post(url("rollback_step", release, 1, step.pk), {"note": f"{step.title}: as written"})
        assert answer.status_code == 303, text(answer)
    near = text(dana.get(url("rollback", release)))
    review = {"review_on": str(timezone.localdate() + timedelta(days=3)), "owner": "Ben Osei"}
    assert dana.post(url("rollback_finish", release, 1), review).status_code == 303
    return near


def test_a_release_is_rolled_back_by_forms_alone(release: Release, cast: Cast) -> None:
    deploying = bring_to(release, Status.DEPLOYING)
    near = step_by_step(deploying, cast, "rollback")
    assert "Schedule post-incident review Now, step 6 of 6" in near
    assert "Execute rollback: as written" in near
    ended = fresh(deploying)
    row = ended.rollbacks.get()
    assert (ended.status, row.in_charge, row.review_owner) == (Status.ROLLED_BACK, cast.dana, cast.ben)
    review = ended.action_items.get(source="review")
    assert (review.owner, review.blocks) == (cast.ben, "nothing")
    assert "Post-incident review of rollback 1 Ben Osei" in text(signed_in(cast.cy).get(url("decision", ended)))


def test_a_hotfix_brings_the_release_back_to_where_it_was(release: Release, cast: Cast) -> None:
    deployed = bring_to(release, Status.DEPLOYED)
    step_by_step(deployed, cast, "hotfix")
    assert fresh(deployed).status == Status.DEPLOYED
    words = text(signed_in(cast.ada).get(url("rollback", deployed)))
    assert "Rollback 1: hotfix" in words
    assert "What did you see?" in words  # the next one can start
