"""An optimizer step descends on one mean, in however many micro-batches it is computed."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from module_runs import data, module, table, trainer
from random_models import randomise

from kqa_lightning.data.packing import pack
from kqa_lightning.data.prompts import Gemma2Prompt
from kqa_lightning.model.loss import token_losses
from kqa_lightning.model.module import KQAModule

ARTICLES = 8
Kind = Literal["token", "example"]
Gradients = dict[str, torch.Tensor]
Step = tuple[float, Gradients, float, Gradients]


def gradients(made: KQAModule) -> Gradients:
    return {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


def one_step(base: Path, tables: dict[str, str], kind: Kind, tokens: int | None, accumulate: int) -> Step:
    """Loss, gradients, and by hand the same from one row a question; the learning rate of step 0 is 0."""
    made, questions = module(base, loss_normalisation=kind), data(base, tables, Gemma2Prompt(), tokens_per_batch=tokens)
    made.configure_model()
    randomise(made, seed=3)
    run = trainer(max_steps=1, accumulate_grad_batches=accumulate, limit_val_batches=0)
    run.fit(made, datamodule=questions)
    found, loss = gradients(made), run.callback_metrics["train/loss"].item()
    assert made.model is not None
    made.zero_grad()
    made.train()
    articles = list(questions.articles["train"])
    rows = [
        pack([replace(article, questions=(question,))], 0) for article in articles for question in article.questions
    ]
    answers = [token_losses(made.model, row) for row in rows]
    by_hand = torch.cat(answers).mean() if kind == "token" else torch.stack([one.mean() for one in answers]).mean()
    by_hand.backward()
    return loss, found, by_hand.item(), gradients(made)


@pytest.mark.parametrize("kind", ["token", "example"])
@pytest.mark.parametrize(("tokens", "accumulate"), [(None, ARTICLES), (100_000, 1), (400, 8)])
def test_micro_batches_descend_as_one_batch(
    small_bases: dict[str, Path], tmp_path: Path, kind: Kind, tokens: int | None, accumulate: int
) -> None:
    train = table(tmp_path / "train.csv", ARTICLES)
    loss, found, expected_loss, expected = one_step(
        small_bases["gemma2"], {"train_path": str(train), "val_path": str(train)}, kind, tokens, accumulate
    )
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert set(found) == set(expected)
    for name, gradient in expected.items():
        assert gradient.norm() > 0
        assert (found[name] - gradient).norm() / gradient.norm() < 1e-5, name


def test_the_kinds_differ(small_bases: dict[str, Path], tmp_path: Path) -> None:
    train = table(tmp_path / "train.csv", ARTICLES)
    tables = {"train_path": str(train), "val_path": str(train)}
    losses = [one_step(small_bases["gemma2"], tables, kind, 100_000, 1)[0] for kind in ("token", "example")]
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)
