"""Pre-training of a tiny base from scratch: articles with question-answer pairs, one sequence each.

To read an answer out of an article a model must form induction heads: find where the question's words
stood before, and copy what follows. Several pairs a sequence make that worth learning early. The batch
of a step depends on the seed and the step alone, so an interrupted training goes on exactly.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from synthetic_news import MAX_SENTENCES, Article, NewsGenerator
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from transformers import AutoModelForCausalLM, PreTrainedModel

from tiny_bases.families import Family
from tiny_bases.vocabulary import without_leading_space

# The first steps read briefs: induction heads form after a number of steps, and these are short ones.
BRIEF_STEPS = 400
BRIEF_SENTENCES = 3
BRIEFS_A_STEP = 16
ARTICLES_A_STEP = 12
MICRO_BATCH = 8
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
TEXT_WEIGHT = 0.3
LEARNING_RATE = 1.5e-3
MUON_LEARNING_RATE = 0.02
WARMUP_STEPS = 60
DECAY_SHARE = 0.3
SAVE_EVERY = 100
IGNORED = -100


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


def pretrain(family: Family, tokenizer: Tokenizer, work: Path) -> PreTrainedModel:
    """Train a base, going on from what ``work`` holds of an earlier call."""
    tokenizer = without_leading_space(tokenizer)
    torch.manual_seed(family.seed)
    model = AutoModelForCausalLM.from_config(
        family.config(), attn_implementation="eager" if family.name == "gemma2" else "sdpa"
    )
    start_mimetic(model)
    optimizers = _optimizers(model)
    first = _restore(work, family, model, optimizers)
    bar = tqdm(range(first, family.steps), initial=first, total=family.steps, desc=f"tiny-{family.name}")
    for step in bar:
        scale = _schedule(step, family.cycles)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * scale
        losses = _train_step(model, family, tokenizer, step, optimizers)
        bar.set_postfix(text=f"{losses[0]:.3f}", answer=f"{losses[1]:.3f}", right=f"{losses[2]:.1%}")
        if (step + 1) % SAVE_EVERY == 0:
            _save(work, family, model, optimizers, step + 1)
            bar.write(f"{family.name} {step + 1} text {losses[0]:.3f} answer {losses[1]:.3f} right {losses[2]:.3f}")
    return model


@torch.no_grad()
def start_mimetic(model: PreTrainedModel) -> None:
    """Start each head looking for its own token and passing it on.

    Trockman and Kolter, "Mimetic Initialization of Self-Attention Layers" (2023): queries like keys,
    outputs like values. Copying then begins within some hundred steps instead of a thousand.
    """
    width = model.config.hidden_size
    torch.nn.init.normal_(cast(Tensor, model.get_input_embeddings().weight), std=width**-0.5)
    for layer in cast(Any, model.get_decoder()).layers:
        attention = layer.self_attn
        groups = attention.q_proj.out_features // attention.k_proj.out_features
        for projection in (attention.k_proj, attention.v_proj):
            projection.weight.normal_(0, width**-0.5)
        attention.q_proj.weight.copy_(_a_head_each(attention.k_proj.weight, attention.head_dim, groups))
        values = _a_head_each(attention.v_proj.weight, attention.head_dim, groups)
        attention.o_proj.weight.normal_(0, 0.01).add_(values.T, alpha=0.3)


def _a_head_each(weight: Tensor, head_dim: int, groups: int) -> Tensor:
    """Repeat each key or value head for the query heads that share it: [heads * head_dim, width]."""
    heads = weight.view(-1, head_dim, weight.shape[1])
    return heads.repeat_interleave(groups, 0).reshape(-1, weight.shape[1])


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a piece of text, without BOS."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def _train_step(
    model: PreTrainedModel,
    family: Family,
    tokenizer: Tokenizer,
    step: int,
    optimizers: list[torch.optim.Optimizer],
) -> tuple[float, float, float]:
    """One optimizer step; returns text loss, answer loss and the share of answer tokens foretold."""
    articles = step_articles(family, step)
    wordings = step_wordings(family, step, len(articles))
    talkative = family.talkative_from is not None and step >= family.talkative_from
    encoded = [
        encode(article, family, tokenizer, wording, talkative)
        for article, wording in zip(articles, wordings, strict=True)
    ]
    encoded.sort(key=lambda pair: len(pair[0]))
    answer_tokens = sum(sum(answers) for _, answers in encoded)
    text_tokens = sum(len(ids) for ids, _ in encoded) - answer_tokens
    text_sum = answer_sum = right = 0.0
    for start in range(0, len(encoded), MICRO_BATCH):
        ids, answers, real = _pad(encoded[start : start + MICRO_BATCH])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        targets = ids[:, 1:].masked_fill(~real[:, 1:], IGNORED)
        losses = functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        on_answer = answers[:, 1:]
        answer_loss, text_loss = losses[on_answer].sum(), losses[~on_answer].sum()
        (answer_loss / answer_tokens + TEXT_WEIGHT * text_loss / text_tokens).backward()
        text_sum += text_loss.item()
        answer_sum += answer_loss.item()
        right += (logits.argmax(-1) == targets)[on_answer].sum().item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return text_sum / text_tokens, answer_sum / answer_tokens, right / answer_tokens


def _pad(encoded: list[tuple[list[int], list[bool]]]) -> tuple[Tensor, Tensor, Tensor]:
    """Right-padded ids, answer mask and mask of real positions: each [sequences, length]."""
    length = max(len(ids) for ids, _ in encoded)
    ids = torch.zeros(len(encoded), length, dtype=torch.long)
    answers = torch.zeros(len(encoded), length, dtype=torch.bool)
    real = torch.zeros(len(encoded), length, dtype=torch.bool)
    for row, (row_ids, row_answers) in enumerate(encoded):
        ids[row, : len(row_ids)] = torch.tensor(row_ids)
        answers[row, : len(row_ids)] = torch.tensor(row_answers)
        real[row, : len(row_ids)] = True
    return ids, answers, real


def _optimizers(model: PreTrainedModel) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms (Jordan et al., 2024)."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon([{"params": matrices, "peak_lr": MUON_LEARNING_RATE}], weight_decay=0.01),
        torch.optim.AdamW([{"params": others, "peak_lr": LEARNING_RATE}], betas=(0.9, 0.95), weight_decay=0.01),
    ]


def _schedule(step: int, cycles: Sequence[int]) -> float:
    """Share of the peak learning rate: in each cycle linear warm-up, plateau, linear decay to a fiftieth."""
    for steps in cycles:
        if step < steps:
            break
        step -= steps
    decay_from = steps * (1 - DECAY_SHARE)
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    return warm * min(1.0, max(0.02, (steps - step) / (steps - decay_from)))


def recipe(family: Family, steps: int) -> str:
    """A hash of what decided the first ``steps`` steps: more of them may follow, but these cannot become others."""
    data = (
        BRIEF_STEPS,
        BRIEF_SENTENCES,
        BRIEFS_A_STEP,
        MAX_SENTENCES,
        ARTICLES_A_STEP,
        MAX_PAIRS,
        MAX_LENGTH,
        WORDINGS,
    )
    training = (MICRO_BATCH, TEXT_WEIGHT, LEARNING_RATE, MUON_LEARNING_RATE, VARIED_FROM_STEP)
    phases = [start for start in (family.shuffled_from, family.talkative_from) if start is not None and start < steps]
    schedule = [_schedule(step, family.cycles) for step in range(steps)]
    own = (family.seed, family.vocabulary, family.control, sorted(family.architecture.items()))
    return hashlib.sha256(repr((data, training, phases, schedule, own)).encode()).hexdigest()


def _save(
    work: Path, family: Family, model: PreTrainedModel, optimizers: list[torch.optim.Optimizer], step: int
) -> None:
    """Write the state beside its target and rename it, so that a kill leaves the one before."""
    work.mkdir(parents=True, exist_ok=True)
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "step": step,
        "recipe": recipe(family, step),
    }
    torch.save(state, work / "state.part")
    (work / "state.part").replace(work / "state.pt")


def _restore(work: Path, family: Family, model: PreTrainedModel, optimizers: list[torch.optim.Optimizer]) -> int:
    """Load the state of an earlier call; returns the number of steps it had done."""
    if not (work / "state.pt").exists():
        return 0
    state = torch.load(work / "state.pt", weights_only=True)
    if state["recipe"] != recipe(family, state["step"]):
        raise SystemExit(f"error: {work / 'state.pt'} was made by another recipe: delete it to start anew")
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])
