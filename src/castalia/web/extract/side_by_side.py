"""One HTML file with a page on the left and what was extracted from it on the right.

The original stands in a sandboxed frame without scripts, and a content security policy lets neither side ask anything of the network.
"""

import html as entities

from castalia.records.document import Block, Document

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; frame-src 'self'; form-action 'none'; base-uri 'none'"
)
_STYLE = """
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #f4f4f2 }
header { padding: .6rem 1rem; background: #fff; border-bottom: 1px solid #ccc }
header h1 { font-size: 1.1rem; margin: 0 }
header p { margin: .2rem 0 0; color: #555; overflow-wrap: anywhere }
main { display: grid; grid-template-columns: 1fr 1fr; height: calc(100vh - 5rem) }
iframe { width: 100%; height: 100%; border: 0; background: #fff }
section { overflow: auto; padding: 1rem; border-left: 1px solid #ccc }
article { display: grid; grid-template-columns: 7rem 1fr; gap: .7rem; margin-bottom: .6rem; background: #fff; padding: .4rem .6rem; border-radius: 4px }
article > small { color: #666; font-variant-numeric: tabular-nums }
pre { margin: 0; overflow: auto; background: #f6f8fa; padding: .4rem; white-space: pre }
table { border-collapse: collapse } td, th { border: 1px solid #ccc; padding: .1rem .4rem; text-align: left; vertical-align: top }
.text { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 } .heading { font-weight: 700 } .quote { border-left: 3px solid #bbb; padding-left: .6rem }
"""


def side_by_side(original_html: str, document: Document) -> str:
    """A whole HTML file; nothing in it runs, and nothing of it is fetched."""
    framed = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">{original_html}'
    facts = [document.url, document.author, document.published, document.language, f"{len(document.blocks)} blocks"]
    blocks = "\n".join(map(_article, document.blocks))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="referrer" content="no-referrer">
<title>{entities.escape(document.title)}</title><style>{_STYLE}</style></head>
<body><header><h1>{entities.escape(document.title)}</h1><p>{entities.escape(" · ".join(filter(None, facts)))}</p></header>
<main><iframe title="The page as fetched" sandbox referrerpolicy="no-referrer" srcdoc="{entities.escape(framed)}"></iframe>
<section aria-label="Extracted blocks">
{blocks}
</section></main></body></html>
"""


def _article(block: Block) -> str:
    kind = f"{block.kind} {block.level}" if block.level else f"{block.kind} {block.language}".strip()
    where = f"<br>at {block.source_offset}" if block.source_offset >= 0 else ""
    return f"<article><small>{block.number}<br>{entities.escape(kind)}{where}</small><div>{_content(block)}</div></article>"


def _content(block: Block) -> str:
    if block.kind in ("code", "math"):
        return f"<pre>{entities.escape(block.text)}</pre>"
    if block.kind == "table":
        rows = "".join(
            "<tr>" + "".join(f"<{tag}>{entities.escape(cell)}</{tag}>" for cell in row) + "</tr>"
            for number, row in enumerate(block.rows)
            for tag in ["th" if number < block.header_rows else "td"]
        )
        return f"<table>{rows}</table>"
    return f'<p class="text {block.kind}">{entities.escape(block.text)}</p>'
