"""Releases: accepted records frozen into versioned folders with card, attribution, provenance and lock."""

from castalia.release.accept import Accepted, Passed, accept, what_passed
from castalia.release.difference import Change, Difference, compare_releases
from castalia.release.publish import Release, all_releases, find_release, publish, released_versions, verify_release

__all__ = [
    "Accepted", "Change", "Difference", "Passed", "Release", "accept", "all_releases", "compare_releases", "find_release", "publish",
    "released_versions", "verify_release", "what_passed",
]  # fmt: skip
