"""An installed wheel has all that a checkout has: the configurations and the bundled models and data."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from small_runs import ROOT

PARTS = ("pyproject.toml", "README.md", "LICENSE", "kqa_lightning", "callbacks", "configs")


def test_a_wheel_holds_configurations_and_assets(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for part in PARTS:
        path = ROOT / part
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, source / part)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([*build, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for config in (ROOT / "configs").glob("*.yaml"):
        assert f"kqa_lightning/configs/{config.name}" in names
    for package in ("kqa_lightning", "callbacks"):
        for file in (ROOT / package).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert file.relative_to(ROOT).as_posix() in names
