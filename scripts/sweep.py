"""Choose settings on the validation questions: fine-tune with each of a grid, and show what each scores there.

    python scripts/sweep.py --seeds 0 1 2    # as the rates of the tiny configurations were chosen: about an hour
    python scripts/sweep.py --configs my.yaml --grid model.learning_rate=1e-4,2e-4,4e-4 --output runs/my-sweep

Every fit is the command itself with the settings as flags; the test questions are not read. Killed and started
again, it goes on where it stopped.
"""

import itertools
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, cast

from script_options import ScriptParser, run_script, tolerate_any_terminal
from sweep_grid import Setting, parse_grid, read_config

from kqa_lightning.__main__ import main as run_command
from kqa_lightning.ensemble.text_tables import format_table
from kqa_lightning.errors import KQAError
from kqa_lightning.files import written_whole
from kqa_lightning.run_folder import RunFolder

CONFIGS = ("tiny-gemma2.yaml", "tiny-eeve.yaml", "tiny-nous.yaml")
GRID = ("model.learning_rate=5.0e-4,1.0e-3,2.0e-3,4.0e-3,8.0e-3",)
# {a fit: {"char_f1": from 0 to 1, None until it has ended, "made_of": checksum of its configuration and tables}}
Scores = dict[str, dict[str, Any]]


def fit(config: str, setting: Setting, seed: int, root: Path) -> float:
    """Fine-tune with a setting and return the highest character F1 of its validations, from 0 to 1."""
    flags = [word for key, value in setting.values for word in (f"--{key}", value)]
    seeds = ["--seed_everything", str(seed), "--data.seed", str(seed)]
    folder = ["--trainer.default_root_dir", str(root), "--ckpt_path", "last"]
    command = ["fit", "--config", config, *folder, *seeds, *flags]
    print(f"\n$ python -m kqa_lightning {shlex.join(command)}", flush=True)
    status = run_command(command)
    if status:
        sys.exit(status)
    score = RunFolder(root).best_score(None)
    if score is None:
        raise KQAError(f"{root}: no validation has scored it, so nothing can be chosen by it")
    return score


def sweep(configs: Sequence[str], settings: Sequence[Setting], seeds: Sequence[int], output: Path) -> Scores:
    """Fine-tune with every setting and seed whose score ``output/scores.json`` does not have.

    Raises:
        KQAError: a run there is of another configuration, or of other tables.
    """
    known = output / "scores.json"
    for seed, config, setting in itertools.product(seeds, configs, settings):
        name, checksum = run_name(config, setting, seed), setting.checksum(read_config(config))
        run = read_scores(known).get(name, {"made_of": checksum, "char_f1": None})
        if run["made_of"] != checksum:
            raise KQAError(
                f"{output / name} was made with another configuration or other tables: give another --output, or remove"
                f" {output}"
            )
        if run["char_f1"] is None:
            # Noted before it begins, so that a run which was interrupted is known too.
            write_scores(known, read_scores(known) | {name: run})
            run["char_f1"] = fit(config, setting, seed, output / name)
            write_scores(known, read_scores(known) | {name: run})
    return read_scores(known)


def read_scores(path: Path) -> Scores:
    """What earlier runs scored.

    Raises:
        KQAError: the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
        for run in scores.values():
            float(run["char_f1"] or 0), run["made_of"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise KQAError(f"{path} is damaged ({error}): remove {path.parent}, or give another --output") from error
    return cast(Scores, scores)


def write_scores(path: Path, scores: Scores) -> None:
    """Write them in one piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as scratch:
        scratch.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")


def run_name(config: str, setting: Setting, seed: int) -> str:
    """The folder of a fit, below the output."""
    return f"{Path(config).stem}/{setting.folder}/seed-{seed}"


def show(configs: Sequence[str], settings: Sequence[Setting], seeds: Sequence[int], scores: Scores) -> str:
    """A line a setting with the mean over the seeds, in points of 100, and of several seeds the standard deviation.

    A star stands at the highest of each configuration, and its own setting is in brackets.
    """
    columns: list[list[str]] = []
    for config in configs:
        own = read_config(config)
        found = [[100 * scores[run_name(config, setting, seed)]["char_f1"] for seed in seeds] for setting in settings]
        highest = max(map(mean, found))
        cells = [f"{Path(config).stem}  "]
        for setting, values in zip(settings, found, strict=True):
            cell = f"{mean(values):5.2f}" + (f" ± {stdev(values):5.2f}" if len(values) > 1 else "")
            cell = f"[{cell}]" if setting.is_of(own) else f" {cell} "
            cells.append(cell + ("*" if mean(values) == highest else " "))
        columns.append(cells)
    rows = [["character F1, validation", *map(str, settings)], *columns]
    return format_table([list(row) for row in zip(*rows, strict=True)])


def main(given: Sequence[str] | None = None) -> None:
    """Run the sweep and print its table."""
    tolerate_any_terminal()
    parser = ScriptParser("Fine-tune with each of several settings and compare them on the validation questions.")
    parser.add_argument("--configs", nargs="+", default=CONFIGS, metavar="NAME", help="files, or names of bundled ones")
    parser.add_argument(
        "--grid", nargs="+", default=GRID, metavar="KEY=VALUE,VALUE", help="flags of fit and their values, all combined"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N", help="each setting once with each")
    parser.add_argument("--output", type=Path, default=Path("runs/sweep"), help="folder for the runs and scores.json")
    options = parser.parse(given)
    settings = parse_grid(options.grid)
    configs, seeds = list(dict.fromkeys(options.configs)), list(dict.fromkeys(options.seeds))
    for config in configs:
        read_config(config)
    if len({Path(config).stem for config in configs}) < len(configs):
        raise KQAError("--configs: two of one name would share their runs; rename one")
    if min(seeds) < 0:
        raise KQAError(f"--seeds {min(seeds)}: at least 0 is needed")
    scores = sweep(configs, settings, seeds, options.output)
    print(f"\n{show(configs, settings, seeds, scores)}")


if __name__ == "__main__":
    sys.exit(run_script(main, None))
