# pyright: basic
"""Asks PyPI's `renderers` what it supervises: `python renderers_gpt_oss.py REQUEST ANSWER`, with nothing of ours imported.

REQUEST is JSON `{"messages": [...], "tokenizer": FOLDER}`; ANSWER has `{"ids": [...], "trained": [...]}`.
"""

import json
import sys
from pathlib import Path


def main(request: Path, answer: Path) -> None:
    """Renders once, with its defaults, as its documentation does for training."""
    from renderers import create_renderer  # pyright: ignore[reportMissingImports]
    from renderers.configs import GptOssRendererConfig  # pyright: ignore[reportMissingImports]
    from transformers import AutoTokenizer

    asked = json.loads(request.read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(asked["tokenizer"], local_files_only=True)
    rendered = create_renderer(tokenizer, GptOssRendererConfig()).render(asked["messages"])
    answer.write_text(json.dumps({"ids": rendered.token_ids, "trained": rendered.sampled_mask}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
