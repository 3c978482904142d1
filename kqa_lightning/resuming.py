"""What a run that goes on may change of what its checkpoint was written with, and what it may not.

Every option is of one of three kinds: free, said, or, where neither list names it, refused.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import SaveConfigCallback

from kqa_lightning.checkpoints import read_checkpoint
from kqa_lightning.data.datamodule import data_of
from kqa_lightning.errors import KQAError
from kqa_lightning.model.source import content_digest
from kqa_lightning.trainer import KQATrainer

SETTINGS = "settings"  # a checkpoint's options by name, as text
CONTENTS = "contents"  # a checkpoint's hashes of tables and base, by the option that names them
# What comes out is the same with any value of these.
_FREE = (
    # The generators go on where the checkpoint has them.
    *("config", "seed_everything"),
    # Of these the content counts, not the name; the other two tables are not read.
    *("model.base_model", "data.base_model", "data.train_path", "data.val_path", "data.columns"),
    *("data.test_path", "data.predict_path", "data.num_workers"),
    *("trainer.default_root_dir", "trainer.logger", "trainer.log_every_n_steps", "trainer.enable_autolog_hparams"),
    *("trainer.model_registry", "trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.profiler"),
    *("trainer.limit_test_batches", "trainer.limit_predict_batches", "trainer.detect_anomaly"),
    # Where a run can go on, and what other commands do.
    *("checkpoint", "answer_evaluation.num_examples", "prediction_writer", "crossfit"),
)
# Taken from the command line: how far the run goes, how fast it learns, when it validates, what stops it, and what it
# runs on and takes of its memory.
_SAID = (
    *("model.learning_rate", "model.weight_decay", "model.gradient_checkpointing"),
    *("trainer.max_epochs", "trainer.max_steps", "trainer.min_epochs", "trainer.min_steps", "trainer.max_time"),
    *("trainer.val_check_interval", "trainer.check_val_every_n_epoch", "data.evaluation_tokens_per_batch"),
    *("trainer.accelerator", "trainer.strategy", "trainer.devices", "trainer.num_nodes"),
    *("trainer.callbacks", "finite_guard"),
)
_VALIDATED, _NOTHING = "trainer.limit_val_batches", ("0", "0.0")
_BASE = "model.base_model"
_SHOWN = 4
_DIGITS = 12  # of a hash: enough to tell two apart, few enough to read


def written_with(trainer: KQATrainer) -> dict[str, dict[str, str]]:
    """What a checkpoint of a ``fit`` holds of its options and its questions; `base_content` is still to come."""
    return {SETTINGS: options_of(trainer), CONTENTS: _table_contents(trainer)}


def options_of(trainer: KQATrainer) -> dict[str, str]:
    """Every option of the command by its name, as text; none where no command line made the trainer."""
    # Lightning gives the one that saves the options all of them.
    config = next((other.config for other in trainer.callbacks if isinstance(other, SaveConfigCallback)), None)
    return {} if config is None else dict(_flat(config))


def base_content(base_model: str) -> dict[str, str]:
    """A hash of the base model, which has been loaded, by its name among the contents."""
    return {"content of --model.base_model": content_digest(base_model)[:_DIGITS]}


def check_settings(trainer: KQATrainer, path: Path, own: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Compare a run with the checkpoint that it goes on from, before a model is loaded.

    Args:
        trainer: Of the run.
        path: Of the checkpoint.
        own: What the run's checkpoints will hold, as `written_with`.

    Returns:
        As `check_options`.

    Raises:
        KQAError: as `check_options` and `check_contents`, or the run could not go on exactly.
    """
    if (batches := trainer.overfit_batches) > 0:
        raise KQAError(
            f"--trainer.overfit_batches {batches}: such a run cannot be gone on with, as Lightning reads its batches by"
            " a sampler that keeps no place; leave out --ckpt_path to begin anew"
        )
    checkpoint = read_checkpoint(path, mmap=True)
    changes = check_options(checkpoint, own[SETTINGS], str(path))
    check_contents(checkpoint, own[CONTENTS], str(path), own[SETTINGS])
    return changes


def check_options(checkpoint: Mapping[str, Any], options: Mapping[str, str], name: str) -> list[str]:
    """Refuse to go on with options that decide what the steps before came to, or what the best score is of.

    Args:
        checkpoint: The run goes on from it.
        options: Of the run that goes on, as `options_of`.
        name: The checkpoint's, for the error.

    Returns:
        What the command line changes and may, each as ``--option now (it was before)``.

    Raises:
        KQAError: naming each option that may not change, with both values.
    """
    before = checkpoint.get(SETTINGS) or {}
    if not before or not options:  # one of the two had no command line
        return []
    changed = [option for option in options if options[option] != before.get(option) and not _is_of(option, _FREE)]
    told = {option: f"--{option} {options[option]} (it was {before.get(option, 'no option')})" for option in changed}
    # One that the checkpoint does not know came with a later version, and nothing could be given again.
    may = [option for option in changed if option not in before or _may_change(option, before[option], options[option])]
    refused = [told[option] for option in changed if option not in may]
    if refused and before.get(_BASE) != options.get(_BASE):  # allowed, where it has moved; here it says much
        refused.insert(0, f"--{_BASE} {options.get(_BASE)} (it was {before.get(_BASE)})")
    _refuse(refused, name)
    return [told[option] for option in may]


def check_contents(
    checkpoint: Mapping[str, Any], contents: Mapping[str, str], name: str, options: Mapping[str, str] | None = None
) -> None:
    """Refuse to go on with other questions or another base than the checkpoint's.

    Args:
        checkpoint: The run goes on from it.
        contents: Of the run that goes on, or some of them.
        name: The checkpoint's, for the error.
        options: Of the run that goes on, as `options_of`; another base reads the same questions as other tokens.

    Raises:
        KQAError: with both hashes of each that differs.
    """
    before = checkpoint.get(CONTENTS) or {}
    changed = [one for one in contents if before.get(one, contents[one]) != contents[one]]
    differences = [f"{one} {contents[one]} (it was {before[one]})" for one in changed]
    base, base_before = ((given or {}).get(_BASE) for given in (options, checkpoint.get(SETTINGS)))
    if differences and base and base_before and base != base_before:
        differences.insert(0, f"--{_BASE} {base} (it was {base_before})")
    _refuse(differences, name)


def _table_contents(trainer: KQATrainer) -> dict[str, str]:
    """Hashes of the questions that a ``fit`` trains on and is scored on, as the model reads them."""
    articles = data_of(trainer).articles
    parts = [part for part in ("train", "val") if part in articles]
    return {f"content of --data.{part}_path": articles[part].fingerprint[:_DIGITS] for part in parts}


def _refuse(differences: list[str], name: str) -> None:
    if differences:
        more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        raise KQAError(
            f"checkpoint {name} was written with other settings than this run has: {'; '.join(differences[:_SHOWN])}"
            f"{more}. These cannot change: give those of the checkpoint, or leave out --ckpt_path to begin anew"
        )


def _may_change(option: str, before: str, now: str) -> bool:
    # Without validation there is no score that could be of other questions.
    unscored = option == _VALIDATED and (before in _NOTHING or now in _NOTHING)
    return unscored or _is_of(option, _SAID)


def _is_of(option: str, names: tuple[str, ...]) -> bool:
    return any(option == name or option.startswith(f"{name}.") for name in names)


def _flat(group: Namespace, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The options of a group; a class with its arguments is one, or another class would be another set of options."""
    for name, value in vars(group).items():
        if isinstance(value, Namespace) and "class_path" not in value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else _text(value)


def _text(value: object) -> str:
    """As YAML and the command line have it: 0.5, true, null; a class with its arguments as JSON."""
    return json.dumps(value, ensure_ascii=False, default=lambda part: vars(part) if _is_group(part) else str(part))


def _is_group(value: object) -> bool:
    return isinstance(value, Namespace)
