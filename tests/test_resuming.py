"""What may change where a run goes on is said, and what may not is refused."""

import shutil
from pathlib import Path

import pytest
from checkpoint_files import LAST, LIKE_FITTED, load
from safetensors.torch import load_file, save_file
from small_runs import SmallRuns, contents, read_rows, refusal, write_rows

from kqa_lightning.cli import KQACLI
from kqa_lightning.errors import KQAError
from kqa_lightning.resuming import check_options, options_of

GOING_ON = (*LIKE_FITTED, "--ckpt_path", "last")


@pytest.fixture
def copied(fitted: Path, tmp_path: Path) -> Path:
    """A finished run that may be written to."""
    return Path(shutil.copytree(fitted, tmp_path / "run"))


@pytest.fixture(scope="module")
def options(fitted: Path) -> dict[str, str]:
    """Those that a run was made with."""
    return load(fitted / LAST)["settings"]


# --- which options are of which kind -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("model.quantization", "none"), ("model.precision", "bf16"), ("model.warmup_ratio", "0.5")),
        *(("model.lora.dropout", "0.5"), ("model.loss_normalisation", "example"), ("model.optimizer", "adamw")),
        *(("trainer.accumulate_grad_batches", "2"), ("trainer.gradient_clip_val", "1.0")),
        *(("trainer.limit_train_batches", "2"), ("trainer.precision", "bf16-mixed"), ("trainer.plugins", "[]")),
        *(("data.tokens_per_batch", "512"), ("data.max_length", "99"), ("data.seed", "1")),
        # Of these the best score would be another.
        *(("answer_evaluation.max_questions", "2"), ("model.max_new_tokens", "9"), ("model.copy_answers", "true")),
        *(("trainer.limit_val_batches", "1"), ("data.val_fraction", "0.5")),
    ],
)
def test_what_decides_is_refused_with_both_values(options: dict[str, str], name: str, value: str) -> None:
    assert options[name] != value
    with pytest.raises(KQAError) as caught:
        check_options({"settings": options}, options | {name: value}, "last.ckpt")
    assert f"--{name} {value} (it was {options[name]})" in str(caught.value)
    assert "leave out --ckpt_path" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("model.learning_rate", "0.5"), ("model.weight_decay", "0.5"), ("model.gradient_checkpointing", "true")),
        *(("trainer.max_epochs", "9"), ("trainer.max_steps", "9"), ("trainer.val_check_interval", "2")),
        *(("trainer.limit_val_batches", "0"), ("trainer.strategy", "ddp"), ("trainer.devices", "2")),
        *(("finite_guard.max_skipped_steps", "9"), ("trainer.callbacks", "[]")),
        ("data.of_a_later_version", "1"),
    ],
)
def test_what_may_change_is_said_with_both_values(options: dict[str, str], name: str, value: str) -> None:
    said = check_options({"settings": options}, options | {name: value}, "last.ckpt")
    assert said == [f"--{name} {value} (it was {options.get(name, 'no option')})"]


@pytest.mark.parametrize(
    "name",
    [
        *("trainer.default_root_dir", "trainer.logger", "data.num_workers", "checkpoint.every_n_train_steps"),
        *("data.train_path", "seed_everything", "crossfit.folds", "prediction_writer.path", "trainer.profiler"),
    ],
)
def test_what_changes_nothing_is_not_spoken_of(options: dict[str, str], name: str) -> None:
    assert name in options
    assert check_options({"settings": options}, options | {name: "other"}, "last.ckpt") == []


def test_many_changes_are_one_line_that_begins_with_the_base(options: dict[str, str]) -> None:
    others = dict.fromkeys(options, "other")
    with pytest.raises(KQAError, match=r"--model.base_model other \(it was .*; and \d+ more\. These cannot change"):
        check_options({"settings": options}, others, "last.ckpt")


def test_without_a_command_line_nothing_is_compared(options: dict[str, str]) -> None:
    assert check_options({}, options, "last.ckpt") == check_options({"settings": options}, {}, "last.ckpt") == []


def test_options_are_the_same_from_flags_and_from_a_file(
    runs: SmallRuns, fitted: Path, options: dict[str, str]
) -> None:
    """The file that the run itself wrote."""

    class Parsed(KQACLI):
        def _run_subcommand(self, subcommand: str) -> None:
            """Nothing: only what was parsed is looked at."""

    again = options_of(Parsed(["fit", "--config", str(fitted / "fit.yaml")]).trainer)
    assert {name for name in options if again[name] != options[name]} <= {"config"}
    assert set(again) == set(options)


# --- whole runs ----------------------------------------------------------------------------------------------------


def test_a_refused_run_changes_nothing(runs: SmallRuns, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(copied)
    changed = ("--model.warmup_ratio", "0.5", "--trainer.accumulate_grad_batches", "2", "--model.learning_rate", "1")
    message = refusal(capsys, *runs.arguments("fit", str(copied), *GOING_ON, *changed))
    assert "--model.warmup_ratio 0.5 (it was 0.03)" in message
    assert "--trainer.accumulate_grad_batches 2 (it was 1)" in message
    assert "learning_rate" not in message
    assert contents(copied) == before


@pytest.mark.parametrize("part", ["train", "val"])
def test_other_questions_are_refused_with_both_hashes(
    runs: SmallRuns, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    """The checkpoint is at an epoch's end, where no order of batches would tell."""
    first, *others = read_rows(runs.tables[part])
    table = write_rows(tmp_path / "other.csv", [first | {"answer": "다른 답"}, *others])
    before = contents(copied)
    changed = ("--trainer.max_epochs", "3", f"--data.{part}_path")
    message = refusal(capsys, *runs.arguments("fit", str(copied), *GOING_ON, *changed, str(table)))
    known = load(copied / LAST)["contents"][f"content of --data.{part}_path"]
    assert f"(it was {known})" in message
    moved = write_rows(tmp_path / "moved.csv", [first, *others])
    assert contents(copied) == before
    assert runs("fit", str(copied), *GOING_ON, f"--data.{part}_path", str(moved)) == 0  # the same rows elsewhere


def test_a_base_with_the_same_embeddings_and_other_layers_is_refused(
    runs: SmallRuns, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = Path(shutil.copytree(runs.base, tmp_path / "base"))
    options = (*GOING_ON, "--model.base_model", str(base))
    with pytest.warns(UserWarning, match="its adapters are used on"):
        assert runs("fit", str(copied), *options) == 0  # the same one elsewhere
    weights = load_file(base / "model.safetensors")
    name = next(name for name in weights if "layers.1" in name)
    save_file(weights | {name: weights[name] * 1.5}, base / "model.safetensors", {"format": "pt"})
    before = contents(copied)
    message = refusal(capsys, *runs.arguments("fit", str(copied), *options))
    known = load(copied / LAST)["contents"]["content of --model.base_model"]
    assert "content of --model.base_model" in message
    assert f"(it was {known})" in message
    assert contents(copied) == before


def test_overfitting_a_few_batches_is_not_gone_on_with(
    runs: SmallRuns, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(capsys, *runs.arguments("fit", str(copied), *GOING_ON, "--trainer.overfit_batches", "2"))
    assert "--trainer.overfit_batches 2" in message
