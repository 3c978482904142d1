"""What kind of answer a Korean question asks for, by its question word."""

import re

# The first that is found wins. Words that ask come before nouns that only tell what a 무엇 stands for.
_KINDS = {
    "who": "누구|누가|누굴",
    "when": "언제|며칠|몇 ?(?:년|월|일|시)(?! ?(?:간|동안|만|째|치|장))",
    "where": "어디|어딘",
    "how much": "얼마",
    "how many": "몇",
    "why": "왜(?!곡|소|구|성|색)|이유|원인|배경|까닭|(?:무엇|뭐|무슨[^,]*?) ?때문|때문(?!에)",
    "how": "어떻게|어떠|방법|방식",
    "which": "어느|어떤|무슨",
    "what": "무엇|뭐|뭘|무얼|무언",
}
KINDS = (*_KINDS, "other")
_PATTERNS = [re.compile(pattern) for pattern in _KINDS.values()]


def question_kind(question: str) -> int:
    """The place in `KINDS` of the kind of question; that of ``other`` where no question word is found.

    >>> [KINDS[question_kind(text)] for text in ("대표는 누구인가?", "줄어든 이유는 무엇인가?", "답하시오.")]
    ['who', 'why', 'other']
    """
    return next((place for place, pattern in enumerate(_PATTERNS) if pattern.search(question)), len(_PATTERNS))
