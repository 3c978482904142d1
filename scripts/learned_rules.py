"""The learned strategies of the ensemble script: their options, what is wrong with these, and their answers."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kqa_lightning.ensemble.hypotheses import Hypotheses
from kqa_lightning.ensemble.learning import OutOfFold
from kqa_lightning.ensemble.predictions import parse_sources
from kqa_lightning.ensemble.questions import Question
from kqa_lightning.ensemble.tables import nfc
from kqa_lightning.errors import KQAError


@dataclass(frozen=True)
class LearnedOptions:
    """What was asked of the learned strategies.

    Attributes:
        names: those to apply.
        written: the strategy whose answers are written, learned or not.
        sources: {model: its out-of-fold predictions}, in the order of the models; empty where there are none.
        gold: the table with the gold answers to these.
        weights: of the models, where they were given.
        seed: of the draw of questions to learn from.
    """

    names: list[str]
    written: str
    sources: dict[str, Path] = field(default_factory=dict)
    gold: str = ""
    weights: dict[str, float] | None = None
    seed: int = 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the learned strategies."""
    parser.add_argument(
        "--oof",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=FILE",
        help="out-of-fold predictions of the same models, to learn weights, temperature and stacking from: for each "
        "model a predictions.jsonl (or .csv) with answers to questions that it was not trained on",
    )
    parser.add_argument(
        "--oof-gold",
        metavar="TABLE",
        help="the gold answers to the questions of --oof, for stacking with their articles and questions: the table "
        "of the training, in the same forms as --gold",
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        action="extend",
        metavar="NAME=NUMBER",
        help="weights of the models in weighted (default: their F1 in --oof, without it all the same); "
        "a model that is not named weighs 1",
    )
    parser.add_argument(
        "--seed", type=int, help="of the draw of some 10,000 questions to learn from, where --oof has more (default: 0)"
    )


def check_options(options: argparse.Namespace, predictions: Mapping[str, Path], everything: bool) -> LearnedOptions:
    """What to learn, with all that can be refused before a file is read refused.

    Args:
        options: as parsed.
        predictions: {model: its file} of the models to combine.
        everything: whether every strategy is shown, and not just the one that is written.
    """
    if bool(options.oof) != bool(options.oof_gold):
        given, missing = ("--oof", "--oof-gold TABLE") if options.oof else ("--oof-gold", "--oof NAME=FILE")
        raise KQAError(f"{given} needs {missing} beside it: predictions and the gold answers to their questions")
    if options.strategy == "stacking" and not options.oof:
        raise KQAError(
            "--strategy stacking needs --oof NAME=FILE for each model and --oof-gold TABLE: predictions on questions "
            "that it was not trained on, to learn from"
        )
    if options.seed is not None and not options.oof:
        raise KQAError(f"--seed {options.seed}: it draws from the questions of --oof, and there is none")
    seed = options.seed or 0
    if not 0 <= seed < 2**32:
        raise KQAError(f"--seed {options.seed}: a seed is a whole number from 0 to 2**32 - 1")
    weights = parse_weights(options.weights, list(predictions)) if options.weights else None
    wanted = ["weighted", *(["stacking"] if options.oof else [])]
    names = wanted if everything else [name for name in wanted if name == options.strategy]
    sources = parse_sources(options.oof, flag="--oof", least=0)
    if sources:
        from kqa_lightning.ensemble.learning import check_sources

        sources = check_sources(sources, predictions)
    if options.strategy == "stacking":
        from kqa_lightning.ensemble.stacking import check_installed

        check_installed()
    _check_use(options, names)
    return LearnedOptions(names, options.strategy, sources, options.oof_gold or "", weights, seed)


def _check_use(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Refuse options that no strategy which is applied looks at."""
    uses = (
        ("--oof", options.oof, ("weighted", "stacking")),
        ("--weights", options.weights, ("weighted",)),
    )
    for flag, given, strategies in uses:
        if given and not set(strategies) & set(names):
            raise KQAError(f"{flag} is of no use to --strategy {options.strategy}, only to {' and '.join(strategies)}")


def parse_weights(arguments: Sequence[str], models: Sequence[str]) -> dict[str, float]:
    """``NAME=NUMBER`` arguments as {name: weight}, each name once and that of a model."""
    from kqa_lightning.ensemble.weighted import check_weights

    weights: dict[str, float] = {}
    for argument in arguments:
        name, _, number = argument.partition("=")
        name = nfc(name.strip())
        try:
            weight = float(number)
        except ValueError:
            raise KQAError(f"--weights {argument!r}: weights are given as NAME=NUMBER") from None
        if name in weights:
            raise KQAError(f"--weights {argument!r}: the name {name!r} is given twice")
        weights[name] = weight
    check_weights(weights, models)
    return weights


def learned_rules(
    options: LearnedOptions, hypotheses: Hypotheses, table: Mapping[str, Question], learned_from: OutOfFold | None
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The answers of the strategies asked for, {strategy: {id: answer}}, and lines on what was learned.

    Where scikit-learn is not installed and stacking is not the strategy to write, a line says that it is left out.
    """
    from kqa_lightning.ensemble import learned_notes, learning
    from kqa_lightning.ensemble.weighted import Weighted

    pool, rules, notes = hypotheses.pool, {}, []
    if learned_from:
        learning.check_unseen(learned_from, pool.questions, table)
        notes += learned_notes.describe_unlike(learned_from.hypotheses.pool, pool)
    if "weighted" in options.names:
        strategy = Weighted(options.weights or {})
        if learned_from:
            fit = learning.fit_to(learned_from, options.weights)
            strategy = fit.strategy
            notes.append(learned_notes.describe_fit(fit, learned_from))
        else:
            notes += learned_notes.describe_mixed(pool)
        rules["weighted"] = learning.answers_at(pool, strategy.choose(hypotheses))
    if "stacking" in options.names and learned_from:
        try:
            stacking = learning.train_for(learned_from, pool.questions, table, options.seed)
        except KQAError as error:
            if options.written == "stacking":
                raise
            notes.append(f"stacking is left out: {error}")
        else:
            notes.append(learned_notes.describe_stacking(stacking, learned_from))
            rules["stacking"] = learning.answers_at(pool, stacking.choose(hypotheses, table))
    return rules, notes
