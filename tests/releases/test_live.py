"""What open pages hear: by events, and by moments that pass without anybody's click."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from releases import amending, gonogo, items, people, ticking, workflow
from releases.live import ALL, Token, changed, soon_at, token, turns
from releases.models import Item, Release, Status
from tests.factories import Cast, ReleaseFactory, bring_to, fresh, item, phase, role, settle_gate, window

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def seen(release: Release, now: datetime | None = None) -> Token:
    return token(fresh(release), now or timezone.now())


def news(release: Release, since: Token, now: datetime | None = None) -> list[str]:
    return changed(fresh(release), since, now or timezone.now())


def test_nothing_changed_is_no_news(release: Release) -> None:
    assert news(release, seen(release)) == []


def test_a_tick_is_news_of_its_row_its_phase_and_what_is_counted(release: Release, cast: Cast) -> None:
    before, row = seen(release), item(release, "Assess risks")

    ticking.set_done(row, True, by=cast.fay)

    assert news(release, before) == sorted([f"item-{row.pk}", "phase-3", "head", "gate", "rail", "people", "activity"])


def test_a_computed_item_that_follows_is_news_too(release: Release, cast: Cast) -> None:
    settle_gate(release)
    ticking.reopen(item(release, "All PRs merged"), by=cast.ada)
    before = seen(release)

    ticking.set_done(item(release, "All PRs merged"), True, by=cast.ada)

    names = news(release, before)
    assert f"item-{item(release, 'Review deployment readiness').pk}" in names
    assert {"phase-1", "phase-3"} <= set(names)


def test_a_change_of_state_is_news_of_the_whole_list(release: Release, cast: Cast) -> None:
    before = seen(release)
    workflow.hold(release, "on-call is tied up", by=cast.ada)

    assert set(news(release, before)) == ALL


def test_rows_changed_in_number_come_as_one_list(cast: Cast) -> None:
    release = ReleaseFactory()
    before = seen(release)
    amending.give_items(Item.objects.of(release).filter(role=None), role("Developers"), by=cast.ada)
    for row in Item.objects.of(release).filter(kind="check", phase__stage__in=["preparation", "decision"]):
        ticking.write_note(release, "looked at", by=cast.ada, item=row)
    assert len([name for name in news(release, before) if name.startswith("item-")]) <= 8

    for row in Item.objects.of(release):
        ticking.write_note(release, "looked at again", by=cast.ada, item=row)
    names = news(release, before)
    assert "list" in names
    assert not [name for name in names if name.startswith(("item-", "phase-"))]


def test_an_added_or_moved_item_changes_the_list(release: Release, cast: Cast) -> None:
    before = seen(release)
    amending.add_item(phase(release, "Staging"), "Warm the caches", by=cast.ada)
    assert "list" in news(release, before)


def test_a_note_on_the_release_is_news_beside_the_checklist_alone(release: Release, cast: Cast) -> None:
    before = seen(release)
    ticking.write_note(release, "Finance asked for a pause", by=cast.ada)
    assert news(release, before) == ["activity", "notes"]


def test_a_ballot_is_news_of_the_poll(release: Release, cast: Cast) -> None:
    bring_to(release, Status.POLLING)
    before = seen(release)
    seat = release.seats.select_related("role").get(role__name="QA Lead")  # type: ignore[attr-defined]
    gonogo.cast_ballot(release, seat, gonogo.Choice.GO, by=cast.ben)

    assert {"poll", "gate", "head"} <= set(news(release, before))
    assert "list" not in news(release, before)


def test_a_new_holder_changes_whose_rows_they_are(release: Release, cast: Cast) -> None:
    before = seen(release)
    people.assign(release, role("QA Lead"), cast.gus, by=cast.ada)
    assert {"list", "people"} <= set(news(release, before))


@time_machine.travel(NOON, tick=False)
def test_a_phase_that_opens_is_news_without_anybodys_click(cast: Cast) -> None:
    release = ReleaseFactory(window=window(timedelta(days=3, minutes=1)))
    drawn = seen(release)

    assert news(release, drawn, NOON + timedelta(seconds=59)) == []
    assert "list" in news(release, drawn, NOON + timedelta(minutes=1))


@time_machine.travel(NOON, tick=False)
def test_an_item_that_turns_late_is_news_without_anybodys_click(cast: Cast) -> None:
    release = ReleaseFactory(window=window(timedelta(days=2)))
    row = amending.set_due(item(release, "All PRs merged"), NOON + timedelta(hours=6), by=cast.ada)
    drawn = seen(release)
    due_soon, late = NOON + timedelta(hours=2), NOON + timedelta(hours=6)

    assert news(release, drawn, due_soon - timedelta(seconds=1)) == []
    assert f"item-{row.pk}" in news(release, drawn, due_soon)
    assert {f"item-{row.pk}", "phase-1", "head", "gate", "rail", "people"} <= set(
        news(release, Token(drawn.sequence, due_soon), late)
    )


@time_machine.travel(NOON, tick=False)
def test_the_minutes_of_a_watch_pass_without_a_click(cast: Cast) -> None:
    release = bring_to(ReleaseFactory(window=window(timedelta(hours=5))), Status.DEPLOYING)
    row = item(release, "Monitor metrics")
    items.start_watch(row, by=cast.ada)
    drawn = seen(release)

    assert news(release, drawn, NOON + timedelta(minutes=14)) == []
    assert news(release, drawn, NOON + timedelta(minutes=15)) == [f"item-{row.pk}", "phase-4"]


@time_machine.travel(NOON, tick=False)
def test_a_moment_that_passes_together_with_an_event_is_not_lost(cast: Cast) -> None:
    release = ReleaseFactory(window=window(timedelta(days=3, minutes=1)))
    drawn = seen(release)
    ticking.write_note(release, "almost there", by=cast.ada)

    names = news(release, drawn, NOON + timedelta(minutes=1))
    assert {"notes", "list"} <= set(names)


@time_machine.travel(NOON, tick=False)
def test_due_soon_begins_four_hours_before_or_in_the_last_quarter_of_a_short_phase(cast: Cast) -> None:
    release = fresh(ReleaseFactory(window=window(timedelta(days=4))))
    readiness, decision = release.plan[0], release.plan[2]

    assert soon_at(readiness, item(release, "All PRs merged")) == readiness.due_at - timedelta(hours=4)  # type: ignore[operator]
    assert soon_at(decision, item(release, "Assess risks")) == release.t_zero - timedelta(hours=1)


@pytest.mark.parametrize("text", ["", "x", "7", "7.x", "7.", "-1.5", "9" * 40 + ".1", "1." + "9" * 20])
def test_a_token_of_nonsense_is_answered_with_everything(release: Release, text: str) -> None:
    assert Token.read(text) is None
    assert set(changed(fresh(release), Token.read(text), timezone.now())) == ALL


def test_a_token_of_another_time_is_answered_with_everything(release: Release) -> None:
    ahead = Token(10_000, timezone.now())
    assert set(news(release, ahead)) == ALL


def test_the_moments_of_one_history_are_read_once(release: Release, django_assert_num_queries: object) -> None:
    turns(fresh(release))
    quiet = fresh(release)
    with django_assert_num_queries(0):  # type: ignore[operator]
        turns(quiet)


def test_the_address_answers_204_or_what_changed(release: Release, cast: Cast, client: Client) -> None:
    client.force_login(cast.cy)
    at = f"/r/{release.key}/live/?token={seen(release)}"

    assert client.get(at).status_code == 204
    ticking.set_done(item(release, "Assess risks"), True, by=cast.fay)
    answer = client.get(at)

    assert answer.status_code == 200
    told = answer.json()
    assert "head" in told["changed"]
    assert client.get(f"/r/{release.key}/live/?token={told['token']}").status_code == 204


def test_the_address_reads_little_when_nothing_is_new(
    release: Release, cast: Cast, client: Client, django_assert_max_num_queries: object
) -> None:
    client.force_login(cast.ben)
    at = f"/r/{release.key}/live/?token={seen(release)}"
    client.get(at)
    with django_assert_max_num_queries(3):  # type: ignore[operator]
        assert client.get(at).status_code == 204


def test_a_moment_that_passes_ends_the_quiet_without_an_event(release: Release, cast: Cast, client: Client) -> None:
    client.force_login(cast.ben)
    at = f"/r/{release.key}/live/?token={seen(release)}"
    first, second = client.get(at), client.get(at)  # one reads the moments, the other finds them kept
    assert first.status_code == second.status_code == 204
    turn = int(second.headers["X-Live-Next"])
    assert turn == int(first.headers["X-Live-Next"])

    with time_machine.travel(turn / 1000 + 1, tick=False):
        client.force_login(cast.ben)
        answer = client.get(at)
    assert answer.status_code == 200
    assert "head" in answer.json()["changed"]
    assert int(answer.headers["X-Live-Next"]) > turn


def test_strangers_to_a_restricted_release_hear_nothing(cast: Cast, client: Client) -> None:
    release = ReleaseFactory(restricted=True)
    at = f"/r/{release.key}/live/?token={seen(release)}"
    for person, status in ((cast.ben, 204), (cast.ben, 204), (cast.cy, 404)):  # also when all it takes is kept
        client.force_login(person)
        assert client.get(at).status_code == status
    assert client.get(f"/r/{release.key}/live/").status_code == 404
    assert client.get(f"/r/{release.key}/parts/gate/").status_code == 404


@pytest.mark.parametrize("name", ["head", "gate", "rail", "list", "people", "activity", "notes", "phase-2"])
def test_every_part_comes_alone_as_it_stands_on_the_page(
    release: Release, cast: Cast, client: Client, name: str
) -> None:
    client.force_login(cast.ada)
    part = client.get(f"/r/{release.key}/parts/{name}/", headers={"HX-Request": "true"})

    assert part.status_code == 200
    assert "<html" not in part.content.decode()
    wanted = "phase-2-count" if name == "phase-2" else name
    assert f'id="{wanted}"' in part.content.decode()
    assert f"live:{name} from:body" in part.content.decode()


def test_a_part_that_does_not_exist_is_404(release: Release, cast: Cast, client: Client) -> None:
    client.force_login(cast.ada)
    assert client.get(f"/r/{release.key}/parts/phase-9/").status_code == 404
    assert client.get(f"/r/{release.key}/parts/secrets/").status_code == 404
