"""What `dev.py bench` measures without a floor, at a tiny size: each measure runs and reports what it should.

No absolute times: this machine is shared. What is counted is exact. The embedded default's start is in
tests/test_setup.py; it is not started here again.
"""

from __future__ import annotations

from collections import Counter

import pytest

from releases.models import Release
from tests.benchmarks import bench, crowd, fill, footprint, reminders, watchers
from tests.benchmarks.pace import Answer
from tests.benchmarks.servers import Live, web
from tests.factories import ReleaseFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


def test_a_crowd_on_real_servers_is_measured_and_nothing_of_it_is_lost(service_environment: dict[str, str]) -> None:
    environment = service_environment | {"DJANGO_SETTINGS_MODULE": "tests.settings"}  # no styles need be collected
    with web(environment, workers=1) as site, Live(environment) as live:
        heard = watchers.ticks(site, live, watchers=5, times=3)
        assert (len(heard.seconds), heard.lost) == (3, 0)
        assert all(until > 0 for until in heard.seconds)

        many = watchers.very_many(live, watchers=40, times=2)
        assert (len(many.seconds), many.lost, many.gone, many.connections) == (2, 0, 0, 0)
        assert many.threads[0] == many.threads[1] > 0

        mixed = crowd.mixed(site, live, people=6, releases=2, rate=20, seconds=2)
        assert (len(mixed.answers), mixed.errors, mixed.lost) == (40, [], 0)
        assert {answer.kind for answer in mixed.answers} >= {"page", "poll", "tick"}

        herd = crowd.herd(site, ticks=6, pages=6, within=1, people=3)
        kinds = Counter((answer.kind, answer.status) for answer in herd.answers)
        assert kinds == {("tick", 200): 6, ("page", 200): 6}
        assert (herd.lost, herd.stale, herd.unseen) == (0, 0, 0)

        held = footprint.remembered({"web": site, "live": live})
        assert 0 < held.programs["live"].pss <= held.programs["live"].rss
    for found in (heard, many, mixed, herd, held):
        assert all(len(row) == 3 for row in found.rows())


def test_one_worker_hands_over_each_mail_once(service_environment: dict[str, str]) -> None:
    found = reminders.mailed(service_environment, mails=12, patience=30)
    assert (found.due, found.came, found.copies, found.sent) == (12, 12, 0, 12), found.otherwise
    assert found.rate > 0


def test_the_scans_of_the_ledger_are_timed_by_the_server_and_by_the_client() -> None:
    found = reminders.scanned(future=100, past=900, times=3)
    assert len(found.rows()) == 4
    assert all(found.by_server[name] > 0 and found.by_client[name] > 0 for name in found.by_server)


def test_copied_releases_have_all_rows_of_those_they_are_copies_of() -> None:
    for _ in range(2):
        ReleaseFactory()
    assert fill.more(5) == {"copied": 5}
    assert fill.more(1) == {"copied": 1}
    rows = ("phases", "phases__items", "assignments", "seats", "events")
    counts = {release.pk: [release_rows(release, name) for name in rows] for release in Release.objects.all()}
    assert len(counts) == 8
    first, second = sorted(counts)[:2]
    assert all(found in (counts[first], counts[second]) for found in counts.values())
    assert all(counts[first])


def release_rows(release: Release, name: str) -> int:
    return Release.objects.filter(pk=release.pk).values_list(name).count()


def test_a_lost_write_a_stale_page_and_an_error_are_told() -> None:
    def answer(kind: str, began: float, sequence: int, status: int = 200) -> Answer:
        head = b'HTTP/1.1 200 OK\r\nHX-Trigger: {"live:token": "%d.1"}\r\n\r\n' % sequence
        return Answer(kind, began, began, began + 1, status, head, b'data-live-url="/r/X/live/?token=%d.1"' % sequence)

    herd = crowd.Herd(2, 3, 1.0)
    herd.answers = [answer("tick", 0, 5), answer("page", 0.5, 4), answer("page", 1.5, 4), answer("page", 2, 5)]
    crowd._seen(herd)
    assert (herd.stale, herd.visible) == (1, [3.0]), "the page of 1.5 was asked for after the tick's answer"
    mixed = crowd.Mixed(1, 1, 1, 1, [answer("page", 0, 0), answer("page", 0, 0, 500)], 0, 0.0)
    assert len(mixed.errors) == 1


def test_each_part_of_the_report_is_replaced_alone() -> None:
    def written(report: str, name: str, text: str) -> str:
        return bench.replaced(report, text, bench.BEGIN_PART.format(name), bench.END_PART.format(name))

    both = written(written("# Words\n", "herd", "old"), "mixed", "other")
    again = written(both, "herd", "new")
    assert "old" not in again
    assert again == both.replace("old", "new")
    assert again.startswith("# Words\n")
