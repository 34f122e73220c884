"""Personal data in text: found by pattern and validator. Documents are scrubbed of it, and what is to be released is read again."""

from castalia.web.pii.code import CodeSpans
from castalia.web.pii.detect import PERSONAL, apart, find_personal_data
from castalia.web.pii.spans import KINDS, Span, is_placeholder

__all__ = ["KINDS", "PERSONAL", "CodeSpans", "Span", "apart", "find_personal_data", "is_placeholder"]
