"""Runner `mako`: the candidate is a Mako template, the value it gives is the text it renders.

Input: `{"context": {...}}`, or `{"files": {name: text}, "context": {...}}` where the candidate may inherit from, include or
import the named templates. Whitespace at the end of lines and blank lines at both ends don't count, so they are stripped.
"""

from mako.lookup import TemplateLookup

# Each input runs in a copy of the process made after this: what Mako compiles for its first template, it compiles once for all.
_EVERY_KIND = "## a comment\n<%def name='f(x)'>${x | h}</%def>\n% if True:\n${f(1)}\n% endif\n<% y = 2 %><%block name='b'>y</%block>\n"
TemplateLookup(strict_undefined=False).put_string("/kinds.html", _EVERY_KIND)


def run(candidate, value):
    lookup = TemplateLookup(strict_undefined=False)
    for name, text in value.get("files", {}).items():
        lookup.put_string(name if name.startswith("/") else f"/{name}", text)
    lookup.put_string("/candidate.html", candidate)
    rendered = lookup.get_template("/candidate.html").render(**value.get("context", {}))
    lines = [line.rstrip() for line in rendered.splitlines()]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines)
