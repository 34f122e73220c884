"""The GPT-OSS vocabulary as the files that Hugging Face's tokenizers read, with the same ids.

`tokenizer.json` is written from the ranks, so that neither a download nor a library is needed to write it. Byte-pair
merges are every split of a token into two others, by rank; tokens that are whole words are taken as they stand
(`ignore_merges`), which together give what ranks give.
"""

import json
from pathlib import Path
from typing import Any

from castalia.harmony.gpt_oss import NAMED, PATTERN, SPECIAL, parse_ranks, read_ranks
from castalia.harmony.vocabulary import RETURN

_PADDING = "<|endoftext|>"
_BEGIN = "<|startoftext|>"


def save_tokenizer(folder: Path) -> Path:
    """Writes `tokenizer.json` and `tokenizer_config.json` to `folder`, for `AutoTokenizer.from_pretrained(folder)`; returns it.

    Ids are those of `gpt_oss_vocabulary()`. There is no chat template in it: render with `render_samples`. Takes some
    seconds. Raises ConfigError when the ranks are absent or are not the published ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": _BEGIN,
        "eos_token": RETURN,
        "pad_token": _PADDING,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 131072,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer(), ensure_ascii=False), encoding="utf-8")
    return folder


def _tokenizer() -> dict[str, Any]:
    ranks = parse_ranks(read_ranks())
    letters = _letters()
    spelled = {token: "".join(letters[byte] for byte in token) for token in ranks}
    names = {number: text for text, number in {**NAMED, **SPECIAL}.items()}  # ids in between need a name: they are given in order
    splits = sorted(
        (rank, ranks[token[:cut]], ranks[token[cut:]], token[:cut], token[cut:])
        for token, rank in ranks.items()
        for cut in range(1, len(token))
        if token[:cut] in ranks and token[cut:] in ranks
    )
    bytes_to_letters: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(number, names.get(number, f"<|reserved_{number}|>")) for number in range(len(ranks), max(names) + 1)],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False},
                bytes_to_letters,
            ],
        },
        "post_processor": None,
        "decoder": bytes_to_letters,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": {spelled[token]: rank for token, rank in ranks.items()},
            "merges": [[spelled[left], spelled[right]] for *_, left, right in splits],
        },
    }


def _letters() -> list[str]:
    """The visible letter that stands for each byte in such a file: itself where it is visible, one above U+0100 where not."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) if byte in visible else chr(256 + hidden.index(byte)) for byte in range(256)]


def _added(number: int, text: str) -> dict[str, Any]:
    return {"id": number, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
