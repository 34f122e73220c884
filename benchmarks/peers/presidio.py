# pyright: basic
"""Runs the pattern recognizers of Presidio over texts: `python presidio.py REQUEST ANSWER`, with nothing of ours imported.

REQUEST is JSON `{"texts": [...], "timed": [...]}`; ANSWER `{"found": [[[start, end, type, score], ...], ...], "seconds": CPU seconds
for timed}`. Recognizers run by themselves, without a language model, so no context word raises a score.
"""

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any


def recognizers() -> list[Any]:
    """The recognizers for English that need nothing but patterns."""
    from presidio_analyzer import predefined_recognizers as known  # pyright: ignore[reportMissingImports]

    names = (
        "CreditCard",
        "Crypto",
        "Email",
        "Iban",
        "Ip",
        "MacAddress",
        "Phone",
        "Url",
        "UsSsn",
        "UsLicense",
        "UsPassport",
        "UsBank",
        "UsItin",
    )
    found = [getattr(known, f"{name}Recognizer", None) for name in names]
    return [recognizer() for recognizer in found if recognizer is not None]


def main(request: Path, answer: Path) -> None:
    """Analyzes every text."""
    logging.disable(logging.CRITICAL)
    work = json.loads(request.read_text(encoding="utf-8"))
    used = recognizers()

    def analyze(text: str) -> list[Any]:
        results = [result for one in used for result in one.analyze(text, one.supported_entities, None)]
        return [result for result in results if not any(_hides(other, result) for other in results)]

    found = [[[result.start, result.end, result.entity_type, result.score] for result in analyze(text)] for text in work["texts"]]
    started = time.process_time()
    for text in work["timed"]:
        analyze(text)
    answer.write_text(json.dumps({"found": found, "seconds": time.process_time() - started}), encoding="utf-8")


def _hides(one: Any, other: Any) -> bool:
    """Whether one result holds the other and is longer: the host of a mail address is no second find."""
    return one.start <= other.start and other.end <= one.end and one.end - one.start > other.end - other.start


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
