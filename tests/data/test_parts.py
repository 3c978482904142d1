from pathlib import Path
from typing import Any

import pytest

from kqa_lightning.data.parts import PartTables
from kqa_lightning.data.splits import article_key
from kqa_lightning.data.tables import PARTS
from kqa_lightning.errors import KQAError


def make(val_fraction: float = 0.1, seed: int = 0, **paths: Any) -> PartTables:
    return PartTables({part: paths.get(part) for part in PARTS}, None, val_fraction, seed)


def fails(parts: PartTables, stage: str) -> str:
    with pytest.raises(KQAError) as error:
        parts.read_for(stage)
    return str(error.value)


def test_fit_splits_whole_articles(rows_csv: Path) -> None:
    parts = make(train=str(rows_csv), val_fraction=0.3)
    assert parts.read_for("fit") == ("train", "val")
    contexts = {part: {article_key(text) for text in parts.tables[part]["context"]} for part in ("train", "val")}
    assert len(contexts["val"]) == 1 and not contexts["train"] & contexts["val"]
    assert len(parts.tables["train"]) + len(parts.tables["val"]) == 5
    before = parts.tables["val"]
    assert parts.read_for("validate") == ("val",) and parts.tables["val"] is before


def test_validate_alone_finds_the_same_part_as_fit(rows_csv: Path) -> None:
    fitted, alone = make(train=str(rows_csv), seed=4), make(train=str(rows_csv), seed=4)
    fitted.read_for("fit")
    alone.read_for("validate")
    assert alone.tables["val"]["id"][:] == fitted.tables["val"]["id"][:]


def test_what_is_held_out_is_predicted_on_and_nothing_else(rows_csv: Path) -> None:
    parts = make(train=str(rows_csv), val_fraction=0.3)
    parts.held_out = [1, 3]
    parts.read_for("fit")
    parts.read_for("predict")
    ids = {part: set(table["id"]) for part, table in parts.tables.items()}
    assert ids["predict"] == {"Q1", "Q3"}
    assert not ids["predict"] & (ids["train"] | ids["val"]) and len(ids["train"] | ids["val"]) == 3


def test_training_on_all_leaves_nothing_to_validate_on(rows_csv: Path) -> None:
    parts = make(train=str(rows_csv))
    parts.train_on_all = True
    assert parts.read_for("fit") == ("train",) and len(parts.tables["train"]) == 5
    own = make(train=str(rows_csv), val="sample")
    own.train_on_all = True
    assert own.read_for("fit") == ("train", "val")


def test_without_a_stage_every_part_that_has_a_table_is_read(rows_csv: Path) -> None:
    assert make(train=str(rows_csv)).read_for(None) == ("train", "val")
    assert make(test=str(rows_csv)).read_for(None) == ("test", "predict")


def test_sample_brings_its_parts() -> None:
    parts = make(train="sample")
    assert parts.paths == dict.fromkeys(PARTS, "sample")
    parts.read_for("validate")
    parts.read_for("predict")
    assert parts.tables["val"]["id"][0].startswith("VAL") and "train" not in parts.tables
    assert parts.tables["predict"]["id"][0].startswith("TEST")


def test_given_paths_come_before_the_sample() -> None:
    assert make(train="sample", test="own.csv").paths["predict"] == "own.csv"
    assert make(train="sample", predict="own.csv").paths["test"] == "sample"
    assert make(train="sample", val="own.csv").paths["val"] == "own.csv"
    assert make(train="own.csv", test="sample").paths == {
        "train": "own.csv",
        "val": None,
        "test": "sample",
        "predict": "sample",
    }


def test_articles_that_are_validated_and_trained_on_are_counted(
    rows_csv: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    header, *rows = rows_csv.read_text(encoding="utf-8").splitlines()
    new = "Q9,라는 부산에 있다.,라는 어디에?,부산"
    known = rows[0].replace("Q0", "Q8").replace(" ", "  ")  # the same article but for white space
    val = tmp_path / "val.csv"
    val.write_text("\n".join([header, known, new]), encoding="utf-8")
    parts = make(train=str(rows_csv), val=str(val))
    parts.read_for("fit")
    assert f"--data.val_path {val}: 1 of its 2 articles are in the training table too" in caplog.text
    caplog.clear()
    parts.read_for("fit")  # said once
    val.write_text("\n".join([header, new]), encoding="utf-8")
    make(train=str(rows_csv), val=str(val)).read_for("fit")
    make(train=str(rows_csv)).read_for("fit")
    make(train="sample").read_for("fit")
    assert "training table" not in caplog.text


def test_flags_that_a_stage_lacks_are_named(rows_csv: Path) -> None:
    parts = make()
    assert "--data.train_path" in fails(parts, "fit")
    assert "--data.val_path or --data.train_path" in fails(parts, "validate")
    assert "--data.test_path" in fails(parts, "test")
    assert "--data.predict_path" in fails(parts, "predict")
    assert "--data.train_path" in fails(make(val=str(rows_csv)), "fit")
    assert "--data.val_path missing.csv" in fails(make(train=str(rows_csv), val="missing.csv"), "fit")
