"""Tiny random models and a byte tokenizer, built here: no weights are read, nothing is fetched. A conftest imports what its tests ask for."""

import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """One token a byte."""
    pytest.importorskip("torch")
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    model = tokenizers.models.BPE(vocab={"<pad>": 0, **{letter: n for n, letter in enumerate(letters, start=1)}}, merges=[])
    raw = tokenizers.Tokenizer(model)
    raw.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = tokenizers.decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<pad>", clean_up_tokenization_spaces=False
    )


@pytest.fixture(scope="session")
def tiny_source(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a two-layer Llama with tied embeddings, as a Hub would give it: without Harmony tokens."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    torch.set_num_threads(1)
    source = tmp_path_factory.mktemp("source")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(source)
    tokenizer.save_pretrained(source)
    return source


@pytest.fixture(scope="session")
def base(tiny_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, prepared: the seven tokens added."""
    from castalia.training.models import prepare_base

    return prepare_base(str(tiny_source), tmp_path_factory.mktemp("base") / "model")
