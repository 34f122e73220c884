"""Licences: what was seen, what a text is, and what the policy makes of it."""

from castalia.web.licences.decide import decide
from castalia.web.licences.evidence import file_evidence, page_evidence
from castalia.web.licences.files import files_evidence
from castalia.web.licences.policy import PERMISSIVE, Policy
from castalia.web.licences.texts import identify, identify_all

__all__ = ["PERMISSIVE", "Policy", "decide", "file_evidence", "files_evidence", "identify", "identify_all", "page_evidence"]
