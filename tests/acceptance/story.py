"""The chapters of the journey, in the order they are told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.acceptance import hands, pictures
from tests.acceptance.hands import Follow, in_minutes
from tests.acceptance.server import ROOT

if TYPE_CHECKING:
    from tests.acceptance.journey import Journey

STANDARD = "Release Coordination Checklist"
SHORT = "Standard checklist, watch of 1 minute"
NOOR = "Noor Haddad"
HOLDERS = {
    "Project Manager": ["Dana Ruiz"],
    "QA Lead": ["Chloe Martin"],
    "Developers": ["Ben Osei", NOOR],
    "Risk Champion": ["Fay Lindqvist"],
    "On-call Engineer": ["Eli Tanaka"],
}
STAGING, PRODUCTION = "Staging Deployment", "Production Deployment"
LEADS = (  # what the coordinator ticks before the poll, besides the conditional items
    "Release notes drafted",
    "Deployment plan reviewed",
    "Smoke tests prepared",
    "Deploy to staging",
    "Performance verified",
    "Security scan reviewed",
)


def whole(journey: Journey) -> None:
    pictures.of_the_demo(journey)
    invitation(journey)
    checklist(journey)
    first_round(journey)
    second_round(journey)
    revoked(journey)
    deployed(journey)
    closed(journey)


def quick(journey: Journey) -> None:
    """In, planned, ticked, decided: no watch, no pictures."""
    invitation(journey)
    with journey.step("Ana plans JRNY-1 from the standard checklist"):
        hands.plans(
            journey.people["ana"], "JRNY-1", "Journey 1", checklist=STANDARD, t_zero=in_minutes(60), people=HOLDERS
        )
    prepares(journey, "JRNY-1", developers=False)
    goes(journey, "JRNY-1", 1)


# Coming in


def invitation(journey: Journey) -> None:
    people, sight = journey.people, journey.sight
    with journey.step("whoever is not signed in is asked to; a wrong password says so and loses nothing"):
        stranger = people.stranger("A stranger")
        stranger.goes("/r/PAY-4.2/")
        assert stranger.path == "/accounts/login/", stranger.path
        stranger.does_not_see("Payments 4.2")
        sight.look(stranger, "log-in", shot=True)
        stranger.page.locator("input[type=email], input[name=login]").first.fill("ana@demo.example")
        stranger.page.locator("input[type=password]").first.fill("not-it")
        stranger.page.locator("input[type=password]").first.press("Enter")
        stranger.sees(re.compile("not correct|do not|incorrect", re.IGNORECASE))
        sight.look(stranger, "log-in, refused")
        stranger.context.close()
    with journey.step("Sam invites Noor, who comes in by the link in the mail"):
        sam = people["sam"].goes("/people/")
        sight.look(sam, "people of the site")
        form = sam.page.locator("form").filter(has=sam.button("Invite"))
        form.get_by_label("Name").fill(NOOR)
        form.get_by_label(re.compile("[Mm]ail")).fill("noor@example.org")
        form.get_by_role("button", name="Invite").click()
        sam.sees("noor@example.org", "invited until")
        mail = hands.reads_mail(sam, to="noor@example.org", words="Sam Staff invites you")
        link = next(link for link in mail.links if "/welcome/" in link)
        noor = people.stranger(NOOR)
        noor.goes(link).sees("Welcome to relcoord", "noor@example.org")
        sight.look(noor, "welcome")
        for label in ("New password", "The same again"):
            noor.page.get_by_label(label).fill("a-long-enough-secret-7")
        noor.presses("Come in")
        noor.sees("Releases")
        people.joins("noor", noor)
        late = people.stranger("Somebody with the link")
        late.page.goto(link)
        late.does_not_see("Choose a password")
        late.context.close()


# The checklist


def checklist(journey: Journey) -> None:
    people, sight = journey.people, journey.sight
    sam = people["sam"]
    with journey.step("Sam takes the standard checklist’s Markdown and shortens its watch, with marks that say so"):
        sam.goes("/checklists/").sees(STANDARD)
        sight.look(sam, "checklists")
        sam.follows(STANDARD)
        sight.look(sam, "checklist")
        sam.goes(sam.path + "edit/")
        sight.look(sam, "checklist-edit", shot=True)
        sam.goes(sam.path.replace("/edit/", "/markdown/"))
        sight.look(sam, "checklist as Markdown")
        text = shortened(sam.page.locator("textarea[name=text]").input_value())
    with journey.step("and imports it: pasted, looked at, saved"):
        sam.goes("/checklists/import/")
        sight.look(sam, "import")
        sam.page.locator("textarea[name=text]").fill(text)
        look = sam.button(re.compile("Look|Preview"))
        look.first.click()
        sam.sees("6 phases", "35 items", "6 roles", "4 seats")
        sight.look(sam, "import-preview", shot=True)
        sam.button(re.compile("^Save")).first.click()
        sam.page.wait_for_url(lambda url: "/import/" not in url)
        sam.sees(SHORT, "Monitor metrics")


def shortened(text: str) -> str:
    """The standard checklist with a watch of 1 to 2 minutes, two items given to the developers, one wanting evidence."""
    lines = []
    for line in text.splitlines():
        if line.startswith("# "):
            line = f"# {SHORT}"
        elif "**Monitor metrics**" in line:
            line = line.replace("15-30 minutes", "1-2 minutes") + " <!-- watch: 1-2 -->"
        elif "**All PRs merged**" in line:
            line += " <!-- role: Developers; evidence: yes -->"
        elif "**CI/CD passing**" in line:
            line += " <!-- role: Developers -->"
        lines.append(line)
    return "\n".join(lines) + "\n"


# JRNY-1 to its NO-GO


def first_round(journey: Journey) -> None:
    people, sight = journey.people, journey.sight
    ana, ben, noor, chloe, dana = (people[name] for name in ("ana", "ben", "noor", "chloe", "dana"))
    with journey.step("Ana plans JRNY-1, T-0 in a few minutes"):
        hands.plans(ana, "JRNY-1", "Journey 1", checklist=SHORT, t_zero=in_minutes(15), people=HOLDERS)
        sight.look(ana, "release, all late")
        ana.sees("Journey 1", "Window", NOOR)
    with journey.step("Ben ticks with evidence, and Ana’s open page follows"):
        ana.goes("/r/JRNY-1/")
        theirs = hands.row(ana, "All PRs merged")
        hands.ticks_with_evidence(
            ben, "JRNY-1", "All PRs merged", "https://git.example.org/compare/4.1...4.2", "comparison"
        )
        hands.is_now(theirs, "done")
        expect(theirs).to_contain_text("Ben Osei")
    with journey.step("Noor finds an item blocked by Ben, and unblocks it"):
        hands.answers(ben, "JRNY-1", "CI/CD passing", "Mark blocked", "The runner is out of disk", "blocked")
        noor.goes("/me/").sees("CI/CD passing")
        sight.look(noor, "my work of one item")
        noor.goes("/r/JRNY-1/").sees("Blocked: The runner is out of disk", "1 blocked")
        sight.look(noor, "release with a blocked item")
        item = hands.row(noor, "CI/CD passing")
        hands.chooses(item, "No longer blocked")
        item.locator("form.act-form").get_by_role("button").first.click()
        hands.is_now(item, "open")
        hands.ticks(noor, "JRNY-1", "CI/CD passing")
    with journey.step("a sign-off is the QA Lead’s alone: Ana has no button for it"):
        ana.goes("/r/JRNY-1/")
        assert hands.row(ana, "QA sign-off obtained").get_by_role("button", name="Done").count() == 0
    prepares(journey, "JRNY-1", blocked="Security scan reviewed")
    with journey.step("first poll: QA says NO-GO, and why"):
        hands.opens_poll(ana, "JRNY-1", 1)
        hands.votes(dana, "JRNY-1", "GO", "Support is briefed")
        hands.votes(chloe, "JRNY-1", "NO-GO", "The security scan is not reviewed")
        hands.votes(ana, "JRNY-1", "GO", "Plan and people are ready")
        sight.look(ana, "room with an open poll")
        sight.look(chloe, "room of a voter")
    with journey.step("Ana records NO-GO: reasons, two action items, a new T-0, in one form"):
        due = in_minutes(120)
        follow = [
            Follow("Review the security scan", "Ben Osei", due),
            Follow("Tell support the new time", "Dana Ruiz", due),
        ]
        hands.decides_no_go(ana, "JRNY-1", "The scan has a finding nobody has read", follow, in_minutes(3))
        ana.sees("Review the security scan", "Tell support the new time")
        sight.look(ana, "room after a NO-GO")
    with journey.step("everyone is told; the next poll waits for the action items"):
        told = hands.reads_mail(ana, to="ben@demo.example", words="NO-GO")
        assert "finding nobody has read" in told.text, told
        ana.goes("/r/JRNY-1/decision/")
        ana.presses("Open the poll")
        ana.sees("The poll cannot open")
        for person, title in ((ben, "Review the security scan"), (dana, "Tell support the new time")):
            person.goes("/r/JRNY-1/decision/")
            person.page.locator("#actions li").filter(has_text=title).get_by_role("button", name="Mark done").click()
            expect(person.page.locator("#actions li").filter(has_text=title)).to_have_attribute("data-state", "done")


def prepares(journey: Journey, key: str, *, blocked: str = "", developers: bool = True) -> None:
    """Everybody settles what is theirs before the poll; one item may stay blocked."""
    people = journey.people
    with journey.step(f"{key}: members tick theirs, each in a browser of their own"):
        hands.ticks(people["chloe"], key, "Acceptance criteria validated", "QA sign-off obtained")
        hands.ticks(people["chloe"], key, "Run smoke tests", phase=STAGING)
        hands.ticks(people["fay"], key, "Assess risks")
        hands.ticks(people["eli"], key, "Confirm on-call coverage")
        hands.ticks(people["dana"], key, "Communication plan ready")
    ana = people["ana"]
    with journey.step(f"{key}: Ana ticks hers and one for Dana, and answers what does not apply"):
        hands.ticks_for_another(ana, key, "Stakeholder notification sent", "Dana told me on the phone that it is out")
        mine = [title for title in LEADS if title != blocked]
        hands.ticks(ana, key, *mine, *([] if developers else ["All PRs merged", "CI/CD passing"]))
        for title in ("Backup/snapshot taken", "Rollback plan tested"):
            hands.answers(ana, key, title, "Not applicable", "Nothing is stored by this change", "na")
        if blocked:
            hands.answers(ana, key, blocked, "Mark blocked", "The scanner reports a finding", "blocked")


def goes(journey: Journey, key: str, round_: int) -> None:
    """A poll that ends in GO."""
    people = journey.people
    ana, fay = people["ana"], people["fay"]
    with journey.step(
        f"{key}: the poll is opened and answered; what Fay said in the meeting is taken down, and she sees it"
    ):
        hands.opens_poll(ana, key, round_)
        hands.votes(people["dana"], key, "GO", "Support is briefed")
        hands.votes(people["chloe"], key, "GO", "All green in staging")
        hands.votes(ana, key, "GO", "Plan and people are ready")
        hands.records_spoken(ana, key, "Fay Lindqvist", "GO", "No critical risk is open")
        fay.goes(f"/r/{key}/decision/").sees("No critical risk is open", "spoken, recorded by Ana Kovač")
        hands.reads_mail(
            fay, to="fay@demo.example", words="recorded what you said in the meeting", subject="was recorded"
        )
    with journey.step(f"{key}: Ana decides GO"):
        hands.decides_go(ana, key, "Everything that must hold does; no dissent")


# JRNY-1 to its GO


def second_round(journey: Journey) -> None:
    people = journey.people
    ana = people["ana"]
    with journey.step("JRNY-1: what the new window opened again is answered again"):
        ana.goes("/r/JRNY-1/")
        hands.is_now(hands.row(ana, "Communication plan ready"), "open")
        hands.ticks(people["dana"], "JRNY-1", "Communication plan ready", "Stakeholder notification sent")
        hands.ticks(people["eli"], "JRNY-1", "Confirm on-call coverage")
        hands.ticks(people["fay"], "JRNY-1", "Assess risks")
        hands.ticks(ana, "JRNY-1", "Security scan reviewed")
        hands.answers(
            ana, "JRNY-1", "Backup/snapshot taken", "Not applicable", "Nothing is stored by this change", "na"
        )
        ana.goes("/r/JRNY-1/").sees("Ready for the Go/No-Go")
    goes(journey, "JRNY-1", 2)
    journey.sight.look(ana, "room after a GO")
    ana.goes("/r/JRNY-1/").sees("GO")
    journey.sight.look(ana, "release with a GO")


# JRNY-3: GO, revoked, moved


def revoked(journey: Journey) -> None:
    people, sight = journey.people, journey.sight
    ana, chloe = people["ana"], people["chloe"]
    with journey.step("JRNY-3 is planned for the day after tomorrow"):
        hands.plans(ana, "JRNY-3", "Journey 3", checklist=SHORT, t_zero=in_minutes(2 * 24 * 60), people=None)
    with journey.step("JRNY-3: the developers tick theirs"):
        hands.ticks_with_evidence(people["ben"], "JRNY-3", "All PRs merged", "Compared by hand, nothing unplanned")
        hands.ticks(people["noor"], "JRNY-3", "CI/CD passing")
    prepares(journey, "JRNY-3")
    goes(journey, "JRNY-3", 1)
    with journey.step("JRNY-3: Chloe reopens her sign-off on the page that names the consequence; the GO is revoked"):
        chloe.goes("/r/JRNY-3/")
        item = hands.row(chloe, "QA sign-off obtained")
        hands.chooses(item, "Mark not done")
        item.locator("form.act-form").get_by_role("button").first.click()
        expect(item).to_contain_text("The GO is revoked")
        sight.look(chloe, "release asking for the reason to revoke")
        item.get_by_label(re.compile("GO taken back")).fill("A defect in the export turned up")
        item.locator("form.act-form").get_by_role("button").first.click()
        hands.is_now(item, "open")
        chloe.sees("Not ready: 1 item holds the Go/No-Go", where="#gate")  # in the same page, by the same answer
        chloe.sees("16 of 29", where="#head")
        ana.goes("/r/JRNY-3/").sees("Not ready: 1 item holds the Go/No-Go", where="#gate")
        told = hands.reads_mail(ana, to="eli@demo.example", words="A defect in the export turned up")
        assert "revoked" in told.text.lower(), told
    with journey.step("JRNY-3: Ana looks at what a new T-0 moves, then moves it"):
        preview = hands.moves(ana, "JRNY-3", in_minutes(5 * 24 * 60), "The export is being repaired")
        expect(preview).to_contain_text("Opens again:")
        expect(preview).to_contain_text("Confirm on-call coverage")
        expect(preview).to_contain_text("Told:")
        sight.look(ana, "schedule with a preview")
        ana.page.locator("#move").click()
        ana.page.wait_for_url("**/r/JRNY-3/")
        ana.sees("JRNY-3 is rescheduled")
        hands.is_now(hands.row(ana, "Confirm on-call coverage"), "open")
        hands.reads_mail(ana, to="eli@demo.example", words="The export is being repaired")


# JRNY-1 in production, JRNY-2 rolled back meanwhile


def deployed(journey: Journey) -> None:
    people, sight = journey.people, journey.sight
    ana, chloe = people["ana"], people["chloe"]
    with journey.step("JRNY-1: T-0 comes, Ana starts the deployment inside its window"):
        ana.goes("/r/JRNY-1/")
        button = ana.page.locator("#gate-verb")
        expect(button).to_be_visible(timeout=600_000)  # the gate card follows the clock by itself
        sight.look(ana, "release at T-0")
        ana.confirms(ana.page.locator("#gate-verb"))
        ana.sees("The deployment of JRNY-1 has started")
        sight.look(ana, "release, deploying")
    with journey.step("JRNY-1: production items, and the watch begins"):
        hands.ticks(ana, "JRNY-1", "Deployment window started", "Deployment executed", "Initial health checks pass")
        hands.ticks(chloe, "JRNY-1", "Run smoke tests", phase=PRODUCTION)
        ana.goes("/r/JRNY-1/")
        watch = hands.row(ana, "Monitor metrics")
        watch.get_by_role("button", name="Start the watch").click()
        expect(watch).to_contain_text("of 1 to 2 min")
        began = datetime.now(UTC)
        sight.look(ana, "release, watching")
        ana.goes("/r/JRNY-1/")
        gives_verdict(journey, "Healthy")
        ana.sees("Too early to call it healthy")
    rolled_back(journey)
    with journey.step("JRNY-1: after its real minute the watch ends healthy"):
        left = began + timedelta(seconds=62) - datetime.now(UTC)
        ana.page.wait_for_timeout(max(0, left.total_seconds() * 1000))
        ana.goes("/r/JRNY-1/")
        gives_verdict(journey, "Healthy")
        hands.is_now(hands.row(ana, "Monitor metrics"), "done")
        hands.ticks(ana, "JRNY-1", "Verify key features")
        ana.goes("/r/JRNY-1/finish/")
        sight.look(ana, "finish")
        ana.page.locator("#finish").click()
        ana.sees("JRNY-1 is deployed")
        sight.look(ana, "release, deployed")


def gives_verdict(journey: Journey, verdict: str) -> None:
    ana = journey.people["ana"]
    watch = hands.row(ana, "Monitor metrics")
    watch.get_by_role("link", name="Record the verdict").click()
    watch.get_by_label(re.compile(f"^{verdict}")).check()
    watch.get_by_role("button", name="Record the verdict").click()


def rolled_back(journey: Journey) -> None:
    people, sight = journey.people, journey.sight
    ana, eli, dana = people["ana"], people["eli"], people["dana"]
    with journey.step("JRNY-2 is planned, its developers tick"):
        hands.plans(ana, "JRNY-2", "Journey 2", checklist=SHORT, t_zero=in_minutes(60), people=None)
        hands.ticks_with_evidence(people["ben"], "JRNY-2", "All PRs merged", "Compared by hand, nothing unplanned")
        hands.ticks(people["noor"], "JRNY-2", "CI/CD passing")
    prepares(journey, "JRNY-2")
    goes(journey, "JRNY-2", 1)
    with journey.step("JRNY-2 is started early, with an override that says why"):
        ana.goes("/r/JRNY-2/start/").sees("It can start with an override")
        sight.look(ana, "start, early")
        hands.starts(ana, "JRNY-2", override="The window of the partner opened early")
    with journey.step("JRNY-2: Eli starts a rollback; on-call and Project Manager are told"):
        eli.goes("/r/JRNY-2/rollback/")
        sight.look(eli, "rollback, before")
        eli.page.get_by_label(re.compile("^What did you see")).fill("Every fourth log-in fails")
        eli.confirms(eli.page.locator("#trigger"))
        eli.sees("Every fourth log-in fails", "step 2 of 6")
        sight.look(eli, "rollback, assess")
        hands.reads_mail(dana, to="dana@demo.example", words="Every fourth log-in fails")
    with journey.step("JRNY-2: assessed, executed, not verified, executed again, verified, told"):
        eli.goes("/r/JRNY-2/rollback/")
        step = eli.page.locator("#step")
        step.get_by_label("Critical").first.check(force=True)
        step.get_by_label(re.compile("^Roll back")).check(force=True)
        step.get_by_label(re.compile("^Why")).fill("No fix is in sight")
        eli.page.locator("#step-go").click()
        hands.takes_step(eli, "Execute rollback", "Version 1 is going out")
        hands.takes_step(eli, "Verify rollback success", "Two hosts still run version 2", button="It is not")
        eli.sees("Opened again: Two hosts still run version 2")
        sight.look(eli, "rollback, opened again")
        hands.takes_step(eli, "Execute rollback", "The two hosts too")
        hands.takes_step(eli, "Verify rollback success", "All hosts, error rate 0.1 %", button="It is stable again")
        hands.takes_step(eli, "Communicate status", "Support and stakeholders know")
    with journey.step("JRNY-2 ends as rolled back, with the date of its review and who owns it"):
        step.get_by_label("Review on").fill(f"{date.today() + timedelta(days=3):%Y-%m-%d}")
        step.get_by_label("Who owns the review").fill("Chloe Martin")
        eli.page.locator("#step-go").click()
        eli.goes("/r/JRNY-2/rollback/").sees("JRNY-2 is rolled back", "Chloe Martin", "min to restore")
        sight.look(eli, "rollback, ended")
        hands.reads_mail(eli, to="noor@example.org", words="JRNY-2", subject="ROLLBACK")


# JRNY-1 to its end


def closed(journey: Journey) -> None:
    people, sight = journey.people, journey.sight
    ana = people["ana"]
    with journey.step("JRNY-1: after the deployment; the closing item closes the release"):
        hands.ticks(people["dana"], "JRNY-1", "Release announced")
        hands.ticks(ana, "JRNY-1", "Monitor for issues")
        hands.answers(ana, "JRNY-1", "Documentation updated", "Not applicable", "No page speaks of it", "na")
        ana.goes("/r/JRNY-1/")
        ana.confirms(hands.row(ana, "Close release ticket").get_by_role("button", name="Close the release"))
        ana.sees("Close release ticket is done")
        ana.goes("/r/JRNY-1/").sees("Closed", "29 of 29")
        sight.look(ana, "release, closed")
    with journey.step(
        "the exported record holds against the head hash in the closing mail, and a changed one does not"
    ):
        mail = hands.reads_mail(people["noor"], to="noor@example.org", words="closed the release")
        head = re.search(r"\b[0-9a-f]{64}\b", mail.text)
        assert head is not None, mail.text
        sight.look(people["noor"], "outbox-mail", shot=True)
        ana.goes("/r/JRNY-1/record/")
        sight.look(ana, "record", shot=True)
        with TemporaryDirectory() as folder:
            file = Path(folder) / "record.json"
            with ana.page.expect_download() as download:
                ana.link(".json").click()
            download.value.save_as(file)
            said = verified(file, head[0])
            assert said.returncode == 0, said.stdout + said.stderr
            print(f"          {said.stdout.strip().splitlines()[0]}")
            record = json.loads(file.read_text())
            file.write_text(json.dumps(record).replace("nobody has read", "somebody has read"))
            assert verified(file, head[0]).returncode != 0, "a changed record was taken for genuine"
    with journey.step("the pages of what happened read like it"):
        ana.goes("/r/JRNY-1/events/").sees("Ana Kovač", "NO-GO")
        sight.look(ana, "events")
        ana.goes("/r/JRNY-1/decision/").sees("Round 1", "Round 2")
        sight.look(ana, "room of a closed release")
        ana.goes("/releases/?which=ended").sees("Journey 1", "Journey 2")
        sight.look(ana, "ended releases")


def verified(file: Path, head: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "releases" / "verify_record.py"), str(file), "--head", head]
    return subprocess.run(command, capture_output=True, text=True, check=False)
