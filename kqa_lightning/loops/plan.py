"""What a cross-fitting was begun with, so that no fold is ever joined to folds made otherwise."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets

from kqa_lightning.errors import KQAError
from kqa_lightning.files import written_whole
from kqa_lightning.messages import say
from kqa_lightning.run_folder import RunFolder

PLAN = "plan.json"
# Whatever is not named here decides, so that a new setting is never passed over.
_DO_NOT = (
    *("config", "crossfit.final_model", "prediction_writer.path"),
    # Of these tables the content counts, not the name; the other two are not read.
    *("data.train_path", "data.val_path", "data.test_path", "data.predict_path", "data.num_workers"),
    # Which devices does not matter; how many processes there are stands beside these.
    *("trainer.default_root_dir", "trainer.devices", "trainer.num_nodes"),
    *("trainer.logger", "trainer.log_every_n_steps", "trainer.enable_autolog_hparams", "trainer.model_registry"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.profiler"),
    "trainer.limit_test_batches",
    # These can stop a run, and a run that was not stopped is the same without them.
    *("trainer.detect_anomaly", "finite_guard.max_skipped_steps"),
)


def begin_plan(folder: RunFolder, settings: Mapping[str, Any], go_on: bool) -> None:
    """Begin a cross-fitting in a root dir, or go on with the one that is there.

    Args:
        folder: The root dir. An earlier cross-fitting is moved aside where this one begins.
        settings: All that decides the predictions, by the name of its option.
        go_on: Whether to go on where there is one.

    Raises:
        KQAError: naming what was otherwise when it was begun, or that its plan cannot be read.
    """
    plan = folder.out_of_fold / PLAN
    present = {name: str(value) for name, value in settings.items()}
    if go_on and plan.exists():
        _compare(plan, present)
        return
    if go_on:
        say(f"there is no cross-fitting in {folder.out_of_fold} to go on with: starting with the first fold")
    if moved := folder.set_aside_folds():
        say(f"an earlier cross-fitting in {folder.root} was moved to {moved}")
    with written_whole(plan) as scratch:
        scratch.write_text(json.dumps(present, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def decides_answers(setting: str) -> bool:
    """Whether the answers depend on a setting, ``group.name``."""
    return not any(setting == name or setting.startswith(f"{name}.") for name in _DO_NOT)


def table_digest(table: datasets.Dataset) -> str:
    """A hash of the rows of a table: ids, articles, questions and gold answers, in their order."""
    digest = hashlib.sha256()
    for batch in table.select_columns(["id", "context", "question", "answers"]).iter(batch_size=1000):
        digest.update(json.dumps(batch, ensure_ascii=False).encode())
    return digest.hexdigest()[:16]


def _compare(plan: Path, present: Mapping[str, str]) -> None:
    try:
        before = json.loads(plan.read_text(encoding="utf-8"))
        if not isinstance(before, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise KQAError(f"{plan} cannot be read ({error}); without --ckpt_path last everything begins anew") from error
    changed = [name for name in {**before, **present} if before.get(name) != present.get(name)]
    if changed:
        details = "; ".join(f"{name} was {before.get(name)} and is {present.get(name)}" for name in changed[:3])
        raise KQAError(
            f"the folds in {plan.parent} were begun with other settings: {details}; give those again, or leave out "
            "--ckpt_path last to begin anew"
        )
