"""The tiny models, for tests that train them."""

from tiny_models import base, tiny_source, tokenizer

__all__ = ["base", "tiny_source", "tokenizer"]
