"""How fast and how lean, as ratios in one run: ``make bench``.

- A volume: our generation against Algorithm 2 of the paper written plainly with diffusers (slice by
  slice, DDIM with 50 steps, the radiograph encoded in the loop), with the same weights: at equal
  steps, which is the gain of batching and of encoding once; and as shipped, which adds the gain of
  fewer steps. They take turns on each case, and a ratio is the median over the cases of that of a
  pair, so that what else the machine does befalls both. Each runs in a process of its own, so that
  its peak memory is its own; all are compared with the truth.
- Training: samples per second with cached latents against encoding every slice in the loop, which
  take turns, too.
- Phantom: seconds per case on one core.

Writes ``bench.json`` and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.recipe import PRECISIONS

SEED = 8_000_000  # of the corpus: no model is trained on it
PLAIN_STEPS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--cases", type=int, default=3, help="phantom patients to generate")
    parser.add_argument("--slices", type=int, default=50)
    parser.add_argument("--precision", default="fp32", choices=PRECISIONS)
    parser.add_argument("--worker", choices=sorted(WORKERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--index", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(WORKERS[arguments.worker](arguments)))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        results: dict[str, Any] = {"phantom": _in_own_process("phantom", arguments, folder)}
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in METHODS}
        for index in range(arguments.cases):
            for name in METHODS:
                runs[name].append(_in_own_process(name, arguments, folder, index))
        results |= {name: _medians(rows, runs["plain"]) for name, rows in runs.items()}
        results["training"] = _in_own_process("training", arguments, folder)
        results["quality"] = _quality(Path(folder), arguments.cases)
    results["machine"] = {"cores": len(os.sched_getaffinity(0)), "cases": arguments.cases}
    (arguments.out / "bench.json").write_text(json.dumps(results, indent=2) + "\n")
    print(_table(results, arguments.slices))


def _medians(rows: list[dict[str, Any]], plain: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the cases; `faster`: how many times faster than plain, pair by pair."""
    ratios = [other["seconds"] / row["seconds"] for row, other in zip(rows, plain, strict=True)]
    middle = {key: float(np.median([row[key] for row in rows])) for key in ("seconds", "peak_mb")}
    return {**middle, "faster": float(np.median(ratios)), "settings": rows[0]["settings"]}


def _in_own_process(
    name: str, arguments: argparse.Namespace, folder: str, index: int = 0
) -> dict[str, Any]:
    command = [sys.executable, __file__, "--worker", name, "--folder", folder]
    command += ["--index", str(index)]
    command += ["--cases", str(arguments.cases), "--slices", str(arguments.slices)]
    command += ["--precision", arguments.precision]
    command += ["--bundle", str(arguments.bundle)] if arguments.bundle else []
    environment = {**os.environ, **({"OMP_NUM_THREADS": "1"} if name == "phantom" else {})}
    print(f"measuring {name} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- workers, one process each --------------------------------------------------------------------


def _phantom(arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes the patients that the others generate; one warm-up, then the time per case."""
    from xr2mri_core.phantom.dataset import write_cases

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    write_cases(arguments.folder, 1, SEED + 1, jobs=1)  # warm-up
    marks = [time.perf_counter()]
    write_cases(
        arguments.folder / "patients",
        arguments.cases,
        SEED,
        jobs=1,
        progress=lambda done, total: marks.append(time.perf_counter()),
    )
    seconds = np.diff(marks[-arguments.cases - 1 :])
    return {"seconds": float(np.median(seconds)), "peak_mb": _peak_mb()}


def _volume(
    arguments: argparse.Namespace,
    name: str,
    generate: Callable[[Any, dict[str, Path]], NDArray[np.float32]],
) -> dict[str, Any]:
    """One case, from the file of the radiograph to the slices."""
    from xr2mri_core.generation import KneeMRIGenerator

    generator = KneeMRIGenerator.from_bundle(arguments.bundle, "cpu", arguments.precision)
    case = _case_files(arguments.folder, arguments.index)
    started = time.perf_counter()
    slices = generate(generator, case)
    seconds = time.perf_counter() - started
    np.save(arguments.folder / f"{name}{arguments.index}.npy", slices)
    return {"seconds": seconds, "peak_mb": _peak_mb(), "settings": generator.settings}


def _ours(name: str, **request: Any) -> Callable[[argparse.Namespace], dict[str, Any]]:
    def worker(arguments: argparse.Namespace) -> dict[str, Any]:
        from xr2mri_core.geometry import volume_to_slices

        def generate(generator: Any, case: dict[str, Path]) -> NDArray[np.float32]:
            made = generator.generate(
                case["radiograph"], _features(case), num_slices=arguments.slices, **request
            )
            return volume_to_slices(made.volume)

        return _volume(arguments, name, generate)

    return worker


def _plain(arguments: argparse.Namespace) -> dict[str, Any]:
    """Algorithm 2: for every depth DDIM from fresh noise, the radiograph encoded in the loop."""
    import torch
    from diffusers import DDIMScheduler

    from xr2mri_core.features import encode_features
    from xr2mri_core.geometry import depths_of
    from xr2mri_core.transforms.radiograph import radiograph_transforms

    @torch.inference_mode()
    def generate(generator: Any, case: dict[str, Path]) -> NDArray[np.float32]:
        model = generator.model
        data = radiograph_transforms()({"radiograph": str(case["radiograph"])})
        y = torch.as_tensor(np.asarray(data["radiograph"]))[None]
        r = torch.from_numpy(encode_features(_features(case), model.grading))[None]
        scheduler = DDIMScheduler.from_config(generator.scheduler.config)
        scheduler.set_timesteps(PLAIN_STEPS)
        random = torch.Generator().manual_seed(0)
        slices = []
        for d in depths_of(arguments.slices):
            depth = torch.tensor([d], dtype=torch.float32)
            z = mean = None
            for t in scheduler.timesteps:
                code = model.encode_radiograph(y)
                if z is None:
                    mean = _mean(model, y, depth, r)
                    channels = model.unet.config.out_channels
                    z = torch.randn(1, channels, *code.latent.shape[-2:], generator=random)
                z = scheduler.step(model.denoise(z, t, code, depth, r, mean), t, z).prev_sample
            assert z is not None
            z = model.from_residual(z, mean)
            slices.append(((model.to_image(z)[0, 0] + 1) / 2).clamp(0, 1).numpy())
        return np.stack(slices)

    return _volume(arguments, "plain", generate)


def _mean(model: Any, y: Any, depth: Any, r: Any) -> Any:
    """mu of a slice, where the model has a regression."""
    if model.regression is None:
        return None
    return model.regression(model.regression.encode_radiograph(y), depth, r)


def _training(arguments: argparse.Namespace) -> dict[str, Any]:
    """Samples per second of a training step on cached latents, and encoding in the loop."""
    import torch

    from xr2mri_core.features import num_positions
    from xr2mri_core.generation import KneeMRIGenerator
    from xr2mri_core.training import DiffusionStage

    generator = KneeMRIGenerator.from_bundle(arguments.bundle, "cpu")
    model = generator.model.requires_grad_(True)
    stage = DiffusionStage(model, generator.scheduler).train()
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad], lr=1e-6)
    cases, per_case, size = 4, 8, int(generator.settings["image_size"])
    count = cases * per_case
    random = torch.Generator().manual_seed(0)
    images = torch.rand(count, 1, size, size, generator=random) * 2 - 1
    with torch.no_grad():
        latents = torch.cat([model.to_latent(part) for part in images.split(8)])
    batch = {
        "radiograph": torch.rand(cases, 1, size, size, generator=random) * 2 - 1,
        "features": torch.zeros(cases, num_positions(model.grading)),
        "latent": latents,
        "depth": torch.rand(count, generator=random),
        "seed": 0,
    }

    def step(cached: bool) -> None:
        if not cached:
            with torch.no_grad():
                batch["latent"] = torch.cat([model.to_latent(part) for part in images.split(8)])
        loss = stage(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    kinds = {"cached": True, "in the loop": False}
    for cached in kinds.values():
        step(cached)  # the first ones ask for memory
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(5):  # A B A B: what else the machine does meets both
        for name, cached in kinds.items():
            started = time.perf_counter()
            step(cached)
            seconds[name].append(time.perf_counter() - started)
    rates = {name: count / float(np.median(times)) for name, times in seconds.items()}
    return {"samples_per_second": rates, "peak_mb": _peak_mb()}


METHODS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "plain": _plain,
    "sample": _ours("sample"),
    "mean": _ours("mean", kind="mean"),
    "equal steps": _ours("equal steps", steps=PLAIN_STEPS, sampler="ddim"),
}
WORKERS = {"phantom": _phantom, "training": _training, **METHODS}


# --- quality and table ----------------------------------------------------------------------------


def _case_files(folder: Path, index: int) -> dict[str, Path]:
    case = folder / "patients" / "cases" / f"phantom-{index:06d}"
    names = ("radiograph.dcm", "mri.nii.gz", "labels.nii.gz", "features.json")
    return {name.split(".")[0]: case / name for name in names}


def _features(case: dict[str, Path]) -> dict[str, int]:
    return json.loads(case["features"].read_text(encoding="utf-8"))["features"]


def _quality(folder: Path, cases: int) -> dict[str, dict[str, float]]:
    """Mean metrics of all against the truth."""
    from xr2mri_core.evaluation.planes import coherence, in_planes
    from xr2mri_core.evaluation.truth import read_truth

    scores: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    for index in range(cases):
        truth = read_truth({"case": str(index), **_case_files(folder, index)})
        for name, rows in scores.items():
            slices = np.load(folder / f"{name}{index}.npy")
            planes = in_planes(truth.reference.slices, slices) | coherence(slices)
            rows.append(truth.reference.compare(slices) | planes)
    return {
        name: {metric: float(np.mean([row[metric] for row in rows])) for metric in rows[0]}
        for name, rows in scores.items()
    }


def _table(results: dict[str, Any], slices: int) -> str:
    quality = results["quality"]
    rates = results["training"]["samples_per_second"]
    phantom = results["phantom"]["seconds"]
    titles = {
        "plain": f"Algorithm 2, plain, {PLAIN_STEPS} steps",
        "equal steps": f"ours, {PLAIN_STEPS} steps",
        "sample": f"ours as shipped, sample, {results['sample']['settings']['steps']} steps",
        "mean": "ours as shipped, mean",
    }
    metrics = ("ssim", "psnr", "rssim", "ssim_sagittal", "comb")
    lines = [
        f"| {slices} slices on CPU | seconds | times faster | peak MB | {' | '.join(metrics)} |",
        "| --- " * (4 + len(metrics)) + "|",
    ]
    for name, title in titles.items():
        row, scores = results[name], quality[name]
        cells = [f"{row['seconds']:.2f}", f"{row['faster']:.1f}", f"{row['peak_mb']:.0f}"]
        cells += [f"{scores[metric]:.3f}" for metric in metrics]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += [
        "",
        "| training, samples/s | cached latents | encoded in the loop | ratio |",
        "| --- | --- | --- | --- |",
        f"| | {rates['cached']:.1f} | {rates['in the loop']:.1f} "
        f"| {rates['cached'] / rates['in the loop']:.2f}x |",
        "",
        f"phantom: {phantom:.2f} s per case on one core, files included",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
