"""Every bundled configuration goes through the real parser, for every command."""

import sys
from pathlib import Path

import pytest
from small_runs import read_yaml

from kqa_lightning.__main__ import TRAINER_COMMANDS
from kqa_lightning.assets import TINY_BASES
from kqa_lightning.cli import KQACLI
from kqa_lightning.config_files import bundled_configs
from kqa_lightning.data.chat import USER, ChatPrompt
from kqa_lightning.data.prompts import EEVEPrompt, Gemma2Prompt, NousPrompt, Prompt
from kqa_lightning.model.base import ALL_PROJECTIONS

CONFIGS = sorted(bundled_configs().glob("*.yaml"))
PROMPTS = {"gemma2": Gemma2Prompt, "eeve": EEVEPrompt, "nous": NousPrompt, "chat": ChatPrompt}


class Built(KQACLI):
    """Builds model, data and trainer from a configuration, and runs nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def built(command: str, config: Path, *options: str) -> Built:
    # A GPU or its precision may be missing where the tests run; what is tested is the configuration.
    return Built([command, "--config", config.name, "--trainer.accelerator", "cpu", *options])


def test_there_is_one_for_each_family_and_size() -> None:
    families = ("gemma2", "eeve", "nous")
    assert {config.stem for config in CONFIGS} == {"chat", *families, *(f"tiny-{family}" for family in families)}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
@pytest.mark.parametrize("command", TRAINER_COMMANDS)
def test_it_builds_every_command(command: str, config: Path) -> None:
    options = ("--trainer.precision", "32-true")
    cli = built(command, config, *options)
    prompt: Prompt = cli.datamodule.prompt
    assert type(prompt) is PROMPTS[config.stem.removeprefix("tiny-")]
    assert cli.datamodule.base_model == cli.model.base_model
    assert Path(cli.trainer.default_root_dir) == Path("runs") / config.stem


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_it_opens_with_the_command_that_runs_it_and_holds_groups_alone(config: Path) -> None:
    opening = [line for line in config.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert f"#   python -m kqa_lightning fit     --config {config.name}" in opening
    assert all(isinstance(group, dict) for group in read_yaml(config).values())


@pytest.mark.parametrize("family", ["gemma2", "eeve", "nous"])
def test_the_real_ones_hold_the_settings_of_the_deck(family: str) -> None:
    model = built("fit", bundled_configs() / f"{family}.yaml", "--trainer.precision", "32-true").model
    shape = (model.lora.r, model.lora.alpha, model.lora.dropout, model.lora.target_modules)
    assert shape == ((64, 16, 0.1, None) if family == "nous" else (6, 8, 0.0, ALL_PROJECTIONS))
    assert (model.quantization, model.optimizer) == ("nf4", "paged_adamw_32bit")
    assert (model.learning_rate, model.warmup_ratio) == (2e-4, 0.03)
    assert model.precision == {"gemma2": "bf16", "eeve": "fp16", "nous": "bf16"}[family]
    assert model.weight_decay == (0.001 if family == "nous" else 0.0)
    config = read_yaml(bundled_configs() / f"{family}.yaml")
    assert config["trainer"]["max_epochs"] == 1
    assert config["trainer"].get("gradient_clip_val") == (0.3 if family == "nous" else None)
    assert config["trainer"].get("precision") == ("16-mixed" if family == "eeve" else None)


@pytest.mark.parametrize("base", TINY_BASES)
def test_the_tiny_ones_train_on_the_sample(base: str) -> None:
    config = read_yaml(bundled_configs() / f"{base}.yaml")
    assert config["model"]["base_model"] == base
    assert config["data"]["train_path"] == "sample"


def test_parsing_leaves_the_arguments_of_this_process_alone() -> None:
    before = list(sys.argv)
    built("fit", CONFIGS[0], "--trainer.precision", "32-true")
    assert sys.argv == before


def test_chat_asks_in_the_words_of_the_deck() -> None:
    prompt = built("fit", bundled_configs() / "chat.yaml").datamodule.prompt
    assert isinstance(prompt, ChatPrompt)
    assert (prompt.user, prompt.system) == (USER, None)
