"""Fixtures of the whole suite: where the real tokenizers, the real questions and the tiny bases are."""

import os
import signal
from pathlib import Path

import pytest
import small_runs

# Before torch is imported, here and in the commands that tests start: the suite runs one process a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where the suite's own tables are cached, and not among the user's.
os.environ.setdefault("HF_DATASETS_CACHE", str(Path(__file__).parents[1] / ".pytest_cache" / "datasets"))
# A suite started in the background ignores SIGINT, and so would every command that its tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
FAMILIES = ("gemma2", "eeve", "nous")
# Where the suite spends most of its time, by seconds of a core.
SLOWEST = (
    *("test_tiny_bases", "test_run_checkpoint", "test_processes", "test_crossfit", "test_prediction_journal"),
    *("test_beam", "test_answering", "test_ensemble", "test_demo", "test_errors", "test_in_browser"),
    *("test_learned_rules", "test_copying", "test_cli", "test_predicted_candidates", "test_preview"),
    *("test_sampled_answers", "test_base"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest modules first: one that begins last is waited for by all other processes."""
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOWEST)))


def _shared(path: str) -> Path:
    found = SHARED / path
    if not found.exists():
        reason = f"{found} is not here: this test needs the real data and tokenizers of ../shared"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI must not skip it")
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real data and tokenizers; skips where it is absent."""
    return _shared(".")


@pytest.fixture(scope="session")
def gemma_tokenizer_dir() -> Path:
    """The real Gemma tokenizer."""
    return _shared("tokenizers/gemma")


@pytest.fixture(scope="session")
def llama2_tokenizer_dir() -> Path:
    """The real Llama-2 tokenizer, the vocabulary of SOLAR."""
    return _shared("tokenizers/llama2")


@pytest.fixture(scope="session")
def korquad_path() -> Path:
    """KorQuAD 1.0 dev: 5,774 questions on 964 paragraphs."""
    return _shared("data/KorQuAD_v1.0_dev.json")


@pytest.fixture(scope="session")
def tiny_bases() -> dict[str, Path]:
    """The bundled base model of each family."""
    return {family: ROOT / "kqa_lightning" / "assets" / f"tiny-{family}" for family in FAMILIES}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> small_runs.SmallRuns:
    """Small tables, and the commands on them; `make faults`, which fills disks, with files of their real size."""
    return small_runs.small_runs(tmp_path_factory, shallow=pytestconfig.getoption("markexpr") != "faults")


@pytest.fixture(scope="session")
def fitted(runs: small_runs.SmallRuns) -> Path:
    """The folder of one finished run on them."""
    return small_runs.fit_once(runs)
