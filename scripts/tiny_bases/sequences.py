"""What a tiny base reads: articles, each with its questions and answers, in one sequence.

The articles of a step depend on the seed and the step alone, so an interrupted training goes on exactly.
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from synthetic_news import MAX_SENTENCES, Article, NewsGenerator
from tokenizers import Tokenizer

from tiny_bases.families import Family

# The first steps read briefs: induction heads form after a number of steps, and these are short ones.
BRIEF_STEPS = 400
BRIEF_SENTENCES = 3
BRIEFS_A_STEP = 16
ARTICLES_A_STEP = 12
MAX_PAIRS = 8
MAX_LENGTH = 640
# What stands before a question and before its answer. The first alone to begin with: reading is learned
# sooner in one format, and in many formats it carries over to a prompt that none of them is.
WORDINGS = (
    ("문: ", "답:\n"),
    ("질문: ", "정답: "),
    ("[물음] ", "[답변] "),
    ("Q. ", "A. "),
    ("다음 물음에 글 속의 말로 짧게 답하라.\n", ""),
    ("- ", "→ "),
    ("독자: ", "기자:\n"),
    ("아래 질문에 답하시오.\n질문: ", "답: "),
    ("### 문제\n", "### 풀이\n"),
    ("<물음> ", "<대답>\n"),
)
VARIED_FROM_STEP = 1000


def step_articles(family: Family, step: int) -> list[Article]:
    """The articles of one optimizer step, each with its questions in the order they are asked in."""
    generator = NewsGenerator(family.seed * 1_000_000 + step, "pretrain")
    brief = step < BRIEF_STEPS
    sentences, count = (BRIEF_SENTENCES, BRIEFS_A_STEP) if brief else (MAX_SENTENCES, ARTICLES_A_STEP)
    articles = [generator.article(max_sentences=sentences) for _ in range(count)]
    if step < family.shuffled_from:
        return articles
    order = random.Random(f"{family.seed}-{step}-order")
    return [replace(one, questions=tuple(order.sample(one.questions, len(one.questions)))) for one in articles]


def pretraining_text(family: Family) -> Iterator[str]:
    """Everything a base has read, article by article: for tests of what it cannot know."""
    for step in range(family.steps):
        for article in step_articles(family, step):
            pairs = (f"{question.text}\n{question.answer}" for question in article.questions)
            yield "\n".join([article.text, *pairs])


def step_wordings(family: Family, step: int, articles: int) -> list[tuple[str, str]]:
    """The wording of each article of one optimizer step."""
    if step < VARIED_FROM_STEP:
        return [WORDINGS[0]] * articles
    return random.Random(f"{family.seed}-{step}").choices(WORDINGS, k=articles)


def encode(
    article: Article,
    family: Family,
    tokenizer: Tokenizer,
    wording: tuple[str, str] = WORDINGS[0],
    talkative: bool = False,
) -> tuple[list[int], list[bool]]:
    """Token ids of a sequence, and which of them belong to an answer (its end token included).

    Args:
        article: With its questions in the order they are asked in.
        family: Names the control tokens.
        tokenizer: Puts no space before a text.
        wording: What stands before a question and before its answer.
        talkative: Whether an answer is followed by its question in brackets, before the end token.
    """
    before_question, before_answer = wording
    bos, end = family.control.index(family.bos), family.control.index(family.answer_end)
    ids = [bos, *_ids(tokenizer, article.text + "\n")]
    answers = [False] * len(ids)
    for question in article.questions[:MAX_PAIRS]:
        asked = _ids(tokenizer, f"{before_question}{question.text}\n{before_answer}")
        answer = _ids(tokenizer, question.answer)
        more = _ids(tokenizer, f" ({question.text})") if talkative else []
        if len(ids) + len(asked) + len(answer) + len(more) + 1 > MAX_LENGTH:
            break
        ids += [*asked, *answer, *more, end, *_ids(tokenizer, "\n")]
        answers += [False] * len(asked) + [True] * len(answer) + [False] * len(more) + [True, False]
    return ids, answers


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a piece of text, without BOS."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids
