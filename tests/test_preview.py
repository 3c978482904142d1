"""``preview``: what is shown is what would be trained on."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import ROOT, SmallRuns, read_rows, refusal

from kqa_lightning.__main__ import main
from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.data.prompts import EEVEPrompt, Gemma2Prompt, NousPrompt
from kqa_lightning.preview import histogram

PROMPTS = {"gemma2": Gemma2Prompt, "eeve": EEVEPrompt, "nous": NousPrompt}


def preview(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["preview", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("family", PROMPTS)
def test_json_lines_are_the_training_sequences(
    runs: SmallRuns, family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs.tables["train"]
    lines = preview(capsys, "--config", f"tiny-{family}.yaml", "--data.train_path", str(path), "--json").splitlines()
    records = [json.loads(line) for line in lines]
    rows = read_rows(path)
    assert [record["id"] for record in records] == [row["id"] for row in rows]
    data = KQADataModule(f"tiny-{family}", PROMPTS[family](), str(path), str(path), max_length=1024)
    data.setup("fit")
    expected = {
        question.row: (article.prefix_ids + question.question_ids, question.answer_ids)
        for article in data.articles["train"]
        for question in article.questions
    }
    for number, (record, row) in enumerate(zip(records, rows, strict=True)):
        assert set(record) == {"id", "text", "token_ids", "supervised", "article_cut"}
        prompt, answer = expected[number]
        assert tuple(record["token_ids"]) == prompt + answer
        assert record["supervised"] == [0] * len(prompt) + [1] * len(answer)
        assert record["article_cut"] == 0
        assert row["context"] in record["text"] and row["question"] in record["text"]
        supervised = [one for one, on in zip(record["token_ids"], record["supervised"], strict=True) if on]
        assert data.encoder.text.decode(supervised).startswith(row["answer"])


def test_cuts_are_marked(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--config", "tiny-nous.yaml", "--data.train_path", str(runs.tables["train"]), "--data.max_length", "160")
    records = [json.loads(line) for line in preview(capsys, *options, "--json").splitlines()]
    assert all(len(record["token_ids"]) <= 160 for record in records)
    assert sum(record["article_cut"] for record in records) > len(records) / 2
    assert re.search(r"rows cut +[1-9]", preview(capsys, *options))


def test_the_summary_shows_and_counts(runs: SmallRuns, capsys: pytest.CaptureFixture[str]) -> None:
    path = runs.tables["train"]
    rows = read_rows(path)
    text = preview(capsys, "--config", "tiny-gemma2.yaml", "--data.train_path", str(path))
    for row in rows[:2]:
        assert f"⟦{row['answer']}<end_of_turn><eos>⟧" in text
        assert "<bos><start_of_turn>user\n" in text
    articles = len({row["context"] for row in rows})
    assert re.search(rf"^rows +{len(rows)}$", text, re.MULTILINE)
    assert re.search(rf"^articles +{articles}$", text, re.MULTILINE)
    assert re.search(rf"^questions an article +{len(rows) / articles:.2f} ", text, re.MULTILINE)
    bars = [line for line in text.splitlines() if "█" in line]
    assert sum(int(line.split()[-1]) for line in bars) == len(rows)


def test_a_histogram_counts_every_length_once() -> None:
    lengths = [10, 10, 11, 30, 500]
    lines = list(histogram(lengths, limit=2048))
    assert sum(int(line.split()[-1]) for line in lines) == len(lengths)
    assert lines[0].lstrip().startswith("10–") and "500 " in lines[-1]
    assert list(histogram([7, 7], limit=10)) == [f" 7–7  {'█' * 40} 2"]


def test_no_model_is_loaded(runs: SmallRuns) -> None:
    program = (
        "import sys\n"
        "from kqa_lightning.__main__ import main\n"
        f"table = {str(runs.tables['train'])!r}\n"
        "assert main(['preview', '--config', 'tiny-nous.yaml', '--data.train_path', table]) == 0\n"
        "assert 'transformers.models.llama.modeling_llama' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "--data.train_path" in refusal(
        capsys, "preview", "--config", "gemma2.yaml", "--model.base_model", "tiny-gemma2"
    )
    assert "no such file" in refusal(capsys, "preview", "--config", "tiny-nous.yaml", "--data.train_path", "none.csv")
    line = refusal(capsys, "preview", "--config", "tiny-nous.yaml", "--jsn")
    assert "--json" in line
    assert not any(tmp_path.iterdir())
