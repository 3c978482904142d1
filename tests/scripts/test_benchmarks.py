"""What the benchmarks are given, and what they refuse before they measure for minutes."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from benchmarks import answering, training
from benchmarks.benchmark_data import choose_articles
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
        (("--korquad", "none.json"), "none.json"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    main: Callable[[Sequence[str] | None], None],
    options: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_script(main, options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line


def test_an_adapter_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for wrong in ("tiny-nous", f"tiny-nous={tmp_path}"):
        with pytest.raises(KQAError, match=r"--adapters tiny-nous.*BASE=FOLDER"):
            answering.main(["--adapters", wrong])
