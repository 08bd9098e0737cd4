"""Train the compared methods with the bundle's own commands, an equal budget for each."""

from __future__ import annotations

import json
import logging
import math
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from xr2mri_core.baselines import METHODS, Method
from xr2mri_core.bundle import digest, load_bundle
from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import TrainingError
from xr2mri_core.evaluation.cases import identity
from xr2mri_core.files import whole_folder, write_text
from xr2mri_core.networks.model import read_safetensors, write_safetensors
from xr2mri_core.networks.pretrained import PARTS_FORMAT
from xr2mri_core.training.autoencoder import save_autoencoder

log = logging.getLogger("xr2mri")

Run = Callable[[Mapping[str, Any], Path], None]
"""(options of the bundle command, file for what it says) -> nothing, or TrainingError."""

WEIGHTS = "knee_xr2mri.safetensors"
START = replace(METHODS["ldm"], name="start", title="common start")
"""What trains the denoiser that all methods start from: it knows the depth alone."""
GIVEN = "given"
OWN_OPTIONS = ("bundle_root", "config_file", "datalist", "cache_dir", "autoencoder_dir",
               "output_dir", "seed", "cached_slices", "image_size")  # fmt: skip
"""Options of a training that a comparison sets itself, as readers and truth are to see the same."""
_PLACES = ("bundle_root", "cache_dir", "output_dir")
"""Options that say where, and change nothing of what is trained."""


@dataclass(frozen=True)
class Budget:
    """What each method may spend on training.

    Attributes:
        samples: slices seen; a method's stages share them.
        minutes: instead, minutes of the clock, shared likewise; the run is not reproducible then.
    """

    samples: int | None = None
    minutes: float | None = None

    def options(self, batch: int, stages: int) -> dict[str, Any]:
        """Options of one of so many stages, whose steps see `batch` slices."""
        if self.minutes is not None:
            return {"max_minutes": self.minutes / stages}
        return {"steps": max(1, math.ceil((self.samples or 0) / (batch * stages)))}


@dataclass(frozen=True)
class Setting:
    """What all methods have in common.

    Attributes:
        bundle: its folder.
        size: its size overlay.
        datalist: datalist that all see.
        autoencoder: folder of the one autoencoder.
        out: where trainings and their caches lie.
        seed: seed of every training.
        budget: budget of every method.
        options: further options of the bundle command, e.g. ``learning_rate``.
        noise_length: noise along depth of a method's volumes, for stages that draw such noise;
            None: as their configurations say.
        start: the U-Net that every method starts from (`unet_of`); None: from random weights.
    """

    bundle: Path
    size: str
    datalist: Path
    autoencoder: Path
    out: Path
    seed: int
    budget: Budget
    options: Mapping[str, Any]
    noise_length: float | None = None
    start: Path | None = None


@dataclass(frozen=True)
class Trained:
    """A method's weights and where they come from.

    Attributes:
        method: the method.
        weights: the file of its weights.
        sha256: digest of that file.
        command: command that made it; `GIVEN` where it was handed in.
        card: what the training wrote of itself: commit, seed, steps, results (of the last stage),
            and minutes (of all).
        samples: slices seen, all stages together; None where nobody knows.
    """

    method: Method
    weights: Path
    sha256: str
    command: str
    card: Mapping[str, Any]
    samples: int | None


def common_autoencoder(bundle: Path, size: str, weights: Path | None, out: Path) -> Path:
    """The autoencoder of a model's weights as the folder that trainings take; made once of each."""
    model, folder = load_bundle(bundle, size, weights), out / "autoencoder"
    made_of, known = folder / "made_of.json", json.dumps({"weights": model.origin["sha256"]})
    if made_of.is_file() and made_of.read_text(encoding="utf-8") == known:
        return folder
    if folder.is_dir():
        shutil.rmtree(folder)
    with whole_folder(folder) as new:
        save_autoencoder(model.model.autoencoder, new)
        (new / made_of.name).write_text(known, encoding="utf-8")
    return folder


def common_start(setting: Setting, samples: int, run: Run | None = None) -> Trained:
    """The denoiser from whose U-Net all methods start, as the paper's start from Zero-123's.

    It was trained to denoise slices of a depth and knows nothing of patients; what conditions it
    in a method, each method learns by itself.

    Args:
        setting: the same for all methods.
        samples: slices that it sees.
        run: see `train`.

    Raises:
        TrainingError: the training failed.
    """
    return train(START, replace(setting, budget=Budget(samples=samples), start=None), run)


def unet_of(trained: Trained) -> Path:
    """The U-Net of a denoiser, alone, in a file beside its weights."""
    file = trained.weights.with_name("unet.safetensors")
    state, _ = read_safetensors(trained.weights)
    unet = {name: value for name, value in state.items() if name.startswith("unet.")}
    write_safetensors(file, unet, {"format": PARTS_FORMAT})
    return file


def given(method: Method, weights: Path) -> Trained:
    """Weights that need no training."""
    return Trained(method, weights, digest(weights), GIVEN, {}, None)


def train(method: Method, setting: Setting, run: Run | None = None) -> Trained:
    """Train a method's stages, one after the other; what is finished is not done again.

    An interrupted stage goes on from its checkpoint. What was trained otherwise (configurations,
    options, contents of files; not where they lie) is set aside, and stays.

    Args:
        method: the method to train.
        setting: the same for all.
        run: carries out one bundle command; None: in a process of its own.

    Raises:
        TrainingError: a stage failed; the message names its log.
    """
    start = setting.start
    commands, samples, minutes = [], 0, 0.0
    card: dict[str, Any] = {}
    for number, overlays in enumerate(method.stages, start=1):
        folder = setting.out / "training" / method.name / str(number)
        options, batch = _stage(method, setting, overlays, folder, start)
        if not _finished(folder, options, _depends(options)):
            log.info("training %s, stage %d of %d", method.title, number, len(method.stages))
            (run or _in_a_process)(options, folder / "log.txt")
        card = json.loads((folder / "model_card.json").read_text(encoding="utf-8"))
        commands.append(shlex.join(_words(options)))
        samples += int(card["steps"]) * batch
        minutes += card.get("minutes", 0.0)
        start = folder / WEIGHTS
    assert start is not None
    card["minutes"] = round(minutes, 2)
    return Trained(method, start, digest(start), "\n".join(commands), card, samples)


def finished(method: Method, out: Path) -> Trained | None:
    """A method as it was trained in a run's folder; None if it was not yet.

    Args:
        method: the method to train.
        out: folder of the run.
    """
    commands: list[str] = []
    samples: int | None = 0
    minutes = 0.0
    for number in range(1, 1 + len(method.stages)):
        folder = out / "training" / method.name / str(number)
        try:
            card = json.loads((folder / "model_card.json").read_text(encoding="utf-8"))
            asked = json.loads((folder / "asked.json").read_text(encoding="utf-8"))
            options = json.loads(asked["options"])
        except (OSError, ValueError, KeyError):
            return None
        if not (folder / WEIGHTS).is_file():
            return None
        commands.append(shlex.join(_words(options)))
        minutes += card.get("minutes", 0.0)
        try:
            seen = int(card["steps"]) * _slices_a_step(options)
        except (OSError, ValueError, KeyError):  # its configurations lie elsewhere by now
            samples = None
        else:
            samples = None if samples is None else samples + seen
    weights = folder / WEIGHTS
    card["minutes"] = round(minutes, 2)
    return Trained(method, weights, digest(weights), "\n".join(commands), card, samples)


def _stage(
    method: Method, setting: Setting, overlays: Sequence[str], folder: Path, start: Path | None
) -> tuple[dict[str, Any], int]:
    """Options of a stage's command, and the slices that its steps see."""
    configs = setting.bundle / "configs"
    names = ("training", "train_diffusion", setting.size, *overlays)
    files = [str(configs / f"{name}.yaml") for name in names]
    noise = {}
    if setting.noise_length is not None and "noise_length" in _configuration(files)["stage_on_cpu"]:
        noise["sampling#noise_length"] = setting.noise_length
    batch = _slices_a_step({"config_file": files, **setting.options})
    options: dict[str, Any] = {
        "bundle_root": str(setting.bundle),
        "config_file": files,
        "datalist": str(setting.datalist),
        "cache_dir": str(setting.out / "cache"),
        "autoencoder_dir": str(setting.autoencoder),
        "output_dir": str(folder),
        "seed": setting.seed,
        "cached_slices": "$None",  # all of them: one cache for all methods
        **noise,
        **setting.options,
        **setting.budget.options(batch, len(method.stages)),
    }
    if start is not None:
        options["initial_weights"] = str(start)
    return options, batch


def _slices_a_step(options: Mapping[str, Any]) -> int:
    """Slices that a step of a training sees, by its configurations and what overrides them."""
    parser = _configuration(options["config_file"])
    own = {n: v for n, v in options.items() if n in ("cases_per_batch", "slices_per_case")}
    parser.update(own)
    return int(parser["cases_per_batch"]) * int(parser["slices_per_case"])


def _configuration(files: Sequence[str]) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(files)
    return parser


def _depends(options: Mapping[str, Any]) -> dict[str, Any]:
    """What a training's result depends on: its options, with contents in the place of paths."""
    known = {name: value for name, value in options.items() if name not in _PLACES}
    known["config_file"] = [digest(Path(file)) for file in options["config_file"]]
    folder = Path(options["autoencoder_dir"])
    network = [folder / "config.json", *folder.glob("*.safetensors")]
    known["autoencoder_dir"] = [digest(file) for file in sorted(network) if file.is_file()]
    cases = [item for item in load_datalist(options["datalist"]) if item["split"] != "test"]
    known["datalist"] = [[item["split"], identity(item)] for item in cases]
    if "initial_weights" in options:
        known["initial_weights"] = digest(Path(options["initial_weights"]))
    return json.loads(json.dumps(known, default=str))


def _finished(folder: Path, options: Mapping[str, Any], depends: Mapping[str, Any]) -> bool:
    """Whether what is asked has been trained here; what was trained otherwise is set aside."""
    file = folder / "asked.json"
    try:
        known = json.loads(file.read_text(encoding="utf-8"))["depends"]
    except (OSError, ValueError, KeyError, TypeError):  # TypeError: no object
        known = None
    if known != depends and folder.is_dir():
        names = (f"{folder.name}-earlier-{number}" for number in count(1))
        aside = next(path for path in map(folder.with_name, names) if not path.exists())
        folder.rename(aside)
        log.warning("%s: kept as '%s', and trained anew", _difference(known, depends), aside)
    write_text(file, json.dumps({"options": json.dumps(options, default=str), "depends": depends}))
    return (folder / WEIGHTS).is_file() and (folder / "model_card.json").is_file()


def _difference(known: Mapping[str, Any] | None, depends: Mapping[str, Any]) -> str:
    """Why an earlier training is not the one that is asked for."""
    if known is None:
        return "a training of an earlier version, or of unknown options"
    names = {*known, *depends}
    other = sorted(name for name in names if known.get(name) != depends.get(name))
    return f"a training with other {', '.join(other)}"


def _words(options: Mapping[str, Any]) -> list[str]:
    words = ["python", "-m", "monai.bundle", "run"]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return words


def _in_a_process(options: Mapping[str, Any], log_file: Path) -> None:
    with log_file.open("a", encoding="utf-8") as file:
        begun = file.tell()
        command = [sys.executable, *_words(options)[1:]]
        status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if status:
        said = log_file.read_bytes()[begun:].decode(errors="replace")
        raise TrainingError(f"a training failed: {_reason(said)[:300]} (all of it: {log_file})")


def _reason(said: str) -> str:
    """The line of a failed command that tells why: of a chain of errors the first caused all."""
    lines = said.strip().splitlines()
    errors = [line for line in lines if re.match(r"error: |[\w.]*(Error|Exception)\b", line)]
    return next(iter(errors or lines[-1:]), "it said nothing")
