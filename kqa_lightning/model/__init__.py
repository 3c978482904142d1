"""The model side: 4-bit base with LoRA, masks, loss, answering, and the LightningModule over them."""

import logging

# On CPUs with AVX512-BF16 bitsandbytes warns, on import, of an optional kernel that base.py switches off anyway.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
