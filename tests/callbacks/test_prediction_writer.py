"""predictions.csv and predictions.jsonl: all ids, in order, readable as they were written."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from small_runs import SmallRuns, contents, read_rows, read_yaml, refusal, write_rows

from kqa_lightning.cli import KQACLI
from kqa_lightning.ensemble.candidate_files import read_candidates
from kqa_lightning.model.base import load_base_model
from kqa_lightning.model.module import KQAModule


def read_jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


@pytest.fixture(scope="module")
def predicted(runs: SmallRuns, fitted: Path) -> Path:
    """Predictions of the best checkpoint, its table's rows shuffled so that articles are torn apart."""
    rows = read_rows(runs.tables["test"])
    table = write_rows(runs.folder / "shuffled.csv", [rows[i] for i in sorted(range(len(rows)), key=lambda i: i % 3)])
    folder = runs.folder / "predicted"
    options = ("--data.predict_path", str(table), "--ckpt_path", str(fitted / "checkpoints/best.ckpt"))
    assert runs("predict", "predicted", *options) == 0
    return folder


def test_every_question_is_answered_in_the_order_of_the_table(runs: SmallRuns, predicted: Path) -> None:
    ids = [row["id"] for row in read_rows(runs.folder / "shuffled.csv")]
    assert len(ids) > 4
    assert ids != sorted(ids)
    table, lines = read_rows(predicted / "predictions.csv"), read_jsonl(predicted / "predictions.jsonl")
    assert [row["id"] for row in table] == ids
    assert [line["id"] for line in lines] == ids
    for row, line in zip(table, lines, strict=True):
        best = line["candidates"][0]
        assert set(best) == {"answer", "raw", "logprob_sum", "logprob_mean"}
        assert row["answer"] == best["answer"]
        assert best["logprob_sum"] <= best["logprob_mean"] <= 0
    read = read_candidates(predicted / "predictions.jsonl")  # the ensemble takes what is written
    assert (read.ids, read.answers) == (ids, [row["answer"] for row in table])
    assert read.logprob_sum == [line["candidates"][0]["logprob_sum"] for line in lines]


def test_no_weights_are_left_in_the_folder(predicted: Path) -> None:
    assert set(contents(predicted)) == {"predict.yaml", "predictions.csv", "predictions.jsonl"}
    assert "ckpt_path" not in read_yaml(predicted / "predict.yaml")


def test_plain_peft_gives_the_same_answers(runs: SmallRuns, fitted: Path, predicted: Path) -> None:
    """The adapter on the plain base, one unpadded row at a time through transformers' own generate."""

    class Built(KQACLI):
        def _run_subcommand(self, subcommand: str) -> None:
            pass

    options = ("--data.predict_path", str(runs.folder / "shuffled.csv"))
    data = Built(runs.arguments("predict", "unused", *options)).datamodule
    data.setup("predict")
    base = load_base_model(str(runs.base), quantization="nf4", precision="fp32")
    model = PeftModel.from_pretrained(base, fitted / "adapter").eval()
    answers = {}
    for article in data.articles["predict"]:
        for question in article.questions:
            prompt = (
                model.base_model.get_input_embeddings()
                .weight.new_tensor([[*article.prefix_ids, *question.question_ids]])
                .long()
            )
            ids = model.generate(
                input_ids=prompt, do_sample=False, max_new_tokens=4, eos_token_id=list(data.encoder.end_ids)
            )
            answers[question.row] = data.encoder.decode_answer(ids[0, prompt.shape[1] :].tolist())[0]
    assert [answers[row] for row in sorted(answers)] == [
        row["answer"] for row in read_rows(predicted / "predictions.csv")
    ]


@pytest.mark.parametrize(
    ("path", "table"), [("answers", "answers/predictions.csv"), ("answers/mine.csv", "answers/mine.csv")]
)
def test_they_go_where_they_are_told(runs: SmallRuns, path: str, table: str, tmp_path: Path) -> None:
    options = ("--prediction_writer.path", str(tmp_path / path), "--trainer.limit_predict_batches", "1")
    assert runs("predict", str(tmp_path / "root"), *options) == 0
    assert (tmp_path / table).exists()
    assert (tmp_path / table).with_suffix(".jsonl").exists()
    assert set(contents(tmp_path / "root")) == {"predict.yaml"}


@pytest.mark.parametrize(("command", "candidates"), [("predict", 1), ("predict", 2), ("test", 2)])
def test_a_model_without_finite_scores_is_one_line_and_no_answer(
    runs: SmallRuns,
    command: str,
    candidates: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load = KQAModule.configure_model

    def spoilt(module: KQAModule) -> None:
        load(module)
        assert module.model is not None
        with torch.no_grad():
            module.model.get_base_model().lm_head.weight[5] = float("nan")

    monkeypatch.setattr(KQAModule, "configure_model", spoilt)
    assert runs(command, str(tmp_path), "--model.num_candidates", str(candidates)) == 2
    (message,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    first = ", ".join(row["id"] for row in read_rows(runs.tables["test"])[:5])
    assert f"no finite scores to answer {first}, … with; pass another --model.precision than fp32" in message
    assert not list(tmp_path.glob("predictions.[cj]*"))


def test_a_place_that_cannot_be_written_is_refused_at_once(
    runs: SmallRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    options = ("--prediction_writer.path", str(tmp_path / "file" / "x"))
    arguments = runs.arguments("predict", str(tmp_path / "root"), *options)
    assert "--prediction_writer.path" in refusal(capsys, *arguments)
    assert not (tmp_path / "root").exists()
