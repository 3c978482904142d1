"""A base model's source: what it is told apart by, and its errors as a person can act on them."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from kqa_lightning.assets import resolve_base_model
from kqa_lightning.data.bases import locate_base, one_line, unreachable
from kqa_lightning.data.cache import fingerprint
from kqa_lightning.errors import KQAError

# Of a file of weights this many pieces are looked at, of this many bytes: all of a small one.
_PIECES, _PIECE = 64, 1 << 16


def resolve_source(base_model: str) -> str:
    """The folder (of a bundled base, or with ``~`` expanded) or the hub id that ``base_model`` names.

    Raises:
        KQAError: it names a folder that does not exist or has no ``config.json``, or the hub cannot be asked for it.
    """
    source = locate_base(base_model)
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise KQAError(
            f"--model.base_model {base_model}: the folder has no config.json; name one in Hugging Face format"
        )
    return source


def source_digest(base_model: str) -> str:
    """What tells base models apart without loading them: a folder's content, whatever its name, or the hub's commit.

    Raises:
        KQAError: as `resolve_source`, or the files cannot be read.
    """
    source = resolve_source(base_model)
    with reading(base_model):
        if not Path(source).is_dir():
            return f"commit {Path(hf_hub_download(source, 'config.json')).parent.name}"
        return _folder_digest(Path(source))


def content_digest(base_model: str) -> str:
    """A hash of a base that has been loaded, the same wherever its files are: in a folder or from the hub.

    Raises:
        KQAError: as `source_digest`.
    """
    source = resolve_source(base_model)
    with reading(base_model):
        if Path(source).is_dir():
            return _folder_digest(Path(source))
        loaded = try_to_load_from_cache(source, "config.json")
        return _folder_digest(
            Path(loaded if isinstance(loaded, str) else hf_hub_download(source, "config.json")).parent
        )


@contextmanager
def reading(base_model: str) -> Iterator[None]:
    """Silence the libraries' loading noise, and turn what they raise about the source into one clear line.

    Raises:
        KQAError: the files of ``base_model`` cannot be reached, read or understood.
    """
    hub_logger = logging.getLogger("huggingface_hub")
    hub_level, verbosity = hub_logger.level, transformers_logging.get_verbosity()
    hub_logger.setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise _as_user_error(base_model, error) from error
    finally:
        hub_logger.setLevel(hub_level)
        transformers_logging.set_verbosity(verbosity)


def _folder_digest(folder: Path) -> str:
    """A hash of config.json and the weights. Of large files of weights their size and pieces from all over count."""
    files = [folder / "config.json", *_weights(folder)]
    return fingerprint(*(piece for file in files for piece in _pieces(file)))


def _weights(folder: Path) -> list[Path]:
    """The files that transformers reads; others that lie there may be the same weights once more."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    listed = json.loads(index.read_bytes()) if index.is_file() else None
    if isinstance(listed, dict) and isinstance(names := listed.get("weight_map"), dict):
        return [folder / str(name) for name in sorted(set(names.values()))]
    return sorted(folder.glob("*.safetensors"))


def _pieces(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    yield f"{file.name} {size}".encode()
    with file.open("rb") as opened:
        if size <= _PIECES * _PIECE:
            yield opened.read()
            return
        for piece in range(_PIECES):
            opened.seek(piece * (size - _PIECE) // (_PIECES - 1))
            yield opened.read(_PIECE)


def _as_user_error(base_model: str, error: Exception) -> KQAError:
    if Path(resolve_base_model(base_model)).is_dir():
        return KQAError(f"--model.base_model {base_model}: the folder cannot be loaded: {one_line(error)}")
    return unreachable(base_model, error)
