"""Where ``--config NAME.yaml`` is read from, and what is checked in it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from lightning.pytorch.cli import ActionConfigFile

from kqa_lightning.arguments import KQAArgumentParser, nearest
from kqa_lightning.errors import KQAError

_PACKAGE = Path(__file__).parent
# Anything else is a path or YAML written on the command line, which jsonargparse reads as it is.
_PLAIN_NAME = re.compile(r"[\w.-]+")


def bundled_configs() -> Path:
    """The folder of the configurations that come with the package, in a checkout and in an installed wheel."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def find_config(name: str) -> str:
    """The file that ``--config NAME`` means: one in the working directory, or else a bundled one.

    Raises:
        KQAError: there is no such file, with the names that are known.
    """
    path = Path(name)
    if not _PLAIN_NAME.fullmatch(name) or path.is_file():
        return name
    known = {config.name: config for config in sorted(bundled_configs().glob("*.yaml"))}
    for candidate in (name, f"{name}.yaml"):
        if candidate in known:
            return str(known[candidate])
    raise KQAError(
        f"--config {name}: there is no such file here, and the configurations that come with the package are"
        f" {', '.join(known)}"
    )


class ConfigFile(ActionConfigFile):
    """The action of ``--config``: a file, the name of a bundled configuration, or YAML itself."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Read the configuration into ``cfg``.

        Raises:
            KQAError: it does not exist, is no mapping in YAML, or has a setting that is unknown or has a wrong value.
        """
        source = find_config(values)
        try:
            _check_keys(Path(source), parser)
            super().__call__(parser, cfg, source, option_string)
        except (KQAError, TypeError, KeyError, ValueError) as error:
            reason = " ".join(str(error).removeprefix('Parser key "config":').split())
            raise KQAError(reason if reason.startswith("--config") else f"--config {values}: {reason}") from error


def _check_keys(path: Path, parser: KQAArgumentParser) -> None:
    """Refuse unknown settings here, where it is known which file they stand in."""
    if not path.is_file():
        return
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except yaml.YAMLError as error:
        raise KQAError(f"it is not YAML: {error}") from error
    except (UnicodeDecodeError, OSError) as error:
        raise KQAError(f"it cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise KQAError("a configuration is a mapping of groups (trainer:, model:, data:, …), and this is none")
    known = parser.known_keys()
    for key in _keys(content):
        if not any(key == name or key.startswith(f"{name}.") or name.startswith(f"{key}.") for name in known):
            raise KQAError(f"there is no setting {key}; did you mean {nearest(key, known)}?")


def _keys(content: dict[Any, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of the leaves; ``key+`` appends to the list ``key``."""
    for name, value in content.items():
        key = f"{prefix}{str(name).removesuffix('+')}"
        if isinstance(value, dict) and value:
            yield from _keys(value, f"{key}.")
        else:
            yield key
