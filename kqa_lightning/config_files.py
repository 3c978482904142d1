"""Where ``--config NAME.yaml`` is read from, and what is checked in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from lightning.pytorch.cli import ActionConfigFile

from kqa_lightning.arguments import KQAArgumentParser, nearest
from kqa_lightning.errors import KQAError
from kqa_lightning.files import user_path

_PACKAGE = Path(__file__).parent


def bundled_configs() -> Path:
    """The folder of the configurations that come with the package, in a checkout and in an installed wheel."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def find_config(name: str) -> str:
    """The file that ``--config NAME`` means, or else the bundled one of that name; YAML itself as it stands.

    Raises:
        KQAError: there is no such file, with the names that are known.
    """
    if ":" in name:  # YAML written on the command line
        return name
    path = user_path(name)
    if path.is_file():
        return str(path)
    known = {config.name: config for config in sorted(bundled_configs().glob("*.yaml"))}
    for candidate in (name, f"{name}.yaml"):
        if candidate in known:
            return str(known[candidate])
    raise KQAError(
        f"--config {name}: there is no such file, and the configurations that come with the package are"
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
            _check_keys(source, parser)
            super().__call__(parser, cfg, source, option_string)
        except (KQAError, TypeError, KeyError, ValueError) as error:
            reason = " ".join(str(error).removeprefix('Parser key "config":').split())
            raise KQAError(reason if reason.startswith("--config") else f"--config {values}: {reason}") from error


def _check_keys(source: str, parser: KQAArgumentParser) -> None:
    """Refuse here, where it is known which file it stands in, an unknown setting and a group that holds no settings."""
    content = _read(source)
    if not isinstance(content, dict):
        raise KQAError("a configuration is a mapping of groups (trainer:, model:, data:, …), and this is none")
    known = parser.known_keys()
    for key, value in _settings(content):
        within = [name for name in known if name.startswith(f"{key}.")]
        if not within and not any(key == name or key.startswith(f"{name}.") for name in known):
            raise KQAError(f"there is no setting {key}; did you mean {nearest(key, known)}?")
        if within and not isinstance(value, dict | str):  # text names a file of them
            raise KQAError(
                f"{key} is a group of settings ({min(within)}, …), and {json.dumps(value, default=str)} is none;"
                " leave it out, or give some of them"
            )


def _read(source: str) -> object:
    """What a file holds, or YAML on the command line; nothing for what is neither, of which jsonargparse says so."""
    path = Path(source)
    try:
        is_file = path.is_file()
    except OSError:  # longer than a name may be
        is_file = False
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig") if is_file else source)
    except yaml.YAMLError as error:
        raise KQAError(f"it is not YAML: {error}") from error
    except (UnicodeDecodeError, OSError) as error:
        raise KQAError(f"it cannot be read: {error}") from error
    return content if is_file or isinstance(content, dict) else {}


def _settings(content: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves by their dotted keys; ``key+`` appends to the list ``key``."""
    for name, value in content.items():
        key = f"{prefix}{str(name).removesuffix('+')}"
        if isinstance(value, dict) and value:
            yield from _settings(value, f"{key}.")
        else:
            yield key, value
