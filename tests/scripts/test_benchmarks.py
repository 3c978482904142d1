"""What the benchmarks are given, and what they refuse before they measure for minutes."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from benchmarks import answering, benchmark_data, profile_training, training
from benchmarks.benchmark_data import choose_articles
from benchmarks.workers import WayFailed, Worker
from script_options import run_script

from kqa_lightning.errors import KQAError


def test_all_articles_have_as_many_questions() -> None:
    rows = choose_articles("sample", count=20, seed=0, longest=2000)
    assert len(set(Counter(row["context"] for row in rows).values())) == 1
    assert len({row["context"] for row in rows}) == 20
    assert rows == choose_articles("sample", count=20, seed=0, longest=2000)
    assert rows != choose_articles("sample", count=20, seed=1, longest=2000)


def test_no_article_is_longer_than_asked() -> None:
    assert max(len(row["context"]) for row in choose_articles("sample", count=5, seed=0, longest=400)) <= 400
    with pytest.raises(KQAError, match=r"sample has \d+ articles with \d questions, 1000 are needed"):
        choose_articles("sample", count=1000, seed=0, longest=400)
    with pytest.raises(KQAError, match="sample has no answered question on an article of at most 10 characters"):
        choose_articles("sample", count=5, seed=0, longest=10)


@pytest.mark.parametrize("main", [answering.main, training.main])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--quic",), "there is no option --quic; did you mean --quick?"),
        (("--bases", "tiny-gemma3"), "tiny-gemma3"),
        (("--repetitions", "0"), "--repetitions: 0 is to be a whole number of at least 1"),
        (("--json", "none/x.json"), "--json: none/x.json: there is no folder none"),
        (("--korquad", "none.json"), "--korquad none.json"),
        (("--plot", "x.xyz"), "--plot: x.xyz is to end in a format that can be drawn: "),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    main: Callable[[Sequence[str] | None], None],
    options: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "require_trl", lambda: None)  # what is wrong here is not that it may be missing
    assert run_script(main, options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line


def test_a_profile_tells_kinds_of_operations_apart(capsys: pytest.CaptureFixture[str]) -> None:
    found = profile_training.shares([("aten::mm", 3.0), ("aten::mul_", 2.0), ("aten::view", 4.0), ("autograd::mm", 1)])
    rest, mixed = profile_training.REST, "norms, gates, positions, sums, copies"
    assert {kind: share for kind, share in found.items() if share} == {"matrix products": 0.3, mixed: 0.2, rest: 0.5}
    assert (
        run_script(profile_training.main, ("--bases", "tiny-nous", "--articles", "1", "--ways", "shared", "separate"))
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["tiny-nous,", "shared", "tiny-nous,", "separate"]
    for column in (-4, -2):  # a figure and its sign
        assert sum(int(line.split()[column]) for line in lines[1:-1]) == pytest.approx(100, abs=3)
    shared, separate = (int(word) for word in lines[-1].split()[-2:])
    assert 0 < shared < separate


def test_trls_step_is_profiled_too(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("trl", reason="trl is not here: install the extra benchmark")
    assert run_script(profile_training.main, ("--bases", "tiny-nous", "--articles", "1", "--ways", "deck")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["tiny-nous,", "deck"]
    assert sum(int(line.split()[-2]) for line in lines[1:-1]) == pytest.approx(100, abs=3)


@pytest.mark.parametrize("benchmark", [answering, training], ids=["answering", "training"])
def test_the_wide_base_takes_the_tokenizer_of_a_folder(
    benchmark: Any, tmp_path: Path, tiny_bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark_data, "WIDE_VOCABULARY", 1408)
    monkeypatch.setattr(benchmark_data, "WIDE_LAYERS", 1)
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    options = benchmark.parse(["--bases", "wide", "--wide-tokenizer", str(tokenizer), "--quick"])
    with pytest.raises(KQAError, match=f"^--wide-tokenizer {tokenizer}: the folder has neither"):
        benchmark.plan(options, tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tokenizer / file).write_bytes((tiny_bases["gemma2"] / file).read_bytes())
    (comparison,) = benchmark.plan(options, tmp_path)
    assert comparison.name == "wide/sample"
    assert (tmp_path / "wide" / "model.safetensors").exists()


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    failing = Worker("failing", len, (), tmp_path / "failing.log")  # type: ignore[arg-type]
    silent = Worker("silent", id, (), tmp_path / "silent.log")  # type: ignore[arg-type]
    with pytest.raises(WayFailed, match=r"(?s)the way failing failed: TypeError: .*no len.*Traceback"):
        failing.receive()
    with pytest.raises(WayFailed, match="the way silent failed: it ended with status 0"):
        silent.ask("go")
    for worker in (failing, silent):
        worker.end()
