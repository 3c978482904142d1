"""The code in README.md does what is said of it, and README.ko.md has the same."""

import json
import re
from pathlib import Path
from typing import Any

from small_runs import ROOT, SmallRuns, read_rows

from kqa_lightning.assets import resolve_base_model
from kqa_lightning.data.prompts import Gemma2Prompt


def code_of(name: str) -> list[str]:
    """The Python of a README."""
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


def test_both_languages_have_the_same_code() -> None:
    assert code_of("README.md") == code_of("README.ko.md") != []


def test_the_adapter_answers_the_same_in_peft(runs: SmallRuns) -> None:
    loading, _, answering = next(code for code in code_of("README.md") if "PeftModel" in code).rpartition("\n\n")
    tokens = re.search(r"max_new_tokens=(\d+)", answering)
    assert tokens
    small = SmallRuns(runs.folder, "tiny-gemma2.yaml")
    options = ("--model.max_new_tokens", tokens[1])
    assert small("fit", "for-peft", *options, "--trainer.max_steps", "6") == 0
    assert small("predict", "for-peft", *options, "--ckpt_path", "best") == 0
    folder = runs.folder / "for-peft"
    names = loaded(loading, resolve_base_model("tiny-gemma2"), folder / "adapter")
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    expected = {line["id"]: line["candidates"][0]["answer"] for line in map(json.loads, lines)}
    prompt, found = Gemma2Prompt(), {}
    for row in read_rows(runs.tables["test"]):
        asked = (*prompt.prefix(row["context"], "inference"), *prompt.question(row["question"], "inference"))
        names["text"] = "".join(segment.text for segment in asked)
        exec(answering, names)
        found[row["id"]] = names["answer"].split("\n")[0].strip()
    assert found == expected
    assert len(set(found.values())) > 1


def loaded(loading: str, base: str, adapter: Path) -> dict[str, Any]:
    """What the code has loaded, told to use another base in its type, and another adapter."""
    for old, new in (
        ("rtzr/ko-gemma-2-9b-it", base),
        ("torch.bfloat16", "torch.float32"),
        ("runs/gemma2/adapter", adapter.as_posix()),
    ):
        assert loading.count(old) == 1
        loading = loading.replace(old, new)
    names: dict[str, Any] = {}
    exec(loading, names)
    return names
