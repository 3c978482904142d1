"""Pre-train the three tiny base models of the demo from scratch.

    python scripts/make_tiny_bases.py                # all three, some seven hours on one core
    python scripts/make_tiny_bases.py --only eeve

Deterministic by seed on one kind of processor; killed and started again, it goes on where it stopped.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from script_options import ScriptParser, run_script
from tiny_bases.families import FAMILIES, Family
from tiny_bases.pretraining import pretrain
from tiny_bases.vocabulary import save_tokenizer

from kqa_lightning.errors import KQAError

ASSETS = Path(__file__).parents[1] / "kqa_lightning" / "assets"
LIMIT = 4 * 2**20


def make(family: Family, output: Path, work: Path) -> None:
    """Train one base and write it with its tokenizer as ``output/tiny-<name>``."""
    folder = output / f"tiny-{family.name}"
    tokenizer = save_tokenizer(family, folder)
    model = pretrain(family, tokenizer, work / family.name)
    model.generation_config.eos_token_id = family.end_ids
    model.half().save_pretrained(folder)
    size = (folder / "model.safetensors").stat().st_size
    if size > LIMIT:
        raise KQAError(f"{folder} takes {size:,} bytes, more than {LIMIT:,}: make the model smaller")
    print(f"{folder}: {model.num_parameters():,} parameters, {size / 2**20:.2f} MiB")


def main(given: Sequence[str] | None = None) -> None:
    """Parse the flags and make the bases."""
    parser = ScriptParser("Pre-train the tiny bases from scratch.")
    parser.add_argument("--only", choices=sorted(FAMILIES), help="make this base alone")
    parser.add_argument("--output", type=Path, default=ASSETS, help="folder that gets tiny-<name>")
    parser.add_argument("--work", type=Path, default=Path("build/tiny-bases"), help="where the state is kept")
    parser.add_argument("--threads", type=int, default=2, help="processor threads")
    arguments = parser.parse(given)
    if arguments.threads < 1:
        raise KQAError(f"--threads {arguments.threads}: at least 1 is needed")
    torch.set_num_threads(arguments.threads)
    for family in FAMILIES.values():
        if arguments.only in (None, family.name):
            make(family, arguments.output, arguments.work)


if __name__ == "__main__":
    sys.exit(run_script(main, None))
