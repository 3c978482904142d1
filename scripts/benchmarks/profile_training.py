"""Say where the time of a training step goes: forward and backward, by kinds of operations.

    python scripts/benchmarks/profile_training.py --korquad KorQuAD_v1.0_dev.json --bases tiny-nous tiny-gemma2

One article with its questions a batch (``shared``), these questions in rows of their own (``separate``), and TRL's
SFTTrainer with a row a batch and loss on the whole text (``deck``), as the training benchmark has them; PyTorch's
profiler adds up the processor's time of each operation by itself: of ours forward and backward, of TRL's its trainer
and optimizer too.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from benchmarks.benchmark_data import choose_articles, write_rows
from benchmarks.options import count
from benchmarks.training_plan import LONGEST
from benchmarks.training_ways import Done, Job
from benchmarks.trl_training import make_trainer, require_trl
from script_options import ScriptParser, run_script
from torch.profiler import ProfilerActivity, profile

from kqa_lightning.assets import TINY_BASES
from kqa_lightning.data.packing import PackedBatch, pack
from kqa_lightning.ensemble.text_tables import format_table
from kqa_lightning.model.fused import fuse
from kqa_lightning.model.loss import token_losses

WAYS = ("shared", "separate", "deck")
# The beginnings of operations' names; what none of them knows are calls, views, allocation and the like, and what our
# own functions take besides the operations in them.
KINDS = {
    "matrix products": ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm"),
    "attention": ("aten::_scaled_dot_product", "_Blockwise", "_Parts", "aten::exp2", "aten::sigmoid", "aten::_softmax"),
    "weights out of their 4 bits": ("bitsandbytes::",),
    "norms, gates, positions, sums, copies": (
        *("aten::add", "aten::sub", "aten::mul", "aten::div", "aten::neg", "aten::pow", "aten::rsqrt", "aten::sum"),
        *("aten::mean", "aten::silu", "aten::gelu", "aten::tanh", "aten::cos", "aten::sin", "aten::_log_softmax"),
        *("aten::copy_", "aten::_to_copy", "aten::cat", "aten::fill_", "aten::zero", "aten::index", "aten::embedding"),
        *("aten::where", "aten::masked_fill", "aten::eq", "aten::ge", "aten::le", "aten::bitwise", "aten::logical"),
        *("aten::linalg_vec", "aten::amax", "aten::max", "aten::rsub", "aten::nll_loss", "aten::bernoulli"),
        *("aten::nonzero", "aten::sort", "aten::arange", "aten::cumsum", "aten::scatter", "aten::gather"),
    ),
}
REST = "calls, views, memory"


def make_parser() -> ScriptParser:
    """The options of the script."""
    parser = ScriptParser("Say where the time of a training step goes.")
    parser.add_argument("--korquad", metavar="FILE", help="KorQuAD's development set; without it the sample")
    parser.add_argument("--bases", nargs="+", choices=TINY_BASES, default=list(TINY_BASES))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--articles", type=count, default=4, help="how many, one after the other")
    parser.add_argument("--threads", type=count, default=1, help="of the processor")
    return parser


def shares(times: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Of operations and the time of each, the share of each kind, from 0 to 1."""
    found = dict.fromkeys([*KINDS, REST], 0.0)
    for name, time in times:
        # What autograd calls an operation's backward pass is the sum of operations that are listed too.
        own = not name.startswith("autograd::")
        kind = next((kind for kind, names in KINDS.items() if own and name.startswith(names)), REST)
        found[kind] += time
    total = sum(found.values()) or 1.0
    return {kind: time / total for kind, time in found.items()}


def profiled(job: Job, way: str, questions: int, scratch: Path) -> tuple[dict[str, float], float]:
    """The shares of a training that is not its first step, and the milliseconds of the processor an answer."""
    per_batch = {"shared": 1, "separate": questions}
    found = _profiled_deck(job, scratch) if way == "deck" else _profiled_ours(job, way == "shared", per_batch[way])
    times = [(event.key, event.self_cpu_time_total) for event in found.key_averages()]
    return shares(times), sum(time for _, time in times) / 1000 / job.rows_per_step


def _profiled_ours(job: Job, share_articles: bool, per_batch: int) -> profile:
    """Forward and backward of all articles, so many packed rows a batch."""
    data = job.data(share_articles)
    data.setup("fit")
    articles = list(data.articles["train"])
    batches = [pack(articles[at : at + per_batch], data.encoder.pad_id) for at in range(0, len(articles), per_batch)]
    module = job.module()
    module.configure_model()
    model = module.model
    assert model is not None
    fuse(model.train())  # as `fit` does

    def step(batch: PackedBatch) -> None:
        token_losses(model, batch).sum().backward()
        model.zero_grad()

    step(batches[0])
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for batch in batches:
            step(batch)
    return profiler


def _profiled_deck(job: Job, scratch: Path) -> profile:
    """TRL's second step, its optimizer included."""
    data = job.data(share_articles=False)
    data.setup("fit")
    profiler = profile(activities=[ProfilerActivity.CPU])
    steps = 0

    def step(rows: int) -> None:
        nonlocal steps
        steps += 1
        if steps == 1:
            profiler.start()
        else:
            profiler.stop()
            raise Done

    trainer = make_trainer(job, data, batch_size=1, completion_only=False, scratch=scratch, step=step)
    with suppress(Done):
        trainer.train()
    return profiler


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile each base in the ways that are asked for, and print the table."""
    options: argparse.Namespace = make_parser().parse(arguments)
    if "deck" in options.ways:
        require_trl()
    torch.set_num_threads(options.threads)
    rows = choose_articles(options.korquad or "sample", options.articles, seed=0, longest=LONGEST)
    questions = len(rows) // options.articles
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "train.jsonl"
        write_rows(table, rows)
        columns: dict[str, tuple[dict[str, float], float]] = {}
        for base in options.bases:
            job = Job(base, base.removeprefix("tiny-"), str(table), str(table), len(rows), 1, 1, options.threads)
            for way in options.ways:
                columns[f"{base}, {way}"] = profiled(job, way, questions, Path(folder))
    lines = [["", *columns]]
    lines += [[kind, *(f"{100 * found[kind]:.0f} %" for found, _ in columns.values())] for kind in [*KINDS, REST]]
    lines.append(["milliseconds an answer", *(f"{time:.0f}" for _, time in columns.values())])
    print(format_table(lines))


if __name__ == "__main__":
    sys.exit(run_script(main, None))
