"""One article encoded, and what its segments look like."""

from collections.abc import Sequence

from kqa_lightning.data.encoding import EncodedArticle, PromptEncoder
from kqa_lightning.data.prompts import BOS, EOS, Segment, Stage
from kqa_lightning.data.questions import Question


def encode_one(encoder: PromptEncoder, context: str, questions: Sequence[Question], stage: Stage) -> EncodedArticle:
    """An article whose questions can all share it."""
    ((article,),) = encoder.encode_articles([(context, questions)], stage)
    return article


def render(encoder: PromptEncoder, segments: Sequence[Segment]) -> str:
    """Segments as a reader sees them, control tokens by the tokenizer's names."""
    names = {BOS: encoder.tokenizer.bos_token, EOS: encoder.tokenizer.eos_token}
    return "".join(names.get(segment, segment.text) for segment in segments)


def sequences(article: EncodedArticle) -> list[tuple[int, ...]]:
    """Each question with its article and its answer."""
    return [article.prefix_ids + question.question_ids + question.answer_ids for question in article.questions]
