"""Choose settings on the validation questions: fine-tune with each of a grid, and show what each scores there.

    python scripts/sweep.py --seeds 0 1 2              # how the rates of the tiny configurations were chosen: an hour
    python scripts/sweep.py --configs my.yaml --grid model.learning_rate=1e-4,2e-4,4e-4 --output runs/my-sweep

Every fit is the command itself with the settings as flags; the test questions are not read. Killed and started
again, it goes on where it stopped.
"""

import hashlib
import itertools
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]
from script_options import ScriptParser, run_script, tolerate_any_terminal

from kqa_lightning.__main__ import main as run_command
from kqa_lightning.config_files import find_config
from kqa_lightning.ensemble.text_tables import format_table
from kqa_lightning.errors import KQAError
from kqa_lightning.files import written_whole
from kqa_lightning.run_folder import RunFolder

CONFIGS = ("tiny-gemma2.yaml", "tiny-eeve.yaml", "tiny-nous.yaml")
GRID = ("model.learning_rate=5.0e-4,1.0e-3,2.0e-3,4.0e-3,8.0e-3",)
Scores = dict[str, dict[str, float | str]]  # {a fit: {"char_f1": 0 to 1, "config": checksum of its configuration}}


class Setting(NamedTuple):
    """One point of the grid: pairs of a flag, without its dashes, and a value."""

    values: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """The settings by the last part of their names."""
        return " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in self.values)

    @property
    def folder(self) -> str:
        """A name of it for a folder."""
        return str(self).replace(" ", ",").replace("/", "_")

    def is_of(self, config: Mapping[str, object]) -> bool:
        """Whether a configuration has all of these values."""
        return all(_same(_value_at(config, key), value) for key, value in self.values)

    def checksum(self, config: Mapping[str, object]) -> str:
        """Of a configuration in which these values stand for its own."""
        content: dict[str, Any] = json.loads(json.dumps(config, default=str))
        for key, value in self.values:
            *groups, name = key.split(".")
            node = content
            for group in groups:
                node = node.setdefault(group, {})
            node[name] = value
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_config(name: str) -> dict[str, Any]:
    """The settings in a configuration.

    Raises:
        KQAError: there is no such file, or no settings in it.
    """
    try:
        content = yaml.safe_load(Path(find_config(name)).read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise KQAError(f"--configs {name} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise KQAError(
            f"--configs {name}: a configuration is a mapping of groups (trainer:, model:, …), and this is none"
        )
    return content


def _value_at(config: Mapping[str, object], key: str) -> object:
    found: object = config
    for name in key.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _same(known: object, value: str) -> bool:
    try:
        return float(str(known)) == float(value)  # 2e-3 is text in YAML, and 0.002 no less the same
    except ValueError:
        return known == yaml.safe_load(value)


def parse_grid(parts: Sequence[str]) -> list[Setting]:
    """All combinations of ``KEY=VALUE,VALUE…``, the first key's values changing slowest.

    Raises:
        KQAError: a part has no key or no value, or one of them twice.
    """
    axes: dict[str, list[str]] = {}
    for part in parts:
        key, _, given = part.partition("=")
        values = given.split(",")
        if not key or not all(values) or len(set(values)) < len(values) or key in axes:
            raise KQAError(
                f"--grid {part}: KEY=VALUE,VALUE is needed, each key and each of its values once, such as {GRID[0]}"
            )
        axes[key] = values
    return [Setting(tuple(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]


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
    """Fine-tune with every setting and seed whose score, with the configuration as it is, ``output`` does not have."""
    known = output / "scores.json"
    try:
        scores: Scores = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
    except ValueError as error:
        raise KQAError(f"{known} is damaged ({error}): remove it, and what has been fitted is scored again") from error
    for seed, config, setting in itertools.product(seeds, configs, settings):
        name, checksum = run_name(config, setting, seed), setting.checksum(read_config(config))
        if scores.get(name, {}).get("config") != checksum:
            # Where the configuration became another, fit refuses to go on with the run of the earlier one.
            scores[name] = {"char_f1": fit(config, setting, seed, output / name), "config": checksum}
            with written_whole(known) as scratch:
                scratch.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    return scores


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
        found = [
            [100 * float(scores[run_name(config, setting, seed)]["char_f1"]) for seed in seeds] for setting in settings
        ]
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
    if min(seeds) < 0:
        raise KQAError(f"--seeds {min(seeds)}: at least 0 is needed")
    scores = sweep(configs, settings, seeds, options.output)
    print(f"\n{show(configs, settings, seeds, scores)}")


if __name__ == "__main__":
    sys.exit(run_script(main, None))
