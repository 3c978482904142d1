"""``preview``: what is shown is what would be trained on."""

import json
import re
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import datasets
import pytest
from small_runs import ROOT, SmallRuns, read_rows, refusal, write_rows

from kqa_lightning.__main__ import main
from kqa_lightning.data.articles import FEATURES, EncodedTable
from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.data.encoding import PromptEncoder
from kqa_lightning.data.prompts import EEVEPrompt, Gemma2Prompt, NousPrompt
from kqa_lightning.data.text_encoder import load_tokenizer
from kqa_lightning.preview import histogram, rows_of, summary

PREVIEW = (sys.executable, "-m", "kqa_lightning", "preview", "--config", "tiny-nous.yaml")
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


def test_the_supervised_part_is_coloured_on_a_terminal(
    runs: SmallRuns, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--config", "tiny-gemma2.yaml", "--data.train_path", str(runs.tables["train"]))
    plain = preview(capsys, *options)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    coloured = preview(capsys, *options)
    answer = read_rows(runs.tables["train"])[0]["answer"]
    assert f"\033[1;32m{answer}<end_of_turn><eos>\033[0m" in coloured and "⟦" not in coloured
    assert coloured.replace("\033[1;32m", "⟦").replace("\033[0m", "⟧") == plain


@pytest.mark.parametrize("budget", ["null", "4000"])
def test_the_tokens_counted_are_those_of_fit(runs: SmallRuns, budget: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(runs.tables["train"])
    options = ("--data.max_length", "300", "--data.tokens_per_batch", budget)
    text = preview(capsys, "--config", "tiny-nous.yaml", "--data.train_path", path, *options)
    data = KQADataModule("tiny-nous", NousPrompt(), path, path, max_length=300, tokens_per_batch=json.loads(budget))
    data.setup("fit")
    computed = sum(data.articles["train"].lengths)
    supervised = sum(sum(batch.answer_lengths) for batch in data.train_dataloader())
    assert re.search(rf"^tokens computed +{computed:,} ", text, re.MULTILINE)
    share = f"{supervised / computed:.2%}"
    assert re.search(rf"^tokens supervised +{supervised:,} +\({share} of those computed", text, re.MULTILINE)
    assert re.search(rf"^answers cut off +{data.articles['train'].cuts().lost}$", text, re.MULTILINE)


def test_the_tokenizer_comes_from_a_folder(
    runs: SmallRuns, tiny_bases: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_bases["eeve"] / file, tmp_path / file)
    options = ("--config", "eeve.yaml", "--data.train_path", str(runs.tables["train"]), "--model.base_model")
    assert preview(capsys, *options, str(tmp_path)) == preview(capsys, *options, "tiny-eeve")


def test_json_is_json_in_every_encoding_and_no_model_is_loaded_for_it(tmp_path: Path) -> None:
    context = "그는 naïve\xa0했다 😀."
    path = write_rows(tmp_path / "rows.csv", [{"id": "가", "context": context, "question": "왜?", "answer": "답"}])
    encodings = ["ascii", "cp949"]
    program = (
        "import sys\n"
        "from kqa_lightning.__main__ import main\n"
        f"for encoding in {encodings}:\n"
        "    sys.stdout.reconfigure(encoding=encoding)\n"
        "    assert main() == 0\n"
        "assert 'transformers.models.llama.modeling_llama' not in sys.modules"
    )
    command = [sys.executable, "-c", program, *PREVIEW[3:], "--data.train_path", str(path), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    for line, encoding in zip(done.stdout.splitlines(), encodings, strict=True):
        record = json.loads(line.decode(encoding))
        assert record["id"] == "가" and context in record["text"]


def test_a_reader_that_stops_is_no_fault() -> None:
    command = [*PREVIEW, "--data.train_path", "sample", "--json"]  # more than a pipe holds
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_ids_are_read_as_they_are_shown() -> None:
    """A large table is never whole in memory."""
    articles, questions, length = 200, 10, 3000
    rows = [
        {
            "prefix_ids": [number % 20] * length,
            "rows": list(range(number * questions, (number + 1) * questions)),
            "question_ids": [[5]] * questions,
            "answer_ids": [[6]] * questions,
            "lost": [False] * questions,
            "cut": False,
            "article": number,
            "length": length + 2 * questions,
        }
        for number in range(articles)
    ]
    encoded = EncodedTable(datasets.Dataset.from_list(rows, features=FEATURES))
    table = datasets.Dataset.from_dict(
        {"id": [str(row) for row in range(articles * questions)], "context": ["x"] * 2000}
    )
    encoder = PromptEncoder(load_tokenizer("tiny-nous"), NousPrompt(), 4000)
    del rows
    tracemalloc.start()
    lines = list(summary(table, encoded, encoder, colour=False))
    whole = articles * questions * length * 8  # bytes
    assert tracemalloc.get_traced_memory()[1] < whole / 5
    assert any(line.startswith("rows  ") and line.endswith(" 2,000") for line in lines)
    numbers = [row.number for row in rows_of(encoded)]
    assert numbers == list(range(2000)) and tracemalloc.get_traced_memory()[1] < whole / 3
    tracemalloc.stop()


def test_a_histogram_counts_every_length_once() -> None:
    lengths = [10, 10, 11, 30, 500]
    lines = list(histogram(lengths, limit=2048))
    assert sum(int(line.split()[-1]) for line in lines) == len(lengths)
    assert lines[0].lstrip().startswith("10–") and "500 " in lines[-1]
    assert list(histogram([7, 7], limit=10)) == [f" 7–7  {'█' * 40} 2"]


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "--data.train_path" in refusal(
        capsys, "preview", "--config", "gemma2.yaml", "--model.base_model", "tiny-gemma2"
    )
    assert "no such file" in refusal(capsys, "preview", "--config", "tiny-nous.yaml", "--data.train_path", "none.csv")
    sample = ("preview", "--config", "tiny-nous.yaml", "--data.train_path", "sample")
    for setting in ("val_fraction 7.0", "tokens_per_batch 0", "max_length -5"):
        assert f"--data.{setting} is to be" in refusal(capsys, *sample, *f"--data.{setting}".split())
    line = refusal(capsys, "preview", "--config", "tiny-nous.yaml", "--jsn")
    assert "--json" in line
    assert not any(tmp_path.iterdir())
