"""Releases: accepted records frozen into versioned folders with card, attribution, provenance and lock."""

from castalia.release.accept import DATASETS, Accepted, accept
from castalia.release.publish import Release, publish, released_versions, verify_release

__all__ = ["DATASETS", "Accepted", "Release", "accept", "publish", "released_versions", "verify_release"]
