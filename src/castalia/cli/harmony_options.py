"""Options of `castalia harmony`, apart from the command so that help needs nothing else."""

import argparse
from pathlib import Path

_READ = """what is read: JSON lines, JSON lists, both also gzipped, or Parquet; `-` is standard input. Rows have `messages`, `prompt` and
`completion`, or `chosen` and `rejected` (OpenAI, TRL, releases), `conversations` (ShareGPT, Hermes), `input_ids` and `labels` or
`loss_mask`, or a rendered `text`. A broken row is named by its line, and the rest goes on.

exit codes: 0 nothing wrong, 2 wrong options, 3 a finding is an error or a row can't be read
"""


def harmony_options(parser: argparse.ArgumentParser) -> None:
    """`lint FILE` and `convert FILE --to FORM`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str) -> argparse.ArgumentParser:
        made = actions.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=_READ,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.add_argument("file", type=Path, help="a file of chat data, or `-`")
        made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="facts for machines, one JSON object")
        made.add_argument("--dialect", choices=("A", "B", "C", "D"), help="header of tool calls (default: A; samples of others: any one)")
        made.add_argument("--tokenizer", type=Path, metavar="FOLDER", help="a tokenizer with the Harmony tokens (default: that of GPT-OSS)")
        return made

    lint = action("lint", "would a model learn to speak Harmony from this file?")
    lint.add_argument("--max-tokens", type=int, default=None, metavar="N", help="longer samples are errors")
    convert = action("convert", "write the file's conversations in another form")
    convert.add_argument("--to", required=True, choices=("openai", "trl", "sharegpt", "hermes", "ids", "text"), help="the form")
    convert.add_argument("--out", type=Path, metavar="FILE", help="JSON lines (default: standard output)")
