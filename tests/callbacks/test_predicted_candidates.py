"""Candidates, cleaning and copied answers from the command line to the two files."""

import csv
import json
from pathlib import Path

import pytest
from small_runs import SmallRuns, contents, read_rows, write_rows

from kqa_lightning.ensemble.candidate_files import read_candidates

Lines = dict[str, list[dict]]
WAYS = {
    "beam": ("--model.num_candidates", "3"),
    "sampling": ("--model.num_candidates", "3", "--model.decoding", "sampling", "--model.top_p", "0.9"),
}
COPIED = ("--model.copy_answers", "true", "--model.max_new_tokens", "12")


@pytest.fixture
def predict(runs: SmallRuns, fitted: Path, tmp_path: Path):
    def run(name: str, *options: str, status: int = 0) -> Lines:
        checkpoint = ("--ckpt_path", str(fitted / "checkpoints/best.ckpt"))
        assert runs("predict", str(tmp_path / name), *checkpoint, *options) == status
        lines = (tmp_path / name / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        return {line["id"]: line["candidates"] for line in map(json.loads, lines)}

    return run


@pytest.mark.parametrize("way", WAYS)
def test_all_candidates_are_in_the_lines_and_the_best_is_in_the_table(predict, way: str, tmp_path: Path) -> None:
    found = predict(way, *WAYS[way])
    assert {len(candidates) for candidates in found.values()} <= {1, 2, 3}
    assert any(len(candidates) == 3 for candidates in found.values())
    for candidates in found.values():
        means = [one["logprob_mean"] for one in candidates]
        assert means == sorted(means, reverse=True)
        assert len({one["raw"] for one in candidates}) > 1 or len(candidates) == 1
    table = read_rows(tmp_path / way / "predictions.csv")
    assert [(row["id"], row["answer"]) for row in table] == [(i, c[0]["answer"]) for i, c in found.items()]
    read = read_candidates(tmp_path / way / "predictions.jsonl")  # the ensemble takes what is written
    assert read.counts == [len(candidates) for candidates in found.values()]


def test_draws_are_those_of_the_question_wherever_it_stands(runs: SmallRuns, predict, tmp_path: Path) -> None:
    rows = read_rows(runs.tables["test"])
    turned = write_rows(tmp_path / "turned.csv", [row | {"id": f"new {row['id']}"} for row in rows[::-1]])
    there = predict("turned", *WAYS["sampling"], "--data.predict_path", str(turned))
    here = predict("straight", *WAYS["sampling"], "--data.evaluation_tokens_per_batch", "500")
    assert {name: [one["raw"] for one in found] for name, found in there.items()} == {
        f"new {name}": [one["raw"] for one in found] for name, found in here.items()
    }
    other = predict("other", *WAYS["sampling"], "--model.sampling_seed", "1")
    assert [found[0]["raw"] for found in other.values()] != [found[0]["raw"] for found in here.values()]


@pytest.mark.parametrize("way", WAYS)
def test_candidates_too_go_on_after_a_stop(runs: SmallRuns, predict, way: str, tmp_path: Path) -> None:
    from stopping import Killed

    groups = (*WAYS[way], "--data.evaluation_tokens_per_batch", "500")
    predict("whole", *groups)
    stop = "--trainer.callbacks+={class_path: stopping.StopAnswering, init_args: {group: 1}}"
    with pytest.raises(Killed):
        predict("stopped", *groups, stop)
    predict("stopped", *groups)
    whole, stopped = (contents(tmp_path / name) for name in ("whole", "stopped"))
    for name in ("predictions.csv", "predictions.jsonl"):
        assert whole[name] == stopped[name]


def test_rules_of_cleaning_can_be_turned_off(predict) -> None:
    cleaned, kept = predict("cleaned"), predict("kept", "--model.answer_rules", "[]")
    assert all(one["answer"] == one["raw"] for found in kept.values() for one in found)
    assert all(one["answer"] == one["answer"].strip() for found in cleaned.values() for one in found)


@pytest.mark.parametrize("way", [(), *WAYS.values()])
def test_copied_answers_stand_in_their_article(runs: SmallRuns, predict, way: tuple[str, ...]) -> None:
    contexts = {row["id"]: row["context"] for row in csv.DictReader(runs.tables["test"].open(encoding="utf-8"))}
    found = predict("copied", *COPIED, *way)
    assert found.keys() == contexts.keys()
    for name, candidates in found.items():
        assert candidates
        for one in candidates:
            assert one["answer"]
            assert one["answer"] in contexts[name]
