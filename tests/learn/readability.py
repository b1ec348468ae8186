"""Compute the Flesch-Kincaid grade of a text (Kincaid et al. 1975, Navy report 8-75).

Grade = 0.39 * words per sentence + 11.8 * syllables per word - 15.59. A grade is a school year in
the United States; a child of 12 is in the seventh grade. Syllables are counted as groups of
vowels, without a silent ending.
"""

import re

_SENTENCE_END = re.compile(r"[.?:;](?=\s|$)|\n\s*\n")
_WORD = re.compile(r"[A-Za-z][A-Za-z'\u2019-]*")
_VOWEL_GROUP = re.compile(r"[aeiouy]+")
_SILENT_ENDING = re.compile(r"(?:[^laeiouy]e|[^td]ed|[^sxzhgc]es)$")


def syllable_count(word: str) -> int:
    """Return the number of syllables of an English word, at least 1."""
    lowercase = word.lower().strip("'")
    return max(1, len(_VOWEL_GROUP.findall(lowercase)) - bool(_SILENT_ENDING.search(lowercase)))


def flesch_kincaid_grade(text: str) -> float:
    """Return the Flesch-Kincaid grade. Colons, semicolons and empty lines also end a sentence."""
    sentences = [found for part in _SENTENCE_END.split(text) if (found := _WORD.findall(part))]
    words = [word for sentence in sentences for word in sentence]
    per_word = sum(map(syllable_count, words)) / len(words)
    return 0.39 * len(words) / len(sentences) + 11.8 * per_word - 15.59
