"""How a model came about: the part of a model card that a program can write."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import diffusers
import monai
import torch

import xr2mri_core
from xr2mri_core.errors import encodable
from xr2mri_core.files import whole_file
from xr2mri_core.this_process import cores


def training_record(datalist: str | Path, seed: int, **details: Any) -> dict[str, Any]:
    """Command, data, seed, commit, hardware and versions of the training that runs here.

    Args:
        datalist: file that was trained on; its name, description and `synthetic` mark are quoted.
        seed: seed of the training.
        details: more entries, e.g. `steps=`, `minutes=`, `results=`.
    """
    described = json.loads(Path(datalist).read_text(encoding="utf-8-sig"))
    data = {key: described[key] for key in ("name", "description", "synthetic") if key in described}
    data |= {split: len(described.get(split, [])) for split in ("training", "validation", "test")}
    return {
        "command": shlex.join(["python", "-m", "monai.bundle", *sys.argv[1:]]),
        "data": data,
        "seed": seed,
        "commit": git_commit(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "versions": {
            "xr2mri": xr2mri_core.__version__,
            "torch": torch.__version__,
            "monai": monai.__version__,
            "diffusers": diffusers.__version__,
            "python": platform.python_version(),
        },
        **details,
    }


def git_commit() -> str | None:
    """Commit of the checkout that this package is run from, "-dirty" when changed; else None."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


def hardware() -> str:
    """The processor, the cores that may be used, and the GPUs."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join([f"{name} ({cores()} cores)", *gpus])


def write_record(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON, whole or not at all."""
    with whole_file(path) as part:
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        part.write_text(encodable(text), encoding="utf-8")
