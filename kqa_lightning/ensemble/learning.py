"""The strategies that learn: from prediction files to one answer a question."""

import filecmp
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from kqa_lightning.data.splits import article_key
from kqa_lightning.ensemble.candidates import CandidatePool
from kqa_lightning.ensemble.drawing import draw
from kqa_lightning.ensemble.evaluation import mark_hypotheses
from kqa_lightning.ensemble.fitting import Fit, fit_weighted
from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.pairwise import Floats, Integers
from kqa_lightning.ensemble.questions import Question, number_articles, number_keys
from kqa_lightning.ensemble.stacking import Stacking, count_texts, train_stacking
from kqa_lightning.ensemble.tables import first_few
from kqa_lightning.errors import KQAError


@dataclass(frozen=True)
class OutOfFold:
    """Answers of models that have not read the gold answers, and those.

    Attributes:
        every_question: the ids of all questions that they answer.
        hypotheses: the answers to those questions that are learned from: all, or about `LEARN_FROM` of them.
        marks: of each hypothesis its character F1 with gold, (hypotheses,).
        table: the articles and questions by id, as far as they are known.
        articles: of each question learned from the number of its article, its own where none is known.
        knows_articles: whether the article of any question is known.
    """

    every_question: Sequence[str]
    hypotheses: Hypotheses
    marks: Floats
    table: Mapping[str, Question]
    articles: Sequence[int]
    knows_articles: bool


def check_sources(sources: Mapping[str, Path], predictions: Mapping[str, Path]) -> dict[str, Path]:
    """The out-of-fold files in the order of the models to combine, which ``predictions`` names with their files.

    Raises:
        KQAError: they are those of other models, or two files, also of those to combine, are the same.
    """
    if set(sources) != set(predictions):
        raise KQAError(
            f"--oof has the models {', '.join(sources)}, and those to combine are {', '.join(predictions)}: "
            "what is learned from some models says nothing about others"
        )
    for place, (name, path) in enumerate(sources.items()):
        if any(_same_content(path, other) for other in predictions.values()):
            raise KQAError(f"--oof {name}={path}: that is also a file to combine; learn from other questions")
        for other, earlier in list(sources.items())[:place]:
            if _same_content(path, earlier):
                raise KQAError(f"--oof {name}={path}: the same as {other}={earlier}; each model needs its own answers")
    return {name: sources[name] for name in predictions}


def check_unseen(learned_from: OutOfFold, questions: Sequence[str], table: Mapping[str, Question]) -> None:
    """Refuse to learn from the questions that are to be answered, or from others on their articles.

    Two tables may number their questions alike, so an id that both have is not enough. Where no texts tell, the
    questions are taken for the same if most ids of one side are the other's too.

    Args:
        learned_from: what to learn from.
        questions: the ids that answers are chosen to.
        table: their articles and questions, as far as these are known.

    Raises:
        KQAError: naming the ids.
    """
    answered = learned_from.every_question
    remedy = "give out-of-fold answers to other questions, those of the training table"
    ids = set(answered)
    shared = [name for name in questions if name in ids]
    pairs = [(learned_from.table.get(name, Question()), table.get(name, Question())) for name in shared]
    alike = [_same_question(*pair) for pair in pairs]
    known = [name for name, same in zip(shared, alike, strict=True) if same]
    untold = [name for name, same in zip(shared, alike, strict=True) if same is None]
    if not known and 2 * len(untold) > min(len(ids), len(questions)):
        known, remedy = untold, f"{remedy}, or show by --table and --oof-gold with articles that these are others"
    if known:
        raise KQAError(f"--oof answers the questions that are to be combined, {first_few(known)}: {remedy}")
    articles = {article_key(context) for context in set(_contexts(learned_from.table, answered).values())}
    contexts = _contexts(table, questions)
    met = {context for context in set(contexts.values()) if article_key(context) in articles}
    about_them = [name for name, context in contexts.items() if context in met]
    if about_them:
        raise KQAError(
            f"--oof has articles of the questions that are to be combined, {first_few(about_them)}: {remedy}"
        )


def out_of_fold(
    pool: CandidatePool,
    gold: Mapping[str, Sequence[str]],
    table: Mapping[str, Question] | None = None,
    seed: int = 0,
) -> OutOfFold:
    """What there is to learn from.

    Args:
        pool: the candidates.
        gold: {id: gold answers} of at least the pool's questions.
        table: articles and questions, as far as they are known and are to be learned from.
        seed: of the draw of questions, where there are many.
    """
    table = table or {}
    known = number_articles(table, pool.questions)
    # By their ids, so that the order of the rows makes no difference.
    articles = number_keys(pool.questions) if known is None else known
    chosen = draw(pool.questions, articles, seed)
    hypotheses = Hypotheses(pool if chosen.all() else pool.part(chosen))
    marks = mark_hypotheses(hypotheses, gold).char_f1
    drawn = list(compress(articles, chosen))
    return OutOfFold(pool.questions, hypotheses, marks, table, drawn, known is not None)


def fit_to(learned_from: OutOfFold, weights: Mapping[str, float] | None = None) -> Fit:
    """`weighted`, with its temperature and, where these are not given, its weights."""
    return fit_weighted(learned_from.hypotheses, learned_from.marks, weights)


def train_for(
    learned_from: OutOfFold, questions: Sequence[str], table: Mapping[str, Question], seed: int = 0
) -> Stacking:
    """`stacking`, which learns from articles and questions where both sides have most of them.

    Args:
        learned_from: what to learn from.
        questions: the ids that it will choose answers to.
        table: their articles and questions, as far as these are known.
        seed: of the regressions.

    Raises:
        KQAError: scikit-learn is not installed, or there are fewer than two articles to learn from.
    """
    both = _has_most(learned_from.table, learned_from.every_question) and _has_most(table, questions)
    known = learned_from.table if both else None
    return train_stacking(learned_from.hypotheses, learned_from.marks, learned_from.articles, known, seed)


def answers_at(pool: CandidatePool, places: Integers) -> dict[str, str]:
    """The chosen candidates as they stand: {id: answer}."""
    return {name: pool.answers[place] for name, place in zip(pool.questions, places, strict=True)}


def _has_most(table: Mapping[str, Question], questions: Sequence[str]) -> bool:
    """Whether articles and questions are known of more than half; what is learned from few would say little of all."""
    return 2 * count_texts(table, questions) > len(questions)


def _same_content(path: Path, other: Path) -> bool:
    """Whether two files are the same or copies of each other; what is missing is told when it is read."""
    return path.is_file() and other.is_file() and filecmp.cmp(path, other, shallow=False)


def _same_question(one: Question, other: Question) -> bool | None:
    """Whether two rows are one question, by what is known of both; None where nothing is."""
    texts = [(one.context, other.context), (one.question, other.question)]
    known = [article_key(first) == article_key(second) for first, second in texts if first and second]
    return all(known) if known else None


def _contexts(table: Mapping[str, Question], questions: Sequence[str]) -> dict[str, str]:
    """The article of each question that has one."""
    found = {name: table[name].context for name in questions if name in table}
    return {name: context for name, context in found.items() if context}
