"""A base that is not there is named as what it was meant to be, whoever asks for it first."""

from pathlib import Path

import pytest
from small_runs import refusal

from kqa_lightning.data.bases import locate_base
from kqa_lightning.data.text_encoder import load_tokenizer
from kqa_lightning.errors import KQAError


@pytest.mark.parametrize(
    ("name", "meant"), [("tiny-gemma", "tiny-gemma2"), ("gemma2", "tiny-gemma2"), ("nous", "tiny-nous")]
)
def test_a_name_close_to_a_bundled_base_is_answered_with_it(name: str, meant: str) -> None:
    with pytest.raises(KQAError, match=f"--model.base_model {name}: there is no such folder .is {meant} meant.."):
        locate_base(name)


@pytest.mark.parametrize("name", ["/nowhere", "./tiny-gemma", "gpt2"])
def test_nothing_is_suggested_for_a_path_or_a_name_of_its_own(name: str) -> None:
    with pytest.raises(KQAError, match=f"--model.base_model {name}: there is no such folder; a hub id"):
        load_tokenizer(name)


def test_the_command_says_the_same_before_it_looks_for_a_tokenizer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ("--trainer.default_root_dir", str(tmp_path / "run"), "--model.base_model")
    said = refusal(capsys, "fit", "--config", "tiny-nous.yaml", *options, "tiny-gemma")
    assert "is tiny-gemma2 meant?" in said and "tokenizer" not in said
