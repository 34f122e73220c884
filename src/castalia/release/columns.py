# pyright: basic
"""The columns of released Parquet files, spelled out: a dataset has the same types in every version, also where it is empty."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

_TEXT = pa.string()
_TEXTS = pa.list_(_TEXT)
_MESSAGES = pa.list_(pa.struct([(name, _TEXT) for name in ("role", "channel", "recipient", "name", "content_type", "content")]))
_RUBRIC = pa.struct([(name, pa.float64()) for name in ("accuracy", "safety", "helpfulness", "calibration")])
_ANSWERS = pa.list_(
    pa.struct(
        [
            ("text", _TEXT),
            ("parsed", pa.bool_()),
            ("rubric", _RUBRIC),
            ("checked", pa.bool_()),
            ("disagree", pa.bool_()),
            ("reward", pa.float64()),
        ]
    )
)
_IDS = pa.list_(pa.int32())
_GIVEN = {"instructions": _TEXT, "tools": _TEXT, "response_formats": _TEXT, "effort": _TEXT, "date": _TEXT}
_ABOUT = dict.fromkeys(("id", "subject", "category", "domain", "node", "difficulty", "style"), _TEXT)
_TURNS = {"id": _TEXT, "turn": pa.int32(), "input_ids": _IDS, "loss_mask": pa.list_(pa.int8())}

COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "data/sft": {
        **_ABOUT,
        "kind": _TEXT,
        "messages": _MESSAGES,
        **_GIVEN,
        "check": _TEXT,
        "sources": _TEXTS,
    },
    "data/preferences": {
        **_ABOUT,
        "prompt": _MESSAGES,
        **_GIVEN,
        "chosen": _MESSAGES,
        "rejected": _MESSAGES,
        "chosen_score": pa.float64(),
        "rejected_score": pa.float64(),
        "margin": pa.float64(),
        "decided_by": _TEXT,
        "failure_modes": _TEXTS,
        "chosen_level": _TEXT,
        "rejected_level": _TEXT,
        "on_policy": pa.bool_(),
        "sources": _TEXTS,
    },
    "data/rewards": {
        **_ABOUT,
        "prompt": _MESSAGES,
        **_GIVEN,
        "check": _TEXT,
        "reference": _TEXT,
        "answers": _ANSWERS,
        "formula": _TEXT,
        "sources": _TEXTS,
    },
    "data/replay": {
        **{name: _ABOUT[name] for name in ("id", "subject", "category", "domain", "node")},
        "messages": _MESSAGES,
        **_GIVEN,
        "wrong": _TEXT,
        "failure_type": _TEXT,
        "check": _TEXT,
        "practise": _TEXT,
        "weight": pa.float64(),
    },
    "tokens/sft": _TURNS,
    "tokens/replay": _TURNS,
    "tokens/preferences": {"id": _TEXT, "prompt_ids": _IDS, "chosen_ids": _IDS, "rejected_ids": _IDS},
    "tokens/rewards": {"id": _TEXT, "prompt_ids": _IDS},
    "provenance": {"id": _TEXT, "pages": _TEXTS, "calls": _TEXTS},
}
