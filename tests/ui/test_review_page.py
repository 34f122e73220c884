"""The review page over HTTP, as a browser uses it: labels are kept at once, strangers are kept out, and nothing written elsewhere acts."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from castalia.cli import main
from castalia.quality.labels import read_labels
from castalia.summary.people import people
from castalia.summary.reviewing import open_review
from castalia.ui.review import ReviewServer
from castalia.workspace import Workspace
from small_world import passed, replay, sft, world

KEPT = re.compile(r'data-kept="([^"]*)"')
RECORD = re.compile(r'name="record" value="([^"]*)"')


class Browser:
    """Keeps the cookie, follows where it is led."""

    def __init__(self, address: str, reviewer: str = "ada") -> None:
        self.host, self.reviewer = urlsplit(address).netloc, reviewer
        self.cookie = ""
        self.open(f"/?{urlsplit(address).query}&{urlencode({'reviewer': reviewer})}")

    def open(self, path: str, form: dict | None = None, **headers: str) -> str:
        """The page, or the number of what was answered instead."""
        line = http.client.HTTPConnection(self.host, timeout=10)
        body = urlencode(form, doseq=True) if form is not None else None
        line.request("POST" if form is not None else "GET", path, body, {"Cookie": self.cookie} | headers)
        answer = line.getresponse()
        page = answer.read().decode()
        line.close()
        self.headers = dict(answer.headers)
        if answer.status == 303:
            self.cookie = self.headers.get("Set-Cookie", self.cookie).partition(";")[0]
            self.at = self.headers["Location"]
            return self.open(self.at)
        if answer.status == 200:
            self.page = page
        return page if answer.status == 200 else f"{answer.status} {page}"

    @property
    def record(self) -> str:
        """The record on the screen."""
        return next(iter(RECORD.findall(self.page)), "")

    def press(self, label: str, **more: object) -> str:
        """What a key does."""
        return self.open("/label", {"reviewer": self.reviewer, "record": self.record, "label": label, **more})


def serving(workspace: Workspace) -> ReviewServer:
    server = ReviewServer(open_review(workspace))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


@pytest.fixture
def made(tmp_path: Path) -> Workspace:
    return world(tmp_path)


@pytest.fixture
def served(made: Workspace) -> Iterator[ReviewServer]:
    server = serving(made)
    yield server
    server.shutdown()
    server.server_close()


def said(made: Workspace, reviewer: str = "ada") -> list[str]:
    return [label.label for label in read_labels(made.labels) if label.reviewer == reviewer]


def test_every_key_is_on_disk_before_the_next_record_shows(made, served):
    ada = Browser(served.address())
    seen = set()
    for count, key in enumerate(("approve", "reject", "flag", "approve", "approve"), start=1):
        seen.add(ada.record)
        ada.press(key)
        assert len(said(made)) == count
    assert len(seen) == 5
    assert "Nothing is left to review" in ada.page


def test_a_note_and_what_is_wrong_are_kept_with_the_label(made, served):
    Browser(served.address()).press("reject", modes=["hallucination", "verbosity"], note=" three, not two ")
    [label] = read_labels(made.labels)
    assert (label.modes, label.note) == (("hallucination", "verbosity"), "three, not two")
    assert "what people found wrong: hallucination 1, verbosity 1" in people(made).lines()


def test_a_note_of_full_length_with_line_ends_as_browsers_send_them_is_kept(made, served):
    note = ("x" * 199 + "\r\n") * 9 + "y" * 200
    Browser(served.address()).press("reject", note=note)
    [label] = read_labels(made.labels)
    assert label.note == note.replace("\r\n", "\n")
    assert len(label.note) == 2000


def test_a_draft_is_dropped_only_where_the_page_tells_that_its_label_is_kept(made, served):
    ada = Browser(served.address())
    first = ada.record
    assert KEPT.findall(ada.page) == [""]
    kept = made.labels.read_text() if made.labels.is_file() else ""
    made.labels.write_text(f"{kept}no label\n")
    assert KEPT.findall(ada.press("reject", note="dear to me")) == []
    made.labels.write_text(kept)
    assert KEPT.findall(ada.open(f"/?reviewer=ada&said={first}")) == [""]
    assert KEPT.findall(ada.press("reject", note="dear to me")) == [first]
    assert KEPT.findall(Browser(served.address(), "ben").open(f"/?reviewer=ben&said={first}")) == [""]


def test_what_was_said_with_a_label_stands_again_once_it_is_taken_back(made, served):
    ada = Browser(served.address())
    ada.press("reject", modes=["verbosity"], note="<b>two\nlines</b>")
    assert "lines" not in ada.page
    ada.press("undo")
    assert "\n&lt;b&gt;two\nlines&lt;/b&gt;</textarea>" in ada.page
    assert re.findall(r'value="(\w+)" data-key="\d" checked', ada.page) == ["verbosity"]
    assert "lines" not in Browser(served.address(), "ben").page


def test_undo_shows_the_record_again_also_after_a_reload_and_a_new_server(made, served):
    ada = Browser(served.address())
    first = ada.record
    ada.press("approve")
    assert ada.open(ada.at) == ada.page
    other = serving(made)
    again = Browser(other.address())
    assert again.record != first
    again.press("undo")
    assert again.record == first
    assert said(made) == []
    again.press("undo")
    other.shutdown()
    other.server_close()


def test_a_reload_after_a_label_labels_nothing(made, served):
    ada = Browser(served.address())
    ada.press("approve")
    for _ in range(3):
        ada.open(ada.at)
    assert said(made) == ["approve"]


def test_skipped_records_come_back_when_asked_for(made, served):
    ada = Browser(served.address())
    for _ in range(5):
        ada.press("skip")
    assert "5 skipped records wait" in ada.page
    ada.press("again")
    assert ada.record
    assert said(made) == []


def test_verdicts_are_told_after_the_label_and_to_its_giver_only(tmp_path):
    failed = passed(sft(), "sft", layer=4, check="execution", outcome="fail", reason="test 1: gave 3")
    made = world(tmp_path, changes={"sft": [sft()], "preferences": [], "rewards": [], "replay": [], "verdicts": [failed]})
    server = serving(made)
    ada = Browser(server.address())
    assert "gave 3" not in ada.open(f"/?reviewer=ada&said={sft().id}")
    assert "gave 3" in ada.press("approve")
    assert "gave 3" not in Browser(server.address(), "ben").open(f"/?reviewer=ben&said={sft().id}")
    server.shutdown()
    server.server_close()


def test_the_passage_stands_beside_the_record_with_what_is_cited_marked(served):
    ada = Browser(served.address())
    while "cited" not in ada.page.partition("<main>")[2]:
        ada.press("skip")
    assert 'class="cited"' in ada.page
    assert "Steep green tea for two minutes" in ada.page


def test_two_reviewers_at_once_lose_no_label(made, served):
    def all_of_it(name: str) -> int:
        browser, given = Browser(served.address(), name), 0
        while browser.record:
            browser.press("flag")
            given += 1
        return given

    with ThreadPoolExecutor(4) as pool:
        given = dict(zip("abcd", pool.map(all_of_it, "abcd"), strict=True))
    assert given == dict.fromkeys("abcd", 5)
    assert all(len(said(made, name)) == 5 for name in "abcd")


def test_what_a_record_says_is_text_and_only_the_pages_own_script_may_run(tmp_path):
    hostile = "</pre><script>alert(1)</script><img src=http://x.example/ onerror=alert(2)>{{ 7 * 7 }}\x00"
    made = world(tmp_path, changes={"sft": [], "preferences": [], "rewards": [], "replay": [replay(wrong=hostile, practise='"><b>')]})
    server = serving(made)
    ada = Browser(server.address())
    assert "&lt;script&gt;alert(1)" in ada.page
    assert "{{ 7 * 7 }}" in ada.page
    assert ada.page.count("<script") == 1
    assert "<img" not in ada.page
    nonces = set(re.findall(r"'nonce-([^']+)'", ada.headers["Content-Security-Policy"]))
    assert ada.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert all(f'nonce="{nonce}"' in ada.page for nonce in nonces)
    assert not re.search(r"(src|href)=", ada.page.replace("&lt;img src=", ""))
    assert f"<b>{'<b>'}" not in Browser(server.address(), "<b>").page
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": ""},
        {"Cookie": "castalia-review=x; a=\x7f"},
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_label_from_elsewhere_is_refused(made, served, headers: dict[str, str]):
    ada = Browser(served.address())
    form = {"reviewer": "ada", "record": ada.record, "label": "approve"}
    assert ada.open("/label", form, **headers).startswith("403")
    assert said(made) == []


def test_without_the_token_nothing_is_shown(served):
    stranger = Browser(f"http://127.0.0.1:{served.port}/?token=wrong")
    for path in ("/", "/?reviewer=ada", "/?token=&reviewer=ada", f"/?token={served.token[:-1]}"):
        answer = stranger.open(path)
        assert answer.startswith("403")
        assert "castalia review --page" in answer
    assert stranger.open(f"/?token={served.token}", Host="evil.example").startswith("403")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"record": "sft_00000000000000000000"}, "not in the review queue"),
        ({"record": ""}, "not in the review queue"),
        ({"label": "undone"}, "is unknown"),
        ({"label": ""}, "is unknown"),
        ({"modes": ["ugly"]}, "failure modes are"),
        ({"note": "x" * 2001}, "at most 2,000"),
        ({"reviewer": "a\nb"}, "readable characters"),
        ({"note": "x" * 70_000}, "no form of the page"),
    ],
)
def test_what_no_button_sends_is_refused_with_the_reason(made, served, changes: dict, words: str):
    ada = Browser(served.address())
    answer = ada.open("/label", {"reviewer": "ada", "record": ada.record, "label": "approve"} | changes)
    assert answer.startswith("400")
    assert words in answer
    assert read_labels(made.labels) == []


def test_a_damaged_file_of_labels_is_told_on_the_page(made, served):
    ada = Browser(served.address())
    made.labels.write_text('{"record": "a"}\n')
    assert "line 1 is no label" in ada.press("approve")


def test_a_browser_that_went_away_is_no_trouble_and_anything_else_is(served, capsys):
    for error in (BrokenPipeError(), ConnectionResetError(), ValueError("a fault of ours")):
        try:
            raise error
        except (OSError, ValueError):
            served.handle_error(None, ("127.0.0.1", 1))
    told = capsys.readouterr().err
    assert "a fault of ours" in told
    assert "BrokenPipe" not in told
    assert "ConnectionReset" not in told


def test_a_page_without_a_name_asks_for_one(served):
    assert "Your name" in Browser(served.address()).open("/")


def test_a_kill_in_the_middle_loses_no_label(made, tmp_path):
    command = [sys.executable, "-m", "castalia", "review", "--page", "-c", str(tmp_path / "castalia.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        ada = Browser(process.stdout.readline().strip())
        ada.press("approve")
        ada.press("reject")
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate(timeout=10)
    assert said(made) == ["approve", "reject"]


def test_the_address_is_printed_and_ctrl_c_says_where_labels_are(made, tmp_path):
    command = [sys.executable, "-m", "castalia", "review", "--page", "--reviewer", "ada", "-c", str(tmp_path / "castalia.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "reviewer=ada" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "labels.jsonl" in errors


def test_a_port_that_cannot_be_used_is_named(made, served, tmp_path, capsys):
    assert main(["review", "--page", "--port", str(served.port), "-c", str(tmp_path / "castalia.yaml")]) == 3
    assert f"port {served.port}" in capsys.readouterr().err
