"""The wheel, built from the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "xr2mri_core", "monai_app", "slicer_extension", "pyproject.toml", "README.md", "LICENSE",
    "constraints.txt",
)  # fmt: skip


def built(folder: Path) -> Path:
    """Build the wheel into a folder, from a copy, for a build leaves its own folders."""
    source = folder / "source"
    source.mkdir()
    passed_over = shutil.ignore_patterns("__pycache__", "logs", "runs", "bin", "*.egg-info")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=passed_over)
        else:
            shutil.copy(ROOT / name, source / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(source)]
    subprocess.run(command, check=True, timeout=600)
    shutil.rmtree(source)
    (wheel,) = folder.glob("*.whl")
    return wheel
