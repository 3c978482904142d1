"""The card of an adapter says what its base was, in words and in code that runs, and no place on this machine."""

from pathlib import Path

import pytest
import yaml
from small_runs import SmallRuns
from transformers import BitsAndBytesConfig

from kqa_lightning.model.adapter_card import adapter_card
from kqa_lightning.model.base import Quantization, load_base_model


def test_the_card_of_a_run(runs: SmallRuns, fitted: Path) -> None:
    card = (fitted / "adapter" / "README.md").read_text(encoding="utf-8")
    assert f"# LoRA adapters for {runs.base.name}\n" in card
    assert str(fitted.parent) not in card and "More Information Needed" not in card
    assert yaml.safe_load(card.split("---")[1]).keys() == {"library_name", "pipeline_tag", "tags"}


def test_the_base_of_the_hub_is_linked() -> None:
    metadata = yaml.safe_load(adapter_card("owner/name", "nf4", "bf16").split("---")[1])
    assert metadata["base_model"] == "owner/name"


@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_its_code_loads_the_base_as_it_was(tiny_bases: dict[str, Path], quantization: Quantization) -> None:
    card = adapter_card(str(tiny_bases["nous"]), quantization, "fp32")
    code = card.split("```python\n")[1].split("```")[0].rpartition("model = ")[0]
    names: dict = {}
    exec(code.replace('"tiny-nous"', repr(str(tiny_bases["nous"]))), names)
    found = names["base"]
    base = load_base_model(str(tiny_bases["nous"]), precision="fp32", quantization=quantization)
    assert found.dtype == base.dtype
    settings = [getattr(model.config, "quantization_config", None) for model in (found, base)]
    assert isinstance(settings[0], BitsAndBytesConfig) == (quantization == "nf4")
    assert settings[0] is settings[1] is None or settings[0].to_dict() == settings[1].to_dict()
