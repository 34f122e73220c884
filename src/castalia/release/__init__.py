"""Releases: accepted records frozen into versioned folders with card, attribution, provenance and lock."""

from castalia.release.accept import Accepted, accept
from castalia.release.publish import Release, all_releases, publish, released_versions, verify_release

__all__ = ["Accepted", "Release", "accept", "all_releases", "publish", "released_versions", "verify_release"]
