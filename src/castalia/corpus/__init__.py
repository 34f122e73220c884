"""A licensed corpus alone: pages of some sites as clean documents in Parquet, with a report. No taxonomy, no oracle, no key."""

from castalia.corpus.facts import CorpusFacts
from castalia.corpus.job import Collected, collect_corpus, open_corpus

__all__ = ["Collected", "CorpusFacts", "collect_corpus", "open_corpus"]
