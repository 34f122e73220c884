"""The language of a text by its script, and for Latin letters by its commonest words: enough to tell pages apart, no more."""

import re
from collections import Counter

_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
_COMMON = {
    "en": "the of and to in is that for it with as was on are this be have you",
    "de": "der die und das ist nicht ein eine mit auf für den von zu im sich auch werden",
    "fr": "le la les des et est une dans pour que qui sur pas avec ce au plus sont",
    "es": "el los las de y es una en para que por con del se como más su son",
    "it": "il di che è la per un non con sono del una della gli anche più nel questo",
    "pt": "o de que não uma os para com em do da é por mais como dos ao são",
    "nl": "de het een en van ik is dat niet zijn op te voor met die aan ook er",
    "sv": "och att det som en är på för med av till den inte har de om ett jag",
    "da": "og det at en er til af på for med den ikke der som har de et jeg",
    "pl": "i w nie na się z do to jest że jak o po ale od za co przez",
    "tr": "ve bir bu için ile de da çok ne gibi daha olarak olan sonra kadar ama en mi",
    "cs": "a se na je že to v s z do ve pro jako by jsou po ale jsem",
}
_WORDS = {
    word: tuple(language for language, words in _COMMON.items() if word in words.split())
    for words in _COMMON.values()
    for word in words.split()
}
_WORD = re.compile(r"[^\W\d_]+")
_ENOUGH = 8
"""Common words below which nothing is said."""


def detect_language(text: str) -> str:
    """BCP 47 language of `text`, empty where it can't be told."""
    sample = text[:20_000]
    if not sample.isascii() and (script := _script(sample)):
        return script
    counts = Counter(_WORD.findall(sample.lower()))
    votes: Counter[str] = Counter()
    for word in _WORDS.keys() & counts.keys():
        for language in _WORDS[word]:
            votes[language] += counts[word]
    best = votes.most_common(2)
    if not best or best[0][1] < _ENOUGH or (len(best) > 1 and best[0][1] < 1.2 * best[1][1]):
        return ""
    return best[0][0]


def _script(sample: str) -> str:
    """The language whose script the letters are mostly of."""
    found = [(language, len(script.findall(sample))) for language, script in _SCRIPTS]
    if not any(count for _, count in found):
        return ""
    letters = sum(map(str.isalpha, sample))
    return next((language for language, count in found if letters and count > (0.1 if language == "ja" else 0.3) * letters), "")
