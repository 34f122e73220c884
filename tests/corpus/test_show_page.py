"""`castalia show page ID --html`: one file, the page as received beside what was extracted, and nothing that reaches out."""

import re
from html import unescape
from pathlib import Path

import pytest
from small_site import HOST, page, prose, served

from castalia.cli import main
from castalia.ui.page import inert
from licence_notices import MIT

HOSTILE = (
    "<script src='https://evil.example/x.js'>steal()</script><link rel='dns-prefetch' href='//evil.example'>"
    "<meta http-equiv='refresh' content='0;url=https://evil.example/'><iframe src='https://evil.example/'></iframe>"
    "<img src='https://evil.example/pixel.png'>\"></iframe><b>out</b>"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shown") / "out"
    with served() as site:
        site.pages = {
            "/doc/index.html": page("Handbook", prose("kettles"), f"<pre>boil(water)</pre><nav>Home page of all</nav>{HOSTILE}"),
            "/LICENSE": (200, "text/plain", MIT),
        }
        assert main(site.options(out)) == 0
    return out


def show(out: Path, *more: str) -> int:
    return main(["show", *more, "--config", str(out / "collect.yaml")])


def test_the_file_shows_blocks_by_number_and_kind_with_the_evidence_and_the_way_through_the_stages(made: Path, tmp_path: Path):
    file = tmp_path / "page.html"
    assert show(made, "page", f"http://{HOST}/doc/index.html", "--html", str(file)) == 0
    text = file.read_text(encoding="utf-8")
    shown = re.findall(r"<b>\[(\d+)\]</b> (\w+)", text)
    assert [kind for _, kind in shown][:2] == ["heading", "paragraph"]
    assert ("code" in [kind for _, kind in shown]) and [number for number, _ in shown] == [str(n) for n in range(len(shown))]
    assert "boil(water)" in text
    assert f"licence-file, scope site: MIT at http://{HOST}/LICENSE" in text
    for stage in ("normalize", "scrub", "deduplicate"):
        assert re.search(rf"<th>{stage}</th><td>kept</td>", text)


def test_nothing_in_the_file_can_run_or_ask_anybody(made: Path, tmp_path: Path):
    file = tmp_path / "page.html"
    assert show(made, "page", f"http://{HOST}/doc/index.html", "--html", str(file)) == 0
    text = file.read_text(encoding="utf-8")
    (framed,) = re.findall(r'<iframe sandbox="" referrerpolicy="no-referrer" title="[^"]*" srcdoc="([^"]*)">', text)
    original = unescape(framed)
    assert original.startswith('<meta http-equiv="Content-Security-Policy" content="default-src \'none\'')
    assert not re.search(r"<(script|link|iframe|base|object|embed)\b", original, re.IGNORECASE)
    assert len(re.findall(r"<meta\b", original)) == 1
    outside = text.replace(framed, "")
    assert "<b>out</b>" not in outside
    assert "default-src 'none'" in outside
    assert not re.search(r"<(script|link|img)\b", outside)


def test_a_page_is_found_by_its_own_id_and_by_that_of_its_document(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for dataset in ("pages", "documents"):
        capsys.readouterr()
        assert show(made, dataset, "--json") == 0
        (identity,) = re.findall(r'^\{"id": "(\w+)"', capsys.readouterr().out, re.MULTILINE)
        assert show(made, "page", identity, "--html") == 0
    assert len(list(tmp_path.glob("page_*.html"))) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["page", f"http://{HOST}/doc/index.html"], 2, "--html"),
        (["page", "--html"], 2, "ID is of a page or document, or a URL"),
        (["page", "page_00000000000000000000", "--html"], 3, "castalia show pages"),
        (["page", "doc_00000000000000000000", "--html"], 3, "castalia show documents"),
        (["pages", "--html"], 2, "castalia show page ID --html"),
    ],
)
def test_wrong_arguments_name_the_right_ones(made: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]):
    assert show(made, *arguments) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("tag", ["script", "SCRIPT", "link", "Meta", "base", "iframe", "object", "embed"])
def test_elements_that_reach_out_are_made_inert_and_words_stay(tag: str):
    html = inert(f"<p>before</p><{tag} src=x>inside</{tag}><p>after</p>")
    assert not re.search(rf"<{tag}\b", html, re.IGNORECASE)
    assert "before" in html
    assert "after" in html
