"""The grid of a sweep: its settings, and what a run with one of them depends on."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml  # type: ignore[import-untyped]

from kqa_lightning.assets import SAMPLE, sample_table
from kqa_lightning.config_files import find_config
from kqa_lightning.errors import KQAError
from kqa_lightning.files import user_path

# What the sweep gives to each fit itself.
OWN_KEYS = ("config", "ckpt_path", "seed_everything", "data.seed", "trainer.default_root_dir")
_SHOWN = "model.learning_rate=1e-4,2e-4"


class Setting(NamedTuple):
    """One point of a grid: pairs of a flag, without its dashes, and a value."""

    values: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """The settings as they are given."""
        return " ".join(f"{key}={value}" for key, value in self.values)

    @property
    def folder(self) -> str:
        """A name of it for a folder, another for each."""
        return ",".join(f"{key}={quote(value, safe='+')}" for key, value in self.values)

    def is_of(self, config: Mapping[str, Any]) -> bool:
        """Whether a configuration has all of these values."""
        return all(_same(_value_at(config, key), value) for key, value in self.values)

    def checksum(self, config: Mapping[str, Any]) -> str:
        """Of a configuration in which these values stand for its own, and of the tables that it names.

        Raises:
            KQAError: the configuration has no group of settings where a value should stand.
        """
        content: dict[str, Any] = json.loads(json.dumps(config, default=str))
        for key, value in self.values:
            *groups, name = key.split(".")
            node: Any = content
            for group in groups:
                node = node.setdefault(group, {}) if isinstance(node, dict) else None
            if not isinstance(node, dict):
                raise KQAError(f"--grid {key}={value}: {'.'.join(groups)} is no group of settings")
            node[name] = value
        found = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
        for part in ("train", "val"):
            source = str(_value_at(content, f"data.{part}_path") or _value_at(content, "data.train_path"))
            path = sample_table(part) if source == SAMPLE else user_path(source)
            found.update(path.read_bytes() if path.is_file() else b"")
        return found.hexdigest()


def parse_grid(parts: Sequence[str]) -> list[Setting]:
    """All combinations of ``KEY=VALUE,VALUE…``, the first key's values changing slowest.

    Raises:
        KQAError: a part has no key or no value, one of them twice, or a key that the sweep sets itself.
    """
    axes: dict[str, list[str]] = {}
    for part in parts:
        key, _, given = part.partition("=")
        values = given.split(",")
        twice = any(_same(one, other) for one, other in itertools.combinations(values, 2))
        if not key or not all(values) or twice or key in axes:
            raise KQAError(
                f"--grid {part}: KEY=VALUE,VALUE is needed, each key and each of its values once, such as {_SHOWN}"
            )
        if key in OWN_KEYS:
            raise KQAError(f"--grid {part}: {key} is given by the sweep itself, by --seeds, --output and --configs")
        axes[key] = values
    return [Setting(tuple(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]


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


def _value_at(config: Mapping[str, Any], key: str) -> Any:
    found: Any = config
    for name in key.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _same(known: object, value: str) -> bool:
    try:
        return float(str(known)) == float(value)  # 2e-3 is text in YAML, and 0.002 no less the same
    except ValueError:
        return str(known) == value or known == _parsed(value)


def _parsed(value: str) -> object:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value
