# pyright: basic
"""Asks Protego, Scrapy's robots.txt parser: `python robots_files.py REQUEST ANSWER`, with nothing of ours imported.

REQUEST is JSON `[[text of a file, product token, [URL, ...]], ...]`; ANSWER has `[[whether the URL may be fetched, ...], ...]`.
"""

import json
import sys
from pathlib import Path


def main(request: Path, answer: Path) -> None:
    """Answers every question."""
    from protego import Protego  # pyright: ignore[reportMissingImports]

    answers = []
    for text, agent, urls in json.loads(request.read_text(encoding="utf-8")):
        rules = Protego.parse(text)
        answers.append([rules.can_fetch(url, agent) for url in urls])
    answer.write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
