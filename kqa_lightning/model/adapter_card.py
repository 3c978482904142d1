"""The README.md of an adapter folder: what the adapters were learned on, and how to use them without this program."""

from pathlib import Path

from kqa_lightning import __version__
from kqa_lightning.model.base import DTYPES, Precision, Quantization

_CARD = """---
{metadata}
---

# LoRA adapters for {base}

Learned by kqa_lightning {version} on questions on articles and their answers. The base was held {held} and computed in
{dtype}; held otherwise, it gives other answers.

```python
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM{more}

base = AutoModelForCausalLM.from_pretrained("{base}", dtype={dtype}{quantized})
model = PeftModel.from_pretrained(base, "adapter").eval()
```

`python -m kqa_lightning preview`, with the options of the `fit`, shows how it was asked.
"""


def adapter_card(base_model: str, quantization: Quantization, precision: Precision) -> str:
    """The text of the card.

    Args:
        base_model: As it was given. Of a folder the name alone is said: others have it elsewhere.
        quantization: Of the base.
        precision: Of the base.
    """
    of_hub = base_model.count("/") == 1 and not Path(base_model).exists()
    metadata = ["library_name: peft", "pipeline_tag: text-generation", "tags:", "- lora"]
    dtype, nf4 = str(DTYPES[precision]), quantization == "nf4"
    settings = f'load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype={dtype}'
    return _CARD.format(
        metadata="\n".join([f"base_model: {base_model}", *metadata] if of_hub else metadata),
        base=base_model if of_hub else Path(base_model).name,
        version=__version__,
        held="in 4 bits (NF4)" if nf4 else "whole",
        dtype=dtype,
        more=", BitsAndBytesConfig" if nf4 else "",
        quantized=f",\n    quantization_config=BitsAndBytesConfig({settings})" if nf4 else "",
    )
