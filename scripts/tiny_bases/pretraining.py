"""Pre-training of a tiny base from scratch: articles with question-answer pairs, one sequence each.

To read an answer out of an article a model must form induction heads: find where the question's words
stood before, and copy what follows. Several pairs a sequence make that worth learning early.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from synthetic_news import MAX_SENTENCES
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from transformers import AutoModelForCausalLM, PreTrainedModel

from kqa_lightning.errors import KQAError
from tiny_bases import sequences
from tiny_bases.families import Family
from tiny_bases.sequences import encode, step_articles, step_wordings
from tiny_bases.vocabulary import without_leading_space

MICRO_BATCH = 8
TEXT_WEIGHT = 0.3
LEARNING_RATE = 1.5e-3
MUON_LEARNING_RATE = 0.02
WARMUP_STEPS = 60
DECAY_SHARE = 0.3
SAVE_EVERY = 100
IGNORED = -100


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
        if step in family.restarted_from:
            _restart(model, optimizers)
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


@torch.no_grad()
def _restart(model: PreTrainedModel, optimizers: list[torch.optim.Optimizer]) -> None:
    """Leave the model as its file has it, and the optimizers as new ones: so a training goes on from a file alone."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half())
    for optimizer in optimizers:
        optimizer.state.clear()


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
        sequences.BRIEF_STEPS,
        sequences.BRIEF_SENTENCES,
        sequences.BRIEFS_A_STEP,
        MAX_SENTENCES,
        sequences.ARTICLES_A_STEP,
        sequences.MAX_PAIRS,
        sequences.MAX_LENGTH,
        sequences.WORDINGS,
    )
    training = (MICRO_BATCH, TEXT_WEIGHT, LEARNING_RATE, MUON_LEARNING_RATE, sequences.VARIED_FROM_STEP)
    starts = (family.shuffled_from, family.talkative_from, *family.restarted_from)
    phases = [start for start in starts if start is not None and start < steps]
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
        raise KQAError(f"{work / 'state.pt'} was made by another recipe: delete it to start anew")
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])
