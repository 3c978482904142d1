import json
from pathlib import Path

import huggingface_hub.constants
import pytest

from kqa_lightning.errors import KQAError
from kqa_lightning.model.base import load_base_model
from kqa_lightning.model.source import content_digest, reading, resolve_source


def test_folders_and_bundled_bases_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bases: dict[str, Path]
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_source("~/base") == str(tmp_path / "base")
    for family, folder in tiny_bases.items():
        assert Path(resolve_source(f"tiny-{family}")) == folder


@pytest.mark.parametrize("name", ["/no/such/base", "./base", "../base", "~/base", "assets/tiny/gemma2", "gemma2"])
def test_a_folder_that_is_not_there_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(KQAError, match=f"--model.base_model {name}: there is no such folder"):
        resolve_source(name)


def test_a_folder_without_a_model_and_a_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(KQAError, match=r"has no config.json"):
        resolve_source(str(tmp_path))
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(KQAError, match="is a file"):
        resolve_source(str(file))


def test_an_unreachable_hub_id_is_named_with_the_offline_way(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(KQAError) as caught:
        load_base_model("nobody/nothing", precision="fp32")
    message = str(caught.value)
    assert message.startswith("--model.base_model nobody/nothing cannot be had from the Hugging Face Hub")
    assert "offline, pass a folder with the model" in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_a_base_has_the_same_content_on_the_hub_and_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else lies there, and whatever commit it is of."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    index = json.dumps({"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}})
    cached, folder = tmp_path / "models--somebody--base/snapshots/abc", tmp_path / "base"
    for place in (cached, folder):
        place.mkdir(parents=True)
        for name, text in (("config.json", "{}"), ("model.safetensors.index.json", index)):
            (place / name).write_text(text, encoding="utf-8")
        for number in (1, 2):
            (place / f"model-{number}-of-2.safetensors").write_bytes(bytes([number]))
    (cached.parents[1] / "refs").mkdir()
    (cached.parents[1] / "refs/main").write_text("abc", encoding="utf-8")
    (folder / "consolidated.safetensors").write_bytes(b"the same once more")
    assert content_digest("somebody/base") == content_digest(str(folder))
    (folder / "model-2-of-2.safetensors").write_bytes(b"x")
    assert content_digest("somebody/base") != content_digest(str(folder))


def test_a_config_of_no_known_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "abacus"}')
    with pytest.raises(KQAError, match=r"the folder cannot be loaded.*abacus"):
        load_base_model(str(tmp_path), precision="fp32")


def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), reading("nobody/nothing"):
        _ = 1 / 0
