"""What decides the answers of ``predict``, by name: answers given with one set are never joined to those of another."""

import inspect
from collections.abc import Collection, Mapping
from importlib.metadata import version

from torch import Tensor, uint8

from kqa_lightning import __version__
from kqa_lightning.checkpoints import read_checkpoint
from kqa_lightning.data.cache import fingerprint, table_fingerprint
from kqa_lightning.data.datamodule import KQADataModule
from kqa_lightning.model.module import KQAModule
from kqa_lightning.model.source import source_digest
from kqa_lightning.trainer import KQATrainer

# Every other setting counts, so that a new one is not forgotten. Of paths and bases it is the content that counts.
_OF_TRAINING = {
    *("base_model", "gradient_checkpointing", "optimizer", "learning_rate", "weight_decay", "warmup_ratio"),
}
_OF_OTHER_PARTS = {
    *("base_model", "train_path", "val_path", "test_path", "predict_path", "val_fraction"),
    *("columns", "num_workers", "seed"),
}
_LIBRARIES = ("torch", "transformers", "bitsandbytes")
_DIGITS = 12  # of a hash: enough to tell two apart, few enough to read


def answer_settings(trainer: KQATrainer, module: KQAModule, data: KQADataModule) -> dict[str, str]:
    """What decides the answers to the table to predict on.

    Args:
        trainer: That is about to predict, with the checkpoint it will use.
        module: That answers; its weights need not be loaded.
        data: With the table read and encoded.

    Raises:
        KQAError: base model or checkpoint cannot be read.
    """
    table = data.tables["predict"]
    asked = table_fingerprint(table.select_columns(["id", "context", "question"]))
    tokens = fingerprint(data.encoder.fingerprint("inference"), data.articles["predict"].fingerprint)
    return {
        **_settings("model", module, _OF_TRAINING),
        **_settings("data", data, _OF_OTHER_PARTS),
        "trainer.precision": str(trainer.precision),
        "trainer.accelerator": trainer.strategy.root_device.type,
        "trainer.limit_predict_batches": str(trainer.limit_predict_batches),
        "content of data.predict_path": f"{len(table)} rows {asked[:_DIGITS]}",
        "tokens of its prompts": tokens[:_DIGITS],
        "content of model.base_model": _short(source_digest(module.base_model)),
        "adapters": _adapters(trainer, module),
        "version of kqa_lightning": __version__,
        **{f"version of {library}": version(library) for library in _LIBRARIES},
    }


def adapter_digest(tensors: Mapping[str, Tensor]) -> str:
    """A hash of adapters by their names and values; ``none`` for new ones, which change no answer."""
    if all(not tensor.any() for name, tensor in tensors.items() if "lora_B" in name):
        return "none"
    parts = ((name, tensor.detach().cpu().contiguous().flatten()) for name, tensor in sorted(tensors.items()))
    return fingerprint(*(part for name, tensor in parts for part in (name, tensor.view(uint8).numpy().tobytes())))


def _settings(group: str, owner: object, left_out: Collection[str]) -> dict[str, str]:
    """The arguments that an object was made with, as its class keeps them under their names."""
    names = [name for name in inspect.signature(type(owner)).parameters if name not in left_out]
    return {f"{group}.{name}": str(getattr(owner, name)) for name in names if hasattr(owner, name)}


def _adapters(trainer: KQATrainer, module: KQAModule) -> str:
    if trainer.weights is not None:
        return _short(adapter_digest(read_checkpoint(trainer.weights, mmap=True)["state_dict"]))
    # Without a checkpoint the module answers as it is: not loaded yet, or trained in this process.
    return _short(adapter_digest({name: one for name, one in module.named_parameters() if one.requires_grad}))


def _short(digest: str) -> str:
    kind, _, value = digest.rpartition(" ")
    return f"{kind} {value[:_DIGITS]}".strip()
