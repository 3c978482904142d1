"""What is bundled: three tiny base models, one a family, and the sample tables."""

from pathlib import Path

from kqa_lightning.files import user_path

ASSETS = Path(__file__).parent
TINY_BASES = ("tiny-gemma2", "tiny-eeve", "tiny-nous")
SAMPLE = "sample"


def resolve_base_model(name: str) -> str:
    """Return the folder of a bundled base model, and any other name as it is, ``~`` expanded.

    A folder of one's own that is called like a bundled base is reached as ``./tiny-gemma2``.
    """
    if name in TINY_BASES:
        return str(ASSETS / name)
    return str(user_path(name)) if name.startswith("~") else name


def sample_table(part: str) -> Path:
    """Return the bundled table of ``part`` ("train", "val" or "test"; "predict" is the test table)."""
    return ASSETS / SAMPLE / f"{'test' if part == 'predict' else part}.csv"
