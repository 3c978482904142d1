"""Which answers a predict goes on from: those of its own settings and weights, and of no other predict at work."""

import shutil
from pathlib import Path

import pytest
from journals import FILES, JOURNAL, files, put
from safetensors.torch import load_file, save_file
from small_runs import SmallRuns, contents, refusal

from kqa_lightning.answer_journal import AnswerJournal
from kqa_lightning.model.module import KQAModule


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (("--model.max_new_tokens", "3"), "model.max_new_tokens was 4 and is 3"),
        (("--model.num_candidates", "2"), "model.num_candidates was 1 and is 2"),
        (("--model.decoding", "sampling", "--model.sampling_seed", "1"), "model.sampling_seed was 0 and is 1"),
        (("--model.answer_rules", "[strip]"), "'strip', 'compose'] and is ['strip']"),
        (("--model.copy_answers", "true"), "model.copy_answers was False and is True"),
        (("--data.evaluation_tokens_per_batch", "600"), "data.evaluation_tokens_per_batch was 500 and is 600"),
        (("--data.prompt.init_args.wording", "deck"), "data.prompt was NousPrompt(wording='aligned') and is"),
        (("--model.precision", "bf16"), "model.precision was fp32 and is bf16"),
        (("--trainer.limit_predict_batches", "2"), "trainer.limit_predict_batches was 1.0 and is 2"),
        (("--data.predict_path", "sample"), "content of data.predict_path was"),
    ],
)
def test_answers_of_other_settings_are_refused(
    runs: SmallRuns,
    options: tuple[str, ...],
    journal: bytes,
    other: tuple[str, ...],
    difference: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = put(tmp_path / "other", journal)
    message = refusal(capsys, *runs.arguments("predict", str(folder), *options, *other))
    assert difference in message
    assert f"{folder / JOURNAL} holds " in message
    assert "remove the file to answer all anew" in message
    assert contents(folder) == {JOURNAL: journal}


def test_answers_of_other_weights_are_refused(
    runs: SmallRuns,
    fitted: Path,
    options: tuple[str, ...],
    undisturbed: dict[str, bytes],
    journal: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = put(tmp_path / "other", journal)
    best = ("--ckpt_path", str(fitted / "checkpoints/best.ckpt"))
    message = refusal(capsys, *runs.arguments("predict", str(folder), *options, *best))
    assert "adapters was none and is" in message
    base = shutil.copytree(runs.base, tmp_path / "base")
    moved = ("--model.base_model", str(base))
    weights = load_file(base / "model.safetensors")
    name = sorted(weights)[0]
    save_file(weights | {name: weights[name] * 2}, base / "model.safetensors", {"format": "pt"})
    assert "content of model.base_model was" in refusal(
        capsys, *runs.arguments("predict", str(folder), *options, *moved)
    )
    shutil.copytree(runs.base, base, dirs_exist_ok=True)
    assert runs("predict", str(folder), *options, *moved) == 0  # the same base under another name
    assert files(folder) == undisturbed


def test_settings_that_decide_no_answer_may_change(
    runs: SmallRuns, options: tuple[str, ...], undisturbed: dict[str, bytes], journal: bytes, tmp_path: Path
) -> None:
    folder = put(tmp_path / "same", journal[: len(journal) // 2])
    others = ("--model.learning_rate", "0.5", "--data.val_fraction", "0.3", "--data.num_workers", "2")
    assert runs("predict", str(folder), *options, *others) == 0
    assert files(folder) == undisturbed


def test_other_settings_without_answers_are_no_reason_to_refuse(
    runs: SmallRuns, options: tuple[str, ...], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    AnswerJournal(tmp_path / JOURNAL, {"a": "b"}).close()
    assert runs("predict", str(tmp_path), *options) == 0
    assert files(tmp_path) == undisturbed


def test_what_is_no_journal_stays(
    runs: SmallRuns, options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = put(tmp_path / "mine", b"my notes\n")
    assert "is no journal of predict" in refusal(capsys, *runs.arguments("predict", str(folder), *options))
    assert contents(folder) == {JOURNAL: b"my notes\n"}


def test_a_second_predict_at_the_same_time_is_refused(
    runs: SmallRuns, options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = AnswerJournal(tmp_path / JOURNAL, {})
    assert runs("predict", str(tmp_path), *options) == 2
    other.close()
    assert f"error: {tmp_path / JOURNAL}: another predict is writing to it" in capsys.readouterr().err


def test_one_that_finishes_while_another_loads_its_model_keeps_its_files(
    runs: SmallRuns,
    options: tuple[str, ...],
    journal: bytes,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What it had written is not replaced by the few answers that were missing when the other began."""
    folder, load = put(tmp_path / "both", journal[: len(journal) // 2]), KQAModule.configure_model

    def the_first_finishes(module: KQAModule) -> None:
        if (folder / JOURNAL).exists():
            (folder / JOURNAL).unlink()
            for name, content in undisturbed.items():
                (folder / name).write_bytes(content)
        load(module)

    monkeypatch.setattr(KQAModule, "configure_model", the_first_finishes)
    assert runs("predict", str(folder), *options) == 2
    assert "another predict has finished meanwhile" in capsys.readouterr().err
    assert {name: (folder / name).read_bytes() for name in FILES} == undisturbed
