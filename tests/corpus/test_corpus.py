"""`castalia collect` as a user meets it: a corpus, a report, and the same command again after whatever happened."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from small_site import HOST, TOPICS, Site, page, prose, served

from castalia.cli import main
from licence_notices import ISC


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as site:
        yield site


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "out"
    with served() as site:
        assert main(site.options(out)) == 0
    return out


def rows(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((out / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def report(out: Path) -> dict[str, Any]:
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def test_a_row_says_what_the_page_says_and_where_it_comes_from(made: Path):
    by_url = {row["url"]: row for row in rows(made)}
    assert set(by_url) >= {f"http://{HOST}/doc/{topic}.html" for topic in TOPICS[1:]}
    row = by_url[f"http://{HOST}/doc/teapots.html"]
    assert row["text"].startswith("# Teapots\n\nThe handbook says")
    assert [block["kind"] for block in row["blocks"]] == ["heading", "paragraph"]
    assert (row["licence"], row["host"], row["title"], row["language"]) == ("MIT", HOST, "Teapots", "en")
    assert [(item["place"], item["url"]) for item in row["licence_evidence"]] == [("licence-file", f"http://{HOST}/LICENSE")]
    assert "Ann Author" in row["attribution"]
    assert "ann.author@" not in row["text"]
    assert row["redactions"] == 1
    assert row["words"] > 100
    assert row["fetched_at"].startswith("20")


def test_the_archive_holds_the_page_where_the_row_says(made: Path):
    from fastwarc.warc import ArchiveIterator

    for row in rows(made):
        with (made / "work" / "archive" / row["warc_file"]).open("rb") as file:
            file.seek(row["warc_offset"])
            data = file.read(row["warc_length"])
        found = {record.headers["WARC-Record-ID"]: record.reader.read() for record in ArchiveIterator(io.BytesIO(data))}
        assert row["title"].encode() in found[row["warc_record_id"]]


def test_the_report_says_what_was_rejected_by_host_and_reason_and_which_wishes_were_honoured(made: Path):
    found = report(made)
    assert {(item["host"], item["stage"], item["reason"]): item["count"] for item in found["rejected"]} == {
        (HOST, "collect", "opt-out"): 1, (HOST, "collect", "robots"): 1, (HOST, "collect", "status"): 1,
        (HOST, "deduplicate", "duplicate-content"): 1,
    }  # fmt: skip
    assert {item["signal"]: item["examples"][0]["url"] for item in found["opt_outs"]}.keys() >= {"robots=noai"}
    assert {item["examples"][0]["url"] for item in found["opt_outs"]} == {
        f"http://{HOST}/doc/noai.html",
        f"http://{HOST}/doc/private/x.html",
    }
    assert found["documents"] == len(rows(made)) == len(TOPICS) + 1
    assert [(item["spdx"], item["documents"]) for item in found["licences"]] == [("MIT", len(TOPICS) + 1)]
    assert found["personal_data"]["documents"] == len(TOPICS)
    assert found["duplicates"] == {"duplicate-content": 1}
    (host,) = found["hosts"]
    assert (host["host"], host["robots"], host["retry_after"]) == (HOST, "rules", 0)
    assert host["requests"] > len(TOPICS)
    for step in found["steps"]:
        assert step["records"] == step["kept"] + step["rejected"]


def test_pages_that_name_their_licence_themselves_share_a_notice_which_lists_them_by_title(site: Site, tmp_path: Path):
    del site.pages["/LICENSE"]
    footer = '<footer>This page is under <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>.</footer>'
    for name in ("cups", "water"):
        site.pages[f"/doc/{name}.html"] = page(name.title(), prose(name), footer)
    assert main(site.options(tmp_path / "out")) == 0
    text = (tmp_path / "out" / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert text.count("## ") == 1
    assert "## CC-BY-4.0: 2 documents" in text
    assert "Licensed under CC-BY-4.0, see https://creativecommons.org/licenses/by/4.0/, named by the page." in text
    assert f"* http://{HOST}/doc/cups.html: Cups\n* http://{HOST}/doc/water.html: Water\n" in text


def test_the_page_of_the_report_asks_nobody_and_shows_the_same(made: Path):
    page = (made / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "<script" not in page
    for words in ("robots=noai", "duplicate-content", "MIT", HOST):
        assert words in page
    assert "Ann Author" in (made / "ATTRIBUTION.md").read_text(encoding="utf-8")


def test_a_second_run_does_nothing_and_says_so(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(site.options(tmp_path / "out")) == 0
    assert "/doc/noai.html: " in capsys.readouterr().out  # an example of each kind of reject
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.parquet")}
    site.answered.clear()
    capsys.readouterr()
    assert main(site.options(tmp_path / "out")) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert site.answered == []
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.parquet")} == before


def test_a_lost_data_file_is_written_again_without_any_request(site: Site, tmp_path: Path):
    assert main(site.options(tmp_path / "out")) == 0
    (path,) = (tmp_path / "out" / "data").glob("*.parquet")
    data = path.read_bytes()
    path.unlink()
    site.answered.clear()
    assert main(site.options(tmp_path / "out")) == 0
    assert (path.read_bytes(), site.answered) == (data, [])


def test_other_settings_in_the_same_folder_are_refused_and_a_rebuild_fetches_only_what_is_new(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert main(site.options(out, "--max-pages", "3")) == 0
    settings = (out / "collect.yaml").read_bytes()
    assert main(site.options(out, "--max-pages", "50")) == 5
    said = capsys.readouterr().err
    assert "max_pages" in said
    assert "--rebuild collect" in said
    assert "--out" in said
    assert (out / "collect.yaml").read_bytes() == settings
    assert main(site.options(out, "--max-pages", "50", "--rebuild", "collect")) == 0
    assert max(Counter(site.answered).values()) == 1
    assert len(rows(out)) == len(TOPICS) + 1


def start(site: Site, out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "castalia", *site.options(out)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})


def wait_for(site: Site, answers: int) -> None:
    give_up = time.monotonic() + 60
    while sum("/doc/" in path for path in site.answered) < answers and time.monotonic() < give_up:
        time.sleep(0.01)


def test_a_killed_run_continues_and_no_page_is_fetched_twice(site: Site, tmp_path: Path, made: Path):
    site.slow = 0.15
    with start(site, tmp_path / "out") as child:
        wait_for(site, 4)
        child.send_signal(signal.SIGKILL)
    site.slow = 0.0
    time.sleep(0.3)
    assert main(site.options(tmp_path / "out")) == 0
    twice = [path for path, count in Counter(site.answered).items() if count > 1]
    assert len(twice) <= 1  # the one that was on its way at the kill
    assert {row["id"] for row in rows(tmp_path / "out")} == {row["id"] for row in rows(made)}


def test_ctrl_c_stops_in_order_and_tells_the_command_that_continues(site: Site, tmp_path: Path):
    site.slow = 0.15
    with start(site, tmp_path / "out") as child:
        wait_for(site, 4)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "answers of hosts are in the archive" in said
    assert f"Continue with: castalia collect {site.start} --out {tmp_path / 'out'}" in said
    assert "Traceback" not in said


def test_a_stated_licence_is_evidence_of_the_configuration_with_its_reason(site: Site, tmp_path: Path):
    del site.pages["/LICENSE"]
    config = tmp_path / "mine.yaml"
    stated = {"url": f"http://{HOST}/doc/", "spdx": "MIT", "reason": "the authors told us in a letter"}
    config.write_text(yaml.safe_dump({"sources": {"stated_licences": [stated]}}), encoding="utf-8")
    assert main(site.options(tmp_path / "out", "--config", str(config))) == 0
    (evidence,) = {(item["place"], item["sentence"]) for row in rows(tmp_path / "out") for item in row["licence_evidence"]}
    assert evidence == ("configuration", "stated by configuration: the authors told us in a letter")


def test_a_page_that_is_named_as_licence_file_is_read_as_one(site: Site, tmp_path: Path):
    text = site.pages.pop("/LICENSE")[2].replace("\n\n", "</p><p>").replace("Ann Author", "Ann Author</p><p>")
    site.pages["/doc/notice.html"] = (200, "text/html", f"<html><body><ul><li>Home<li>Next</ul><h1>Licence</h1><p>{text}</p></body></html>")
    assert main(site.options(tmp_path / "out", "--licence-file", "notice.html")) == 0
    assert {item["url"] for row in rows(tmp_path / "out") for item in row["licence_evidence"]} == {f"http://{HOST}/doc/notice.html"}


def test_a_sentence_that_leaves_its_licence_open_is_read_by_the_oracle_where_that_is_wanted(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    del site.pages["/LICENSE"]
    site.pages["/doc/cups.html"] = page("Cups", prose("cups"), "<p>License: CC BY 4.0</p>")
    answer = {"prompt": "break_tie", "subject": f"licence/http://{HOST}/doc/cups.html", "answer": {"reading": 1}}
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "ties.jsonl").write_text(json.dumps(answer) + "\n", encoding="utf-8")
    config = tmp_path / "mine.yaml"
    oracles = {"judge": {"provider": "recorded", "model": "m", "recordings": "answers"}, "writer": {"provider": "recorded", "model": "m"}}
    config.write_text(yaml.safe_dump({"stages": {"collect": {"break_ties": True}}}), encoding="utf-8")
    assert main(site.options(tmp_path / "none", "--config", str(config))) == 2
    assert "role 'judge' is not configured" in capsys.readouterr().err
    oracles["writer"]["recordings"] = "answers"
    config.write_text(yaml.safe_dump({"stages": {"collect": {"break_ties": True}}, "oracles": oracles}), encoding="utf-8")
    assert main(site.options(tmp_path / "out", "--config", str(config))) == 0
    (row,) = rows(tmp_path / "out")
    assert (row["url"], row["licence"]) == (f"http://{HOST}/doc/cups.html", "CC-BY-4.0")
    assert [item["call"] != "" for item in row["licence_evidence"] if item["place"] == "oracle"] == [True]


def test_the_report_says_what_is_known_of_the_terms_of_searches(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    index = tmp_path / "index.jsonl"
    index.write_text(json.dumps({"url": f"http://{HOST}/doc/cups.html", "text": "cups"}) + "\n", encoding="utf-8")
    terms = {"may_store": None, "may_train": True, "source": "our letter"}
    settings = {"sources": {"search": ["site", "mine"]}, "search": {"mine": {"kind": "local", "path": str(index), "terms": terms}}}
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert main(site.options(tmp_path / "out", "--config", str(config))) == 0
    assert report(tmp_path / "out")["searches"] == [
        {"provider": "mine", "may_store": None, "may_train": True, "source": "stated by configuration: our letter", "dated": ""}
    ]
    assert "not known" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    demand = "sources.search_terms=[store]"
    assert main(site.options(tmp_path / "other", "--config", str(config), "--set", demand)) == 2
    assert "search.mine.terms" in capsys.readouterr().err


def test_prose_and_code_of_a_site_may_have_a_licence_each(site: Site, tmp_path: Path):
    site.pages["/LICENSE-code"] = site.pages["/LICENSE"]
    site.pages["/LICENSE"] = (200, "text/plain", ISC)
    assert main(site.options(tmp_path / "out")) == 0
    assert {row["licence"] for row in rows(tmp_path / "out")} == {"ISC"}
    assert next(row["licence_parts"] for row in rows(tmp_path / "out")) == [{"scope": "code", "spdx": "MIT", "allowed": True}]
    attribution = (tmp_path / "out" / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "## ISC, code MIT: " in attribution
    assert "Bob Builder" in attribution
    assert "Ann Author" in attribution


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["collect"], 2, ["no site is named", "castalia collect https://"]),
        (["collect", "docs.example.org"], 2, ["'docs.example.org'", "https://docs.example.org/", "URL (sources.sites)"]),
        (["collect", "http://127.0.0.1:8080/"], 3, ["private", "execution.allow_private", "--allow-private 10.0.0.0/8"]),
        (["collect", "http://127.0.0.1:8080/", "--rate", "0"], 2, ["--rate (execution.pages_per_second)", "0.0"]),
        (["collect", "http://127.0.0.1:8080/", "--max-pages", "0"], 2, ["--max-pages (sources.max_pages)"]),
        (["collect", "http://nowhere.invalid/"], 3, ["nowhere.invalid", "Check the address"]),
        (["collect", "http://127.0.0.1:8080/", "--licences", "Foo"], 2, ["'Foo'", "SPDX"]),
        (["collect", "http://127.0.0.1:8080/", "--licences", ","], 2, ["--licences", "permissive"]),
        (["collect", "http://127.0.0.1:8080/", "--include", "("], 2, ["'('", "regular expression"]),
        (["collect", "http://127.0.0.1:8080/", "--rebuild", "nothing"], 2, ["'nothing'", "no stage"]),
        (["collect", "http://127.0.0.1:8080/", "--set", "sources.stated_licences=[{url: x, spdx: MIT, reason: y}]"], 2, ["'x'"]),
    ],
)
def test_wrong_input_is_an_error_that_names_the_next_step(
    options: list[str], code: int, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(options) == code
    said = capsys.readouterr().err
    assert [word for word in words if word not in said] == []


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_is_asked(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    assert main(site.options(tmp_path / "file")) == 4
    assert str(tmp_path / "file") in capsys.readouterr().err
    assert site.answered == []


def test_a_site_that_refuses_all_and_one_without_a_licence_say_so(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    licence = site.pages.pop("/LICENSE")
    assert main(site.options(tmp_path / "unlicensed")) == 3
    assert "sources.stated_licences" in capsys.readouterr().err
    site.pages |= {"/LICENSE": licence, "/robots.txt": (200, "text/plain", "User-agent: *\nDisallow: /\n")}
    assert main(site.options(tmp_path / "closed")) == 3
    assert "robots.txt disallows it" in capsys.readouterr().err


_FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from castalia.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_disk_that_is_full_is_a_typed_error_and_the_same_command_ends_well_later(site: Site, tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", _FULL, *site.options(tmp_path / "out")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert main(site.options(tmp_path / "out")) == 0
    assert len(rows(tmp_path / "out")) == len(TOPICS) + 1
