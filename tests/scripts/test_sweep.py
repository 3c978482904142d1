"""The sweep: real fits over a small grid, and the table of given scores."""

import json
from pathlib import Path

import pytest
import sweep
import yaml
from script_options import run_script
from small_runs import SmallRuns, read_rows, write_rows
from sweep_grid import parse_grid, read_config

from kqa_lightning.config_files import find_config
from kqa_lightning.run_folder import RunFolder

GRID = ["model.learning_rate=1.0e-3,4.0e-2", "trainer.max_epochs=1"]


@pytest.fixture
def config(runs: SmallRuns, tmp_path: Path) -> Path:
    """tiny-nous.yaml on small tables, its test table one that is not there."""
    content = yaml.safe_load(Path(find_config("tiny-nous.yaml")).read_text(encoding="utf-8"))
    content["model"] |= {"max_new_tokens": 4, "learning_rate": "0.04"}
    content["data"] |= {f"{part}_path": str(runs.tables[part]) for part in ("train", "val")}
    content["data"]["test_path"] = str(tmp_path / "nobody-has-read-it.csv")
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def test_every_setting_is_fitted_and_scored_on_the_validation_questions(
    config: Path,
    runs: SmallRuns,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "runs"
    command = ["--configs", str(config), "--grid", *GRID, "--output", str(output)]
    assert run_script(sweep.main, command) == 0
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    assert len(scores) == 2
    for name, score in scores.items():
        assert score["char_f1"] == RunFolder(output / name).best_score(None)
        settings = yaml.safe_load((output / name / "fit.yaml").read_text(encoding="utf-8"))
        assert f"learning_rate={settings['model']['learning_rate']:.1e}".replace("e-0", "e-") in name
    table = capsys.readouterr().out.rstrip().splitlines()[-2:]
    assert [line.split()[0] for line in table] == ["model.learning_rate=1.0e-3", "model.learning_rate=4.0e-2"]
    assert "[" not in table[0]
    assert "[" in table[1]

    # What has its score is not fitted again, be it chosen as the configuration's own.
    config.write_text("# chosen\n" + config.read_text(encoding="utf-8").replace("0.04", "0.001"), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "run_command", pytest.fail)
        assert run_script(sweep.main, command) == 0
    again = capsys.readouterr().out.rstrip().splitlines()[-2:]
    assert ["[" in line for line in again] == [True, False]
    assert [line.replace("[", " ").replace("]", " ").split() for line in again] == [
        line.replace("[", " ").replace("]", " ").split() for line in table
    ]
    # Nothing is gone on with, nor shown, that another configuration or another table has made.
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("weight_decay: 0.001", "weight_decay: 0.5"), encoding="utf-8")
    assert run_script(sweep.main, command) == 2
    refused = capsys.readouterr().err
    assert "was made with another configuration or other tables" in refused
    other = write_rows(tmp_path / "train.csv", read_rows(runs.tables["train"])[:3])
    config.write_text(text.replace(str(runs.tables["train"]), str(other)), encoding="utf-8")
    assert run_script(sweep.main, command) == 2
    assert capsys.readouterr().err == refused


def test_a_table_that_became_another_is_seen(config: Path, runs: SmallRuns, tmp_path: Path) -> None:
    table = write_rows(tmp_path / "train.csv", read_rows(runs.tables["train"]))
    text = config.read_text(encoding="utf-8").replace(str(runs.tables["train"]), str(table))
    config.write_text(text, encoding="utf-8")
    (setting,) = parse_grid(["trainer.max_epochs=1"])
    before = setting.checksum(read_config(str(config)))
    assert setting.checksum(read_config(str(config))) == before
    write_rows(table, read_rows(table)[::-1])
    assert setting.checksum(read_config(str(config))) != before


def test_an_interrupted_fit_is_gone_on_with(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "runs"
    command = ["--configs", str(config), "--grid", "model.learning_rate=4.0e-2", "--output", str(output)]
    real = sweep.run_command
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "run_command", lambda words: real([*words, "--trainer.max_steps", "2"]) or 143)
        with pytest.raises(SystemExit, match="143"):
            run_script(sweep.main, command)
    ((name, run),) = json.loads((output / "scores.json").read_text(encoding="utf-8")).items()
    assert run["char_f1"] is None
    capsys.readouterr()
    assert run_script(sweep.main, command) == 0
    assert "step 2" in capsys.readouterr().err
    assert json.loads((output / "scores.json").read_text(encoding="utf-8"))[name]["char_f1"] is not None


def test_the_table_shows_means_deviations_the_highest_and_the_own_setting() -> None:
    settings = parse_grid(["model.optimizer=adamw,paged_adamw_32bit", "trainer.max_epochs=1,2"])
    values = {"a": (0.5, 0.6), "b": (0.4, 0.4), "c": (0.5, 0.5), "d": (0.7, 0.5)}
    scores: sweep.Scores = {
        sweep.run_name("tiny-eeve.yaml", setting, seed): {"char_f1": pair[seed], "made_of": ""}
        for setting, pair in zip(settings, values.values(), strict=True)
        for seed in (0, 1)
    }
    assert sweep.show(["tiny-eeve.yaml"], settings, [0, 1], scores).splitlines() == [
        "character F1, validation                                     tiny-eeve",
        "model.optimizer=adamw trainer.max_epochs=1               55.00 ±  7.07",
        "model.optimizer=adamw trainer.max_epochs=2               40.00 ±  0.00",
        "model.optimizer=paged_adamw_32bit trainer.max_epochs=1  [50.00 ±  0.00]",
        "model.optimizer=paged_adamw_32bit trainer.max_epochs=2   60.00 ± 14.14 *",
    ]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--grid", "model.learning_rate"], "--grid model.learning_rate"),
        (["--grid", "model.learning_rate=1,,2"], "--grid model.learning_rate=1,,2"),
        (["--grid", "trainer.max_epochs=1,1"], "--grid trainer.max_epochs=1,1"),
        (["--grid", "a=1", "a=2"], "--grid a=2"),
        (["--grid", "model.learning_rate=4e-3,0.004"], "each of its values once"),
        (["--grid", "trainer.default_root_dir=a,b"], "--output"),
        (["--grid", "data.seed=1,2"], "--seeds"),
        (["--grid", "model.learning_rate.x=1"], "model.learning_rate is no group of settings"),
        (["--configs", "tiny-nous.yaml", "elsewhere/tiny-nous.yaml"], "elsewhere/tiny-nous.yaml"),
        (["--configs", "tiny-nous.yaml", "tiny-nous"], "two of one name"),
        (["--configs", "tiny-gema2.yaml"], "tiny-gemma2.yaml"),
        (["--seeds", "1", "-1"], "--seeds -1"),
        (["--seed", "1"], "--seeds"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_fitted(
    options: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script(sweep.main, [*options, "--output", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert named in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("content", ["a: [", "- a", ""])
def test_a_configuration_that_is_none_is_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(content, encoding="utf-8")
    assert run_script(sweep.main, ["--configs", str(tmp_path / "a.yaml"), "--output", str(tmp_path / "runs")]) == 2
    assert f"--configs {tmp_path / 'a.yaml'}" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", "5", "null", '{"a": 0.5}', '{"a": {"char_f1": 0.5}}'])
def test_damaged_scores_are_told(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scores.json").write_text(content, encoding="utf-8")
    assert run_script(sweep.main, ["--output", str(tmp_path)]) == 2
    assert "scores.json is damaged" in capsys.readouterr().err


def test_every_setting_has_a_folder_of_its_own() -> None:
    settings = parse_grid(["model.precision=a/b,a_b,a%2Fb", "trainer.precision=1,2"])
    assert len({setting.folder for setting in settings}) == len(settings) == 6
    assert not any("/" in setting.folder for setting in settings)
