"""A check: code that people are to type must be ASCII, because typographic quotes in code don't run."""

from castalia.quality.check import CheckContext, Finding, PluginCheck, RecordCheck
from castalia.quality.view import View


def _ascii_code(view: View, ctx: CheckContext) -> Finding | None:
    parts = view.answer.split("```")
    code = parts[1::2]
    if not code:
        return None
    odd = sorted({letter for block in code for letter in block if ord(letter) > 127})
    return Finding("flag", f"code holds {odd}") if odd else Finding("pass", "code is ASCII")


ASCII_CODE = PluginCheck(layer=1, check=RecordCheck("ascii-code", _ascii_code))
