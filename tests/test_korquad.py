"""Real questions: the commands of the README on KorQuAD, cut short."""

from pathlib import Path

import pytest
from small_runs import read_rows

from kqa_lightning.__main__ import main


@pytest.fixture(scope="module")
def options(korquad_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    root = tmp_path_factory.mktemp("korquad")
    return (
        *("--config", "tiny-gemma2.yaml", "--trainer.default_root_dir", str(root)),
        *("--trainer.enable_progress_bar", "false", "--model.max_new_tokens", "4"),
    )


def test_fit_and_predict_take_korquad(options: tuple[str, ...], korquad_path: Path) -> None:
    root = Path(options[3])
    short = ("--trainer.max_steps", "2", "--answer_evaluation.max_questions", "4", "--trainer.limit_val_batches", "2")
    assert main(["fit", *options, "--data.train_path", str(korquad_path), *short]) == 0
    assert (root / "adapter" / "adapter_model.safetensors").exists()
    predict = ("--data.predict_path", str(korquad_path), "--trainer.limit_predict_batches", "2")
    assert main(["predict", *options, "--ckpt_path", "best", *predict]) == 0
    rows = read_rows(root / "predictions.csv")
    assert rows and rows[0]["id"] == "6548850-0-0"
