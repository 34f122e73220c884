"""Code in running text: closed by as many backticks as it was opened with (CommonMark 6.1, 4.5)."""

from bisect import bisect_left


class CodeSpans:
    """Spans and fences of a text. Built in time linear in it."""

    def __init__(self, text: str) -> None:
        runs: list[tuple[int, int]] = []
        place = text.find("`")
        while place >= 0:
            end = place
            while text[end : end + 1] == "`":
                end += 1
            runs.append((place, end))
            place = text.find("`", end)
        following: dict[int, list[int]] = {}
        for number, (start, end) in enumerate(runs):
            following.setdefault(end - start, []).append(number)
        self._starts: list[int] = []
        self._ends: list[int] = []
        number = 0
        while number < len(runs):
            same = following[runs[number][1] - runs[number][0]]
            later = bisect_left(same, number + 1)
            if later < len(same):
                self._starts.append(runs[number][0])
                self._ends.append(runs[same[later]][1])
                number = same[later]
            number += 1

    def touches(self, start: int, end: int) -> bool:
        """Whether a part of the text shares a character with code."""
        place = bisect_left(self._ends, start + 1)
        return place < len(self._starts) and self._starts[place] < end
