"""Personal data in text: found by pattern and validator. Documents are scrubbed of it, and what is to be released is read again."""

from castalia.web.pii.detect import PERSONAL, find_personal_data
from castalia.web.pii.spans import KINDS, Span, is_placeholder

__all__ = ["KINDS", "PERSONAL", "Span", "find_personal_data", "is_placeholder"]
