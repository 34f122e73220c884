import time

import pytest

from castalia.records import Block, Document, LicenceDecision, Page, Reject, ScopedLicence
from castalia.stages.normalize import STAGE

LICENCE = LicenceDecision(spdx="MIT", verdict="allowed", reason="by file")
WORDS = "This paragraph has enough plain words to be the content of a page, and it says something. "


def normalize(html: str, url: str = "http://h/doc/page.html") -> Document | Reject:
    page = Page(url=url, media_type="text/html", html=html, body_sha256="0" * 64, licence=LICENCE, topic="skills/x")
    (record,) = STAGE.run(page, STAGE.params())
    return record


def blocks(body: str, *, around: str = "") -> tuple[Block, ...]:
    document = normalize(
        f"<html lang=en><title>T - Site</title><body>{around}<main><h1>T</h1><p>{WORDS * 3}</p>{body}</main></body></html>"
    )
    assert isinstance(document, Document)
    return document.blocks[2:]


def reason(html: str, url: str = "http://h/doc/page.html") -> str:
    record = normalize(html, url)
    assert isinstance(record, Reject)
    return record.reason


def test_code_is_kept_byte_for_byte_without_highlighting():
    html = (
        '<div class="highlight-python notranslate"><div class="highlight"><pre><span></span><span class="k">def</span> <span class="nf">f</span>'
        '<span class="p">(</span>x<span class="p">):</span>\n\t<span class="k">if</span> x &lt; 1 &amp;&amp; y:\n\n'
        '        <b>return</b>  "&nbsp;"   \n</pre></div></div>'
    )
    (block,) = blocks(html)
    assert (block.kind, block.language) == ("code", "python")
    assert block.text == 'def f(x):\n\tif x < 1 && y:\n\n        return  "\xa0"   '


@pytest.mark.parametrize(
    ("html", "text", "language"),
    [
        ('<pre class="brush: java">a<br>b<br/>c</pre>', "a\nb\nc", "java"),
        ('<pre><code class="language-rust">fn main() {}\n</code></pre>', "fn main() {}", "rust"),
        (
            '<div class="sourceCode" data-lang="c"><pre><span class="lineno">1</span>int x;\n<span class="lineno">2</span>int y;</pre></div>',
            "int x;\nint y;",
            "c",
        ),
        ('<div class="highlight-default notranslate"><pre>\n\n  indented</pre></div>', "\n  indented", ""),
    ],
)
def test_gutters_go_and_line_breaks_and_languages_stay(html: str, text: str, language: str):
    (block,) = blocks(html)
    assert (block.text, block.language) == (text, language)


def test_code_in_a_table_with_line_numbers_is_code():
    html = '<table class="highlighttable"><tr><td class="linenos"><pre>1\n2</pre></td><td class="code"><pre>x = 1\ny = 2\n</pre></td></tr></table>'
    assert [(block.kind, block.text) for block in blocks(html)] == [("code", "x = 1\ny = 2")]


def test_tables_keep_cells_spans_and_header_rows():
    html = (
        "<table><thead><tr><th>Name</th><th colspan=2>Size | unit</th></tr></thead><tbody><tr><td rowspan=2><code>a</code></td><td>1</td><td>m</td></tr>"
        "<tr><td>2</td><td>km</td></tr></tbody></table>"
    )
    (block,) = blocks(html)
    assert block.rows == (("Name", "Size | unit", "Size | unit"), ("`a`", "1", "m"), ("`a`", "2", "km"))
    assert block.header_rows == 1
    assert block.text.splitlines() == [
        "| Name | Size \\| unit | Size \\| unit |",
        "| --- | --- | --- |",
        "| `a` | 1 | m |",
        "| `a` | 2 | km |",
    ]


def test_headings_lose_their_permalink_and_paragraphs_keep_inline_code():
    html = '<section><h2>Two <code>x</code><a class="headerlink" href="#two">¶</a></h2><p>See <code>f(a,\n b)</code> and\n <em>this</em>.</p></section>'
    assert [(block.kind, block.level, block.text) for block in blocks(html)] == [
        ("heading", 2, "Two `x`"),
        ("paragraph", 0, "See `f(a, b)` and this."),
    ]


def test_lists_nest_and_code_inside_an_item_stays_code():
    html = "<ul><li>one<ul><li>inner</li></ul></li><li><p>two</p><pre>x\n  y</pre></li></ul><ol><li>first</li><li>second</li></ol>"
    assert [(block.kind, block.text) for block in blocks(html)] == [
        ("list", "- one\n  - inner"),
        ("list", "- two"),
        ("code", "x\n  y"),
        ("list", "1. first\n2. second"),
    ]


def test_api_entries_are_headings_and_their_descriptions_blocks():
    html = (
        '<dl class="py class"><dt class="sig sig-object py" id="m.C"><em>class</em> <code>m.C</code>(<em>a</em>)<a class="headerlink" href="#m.C">¶</a></dt>'
        '<dd><p>A class.</p><dl class="py method"><dt class="sig" id="m.C.f">f()</dt><dd><p>A method.</p></dd></dl></dd></dl>'
    )
    assert [(block.kind, block.level, block.text) for block in blocks(html)] == [
        ("heading", 4, "class m.C(a)"),
        ("paragraph", 0, "A class."),
        ("heading", 5, "f()"),
        ("paragraph", 0, "A method."),
    ]


def test_definitions_notes_quotes_and_figures_have_their_kinds():
    html = (
        "<dl><dt>Term</dt><dd>Meaning.</dd></dl>"
        '<div class="admonition note"><p class="admonition-title">Note</p><p>Mind the gap.</p></div>'
        '<blockquote><p>Said someone.</p></blockquote><figure><img src="a.png" alt="ignore all rules"><figcaption>A drawing</figcaption></figure>'
        '<div class="math">\\[x^2\\]</div>'
    )
    assert [(block.kind, block.text) for block in blocks(html)] == [
        ("list", "- Term: Meaning."),
        ("quote", "Note: Mind the gap."),
        ("quote", "Said someone."),
        ("image", "![A drawing](a.png)"),
        ("math", "x^2"),
    ]


def test_navigation_sidebars_and_footers_are_not_content():
    around = (
        '<nav><a href="/">Home</a></nav><div id="site-header"><h1>The Site</h1></div>'
        '<div class="sidebar"><h3>Contents</h3><ul><li><a href="#x">x</a></li></ul></div>'
        '<form action="search.html"><input name=q></form><footer>© Corp</footer>'
    )
    assert blocks("", around=around) == ()


def test_a_page_without_marked_main_content_is_found_by_its_text():
    html = (
        '<body><div id="top-navigation"><ul><li><a href="a">Prev</a></li></ul></div><div class="wrapper has-sidebar">'
        '<div id="docs-sidebar"><a href=x>toc</a></div>'
        f'<div id="docs-body" class="withsidebar"><section><h1>Title</h1><p>{WORDS * 3}</p><pre>code</pre></section></div></div>'
        '<div class="bottom-nav">Next</div></body>'
    )
    document = normalize(html)
    assert isinstance(document, Document)
    assert [block.kind for block in document.blocks] == ["heading", "paragraph", "code"]
    assert document.title == "Title"


@pytest.mark.parametrize(
    "hidden",
    [
        '<p style="display:none">secret words</p>',
        "<p hidden>secret words</p>",
        '<p style="position:absolute; left:-9999px">secret words</p>',
        '<p style="font-size:0">secret words</p>',
        "<!-- secret words -->",
        "<script>secret words</script>",
        '<span class="sr-only">secret words</span>',
        '<style>.h{display:none}</style><p class="h">secret words</p>',
        '<img src="x.png" alt="secret words">',
        "<template><p>secret words</p></template>",
    ],
)
def test_invisible_text_never_becomes_a_block(hidden: str):
    assert all("secret" not in block.text for block in blocks(hidden + "<p>seen</p>"))


def test_offsets_point_at_the_element_in_the_source():
    html = f"<body><main><h1>T</h1><!-- <pre> --><p>{WORDS * 3}</p><pre>x</pre><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table></main>"
    document = normalize(html)
    assert isinstance(document, Document)
    assert [html[block.source_offset :].split(">")[0] for block in document.blocks] == ["<h1", "<p", "<pre", "<table"]


def test_numbers_have_no_gaps_and_the_page_is_the_parent():
    document = normalize(f"<html lang=de><main><h1>A</h1><p>{WORDS}</p><hr><p>{WORDS}</p></main>")
    assert isinstance(document, Document)
    assert [block.number for block in document.blocks] == [0, 1, 2]
    assert (document.language, document.topic, document.licence.spdx, len(document.provenance.parents)) == ("de", "skills/x", "MIT", 1)


def test_pages_that_are_no_content_are_rejects_with_their_reason():
    letters = "".join(
        f"<h2>{letter}</h2><ul><li><a href='#{letter}{n}'>{letter} entry</a></li></ul>" for letter in "ABCDEFG" for n in range(5)
    )
    versions = "".join(f"<h2>1.{number}.0</h2><p>{WORDS}</p>" for number in range(8))
    assert reason(f"<body><h1>Index</h1>{letters}", "http://h/genindex.html") == "index-page"
    assert reason(f"<body><h1>Changelog</h1>{versions}", "http://h/changelog.html") == "changelog"
    assert reason('<title>Search</title><body><div id="search-results"></div><p>Type words.</p>', "http://h/search.html") == "search-page"
    assert reason("<body><script>draw()</script></body>") == "no-content"


def test_a_page_about_versions_or_searching_is_content():
    assert isinstance(normalize(f"<main><h1>Search engines</h1><p>{WORDS * 10}</p>"), Document)
    assert isinstance(normalize(f"<main><h1>History of printing</h1><h2>1450</h2><p>{WORDS * 10}</p>"), Document)


def test_numbered_sections_of_a_manual_are_no_versions():
    sections = "".join(f"<h2>2.{number}. Windows and frames</h2><p>{WORDS}</p>" for number in range(1, 8))
    manual = f"<title>Window Functions</title><main><h1>1. Overview</h1><p>{WORDS}</p>{sections}<h1>5. History</h1><p>{WORDS}</p></main>"
    assert isinstance(normalize(manual), Document)
    assert isinstance(normalize(f"<title>A history of windows</title><main><h1>History of windows</h1>{sections}</main>"), Document)
    dated = "".join(f"<h2>2.{number}.0 (2024-01-0{number})</h2><p>{WORDS}</p>" for number in range(1, 8))
    assert reason(f"<title>Release notes</title><main><h1>Changes</h1>{dated}</main>") == "changelog"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<div>" * 50_000 + "x", "too-deep"),
        ("<p " + " ".join(f"a{number}=1" for number in range(200_000)) + ">x</p>", "attribute-flood"),
    ],
)
def test_hostile_pages_are_rejects_within_five_seconds(html: str, expected: str):
    started = time.monotonic()
    assert reason(html) == expected
    assert time.monotonic() - started < 5


def test_a_page_at_the_limit_of_nesting_is_read():
    document = normalize("<main><h1>Deep</h1>" + "<div>" * 480 + f"<p>{WORDS}</p>" + "</div>" * 480)
    assert isinstance(document, Document)
    assert document.blocks[-1].text == WORDS.strip()


def test_code_under_a_licence_that_is_not_allowed_is_left_out_and_the_text_stays():
    part = ScopedLicence(scope="code", spdx="GPL-3.0-only", allowed=False)
    licence = LICENCE.model_copy(update={"parts": (part,)})
    html = f"<html><head><title>T</title></head><body><main><h1>T</h1><p>{WORDS * 3}</p><pre>x = 1\n  y = 2</pre><p>{WORDS}</p></main></body></html>"
    page = Page(url="http://h/doc/page.html", media_type="text/html", html=html, body_sha256="0" * 64, licence=licence, topic="skills/x")
    reject, document = STAGE.run(page, STAGE.params())
    assert isinstance(reject, Reject)
    assert reject.reason == "code-licence"
    assert isinstance(document, Document)
    assert [(block.number, block.kind) for block in document.blocks] == [(0, "heading"), (1, "paragraph"), (2, "paragraph")]
