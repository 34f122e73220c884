"""Personal data in text: found by pattern and validator. Documents are scrubbed of it, and what is to be released is read again."""

from castalia.web.pii.detect import Span, find_personal_data

__all__ = ["Span", "find_personal_data"]
