"""``make demo``: one patient the model has never seen, from radiograph file to MRI volume.

The whole way of a request: the real server is started, a client sends it the radiograph and the
form, the volume comes back. The patient is a phantom, so the truth is known and shown beside it.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xr2mri_core.condition import Condition
from xr2mri_core.evaluation.figures import draw_planes, joint_slice, save, show_slice
from xr2mri_core.evaluation.planes import coherence, in_planes
from xr2mri_core.evaluation.truth import Truth, read_slices, read_truth
from xr2mri_core.export import write_json, write_nifti
from xr2mri_core.files import atomic_files, check_writable
from xr2mri_core.geometry import volume_to_slices
from xr2mri_core.local_server import LocalServer, app_with
from xr2mri_core.remote import generate_on_server
from xr2mri_core.request import GenerationRequest
from xr2mri_core.shipped import bundle_folder
from xr2mri_core.volume import KINDS, NOTICE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xr2mri_core.volume import GeneratedVolume

UNSEEN_SEED = 7_000_012
"""Corpora from this seed on are not trained on: the model has seen none of their patients."""

METRICS = ("psnr", "ssim", "rssim", "edge_f1", "ssim_sagittal", "comb")


def run_demo(
    out: Path | str, seed: int = 0, bundle: Path | None = None, device: str | None = None
) -> dict[str, Path]:
    """Make a patient, generate its volume, print and draw how close it came.

    Args:
        out: folder for all files.
        seed: seed of the patient and of the noise, counted from ``UNSEEN_SEED`` and from 0.
        bundle: see ``xr2mri generate --bundle``.
        device: see ``xr2mri generate --device``.

    Returns:
        The files: ``radiograph``, ``mri``, ``features``, ``sample``, ``mean``, ``record``,
        ``picture``.

    Raises:
        ServerError: the server did not start, or refused; the message says why.
    """
    out = check_writable(out)
    started = time.perf_counter()
    print(f"making two phantom patients in {out} ...", flush=True)
    patient, other = _patients(out / f"phantom-{seed}", UNSEEN_SEED + seed)
    seconds = {"phantom": time.perf_counter() - started}
    picture = out / "demo.png"
    generated = _served(patient, seed, seconds, bundle, device)
    record = generated["sample"].record
    volumes = {kind: out / f"generated_{kind}.nii.gz" for kind in KINDS}
    with atomic_files(out) as files:
        for kind, made in generated.items():
            words = f"XR2MRI {kind}, {NOTICE}"
            write_nifti(files.path(volumes[kind]), made.volume, made.affine, words)
        write_json(files.path(out / "generated.json"), record)

    slices = {kind: volume_to_slices(made.volume) for kind, made in generated.items()}
    size = slices["mean"].shape[1]
    truth = read_truth({"case": "patient", **patient}, size=size)
    stranger, _ = read_slices({"case": "other patient", **other}, size=size)
    true = truth.reference.slices
    scores = {
        name: truth.reference.compare(image) | in_planes(true, image) | coherence(image)
        for name, image in {**slices, "other patient": stranger}.items()
    }
    with atomic_files(out) as files:
        figure = _picture(truth, slices, generated["sample"].radiograph, record)
        save(figure, files.path(picture))
    seconds |= {f"{kind} alone": made.record["seconds"]["generate"]
                for kind, made in generated.items()}  # fmt: skip
    print(_report(scores, truth, seconds))
    written = {**patient, **volumes, "record": out / "generated.json", "picture": picture}
    for name, path in written.items():
        print(f"{name:11} {path}")
    return written


def _served(
    patient: dict[str, Path],
    seed: int,
    seconds: dict[str, float],
    bundle: Path | None,
    device: str | None,
) -> dict[str, GeneratedVolume]:
    """Generate a sample and the mean through the server, as the Slicer module does."""
    condition = Condition.parse(patient["features"])
    options = ["--conf", "device", device] if device else []
    with TemporaryDirectory(prefix="xr2mri-demo-") as folder:
        app = app_with(bundle or bundle_folder(), Path(folder) / "monai_app")
        studies = patient["radiograph"].parent
        command = ["monailabel", "start_server", "--app", app.name, "--studies", str(studies)]
        print(f"starting the server:\n$ {' '.join([*command, *options])}", flush=True)
        started = time.perf_counter()
        with LocalServer(app, studies.resolve(), Path(folder), *options) as server:
            server.wait()
            seconds["server start"] = time.perf_counter() - started
            generated = {}
            for kind in KINDS:
                print(f"asking it for the {kind} ...", flush=True)
                started = time.perf_counter()
                request = GenerationRequest(seed=seed, kind=kind)
                generated[kind] = generate_on_server(
                    server.url, patient["radiograph"], condition, request
                )
                seconds[f"request of the {kind}"] = time.perf_counter() - started
    return generated


def _report(scores: dict[str, dict[str, float]], truth: Truth, seconds: dict[str, float]) -> str:
    titles = {"psnr": "PSNR dB", "ssim": "SSIM", "rssim": "RSSIM", "edge_f1": "edge F1",
              "ssim_sagittal": "SSIM sagittal", "comb": "comb"}  # fmt: skip
    lines = ["", f"{'':16}" + "".join(f"{titles[name]:>16}" for name in METRICS)]
    for method, values in scores.items():
        digits = {name: 2 if name == "psnr" else 3 for name in METRICS}
        cells = "".join(f"{values[name]:>16.{digits[name]}f}" for name in METRICS)
        lines.append(f"{method:16}{cells}")
    lines.append(f"{'empty edge map':16}{'':32}{truth.reference.floor():>16.3f}")
    lines.append(f"{'truth':16}{'':80}{coherence(truth.reference.slices)['comb']:>16.3f}")
    timing = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    lines += ["what the columns measure: docs/explanation/measured.md", "", f"time: {timing}"]
    return "\n".join([*lines, f"all of it: {NOTICE}", ""])


def _patients(folder: Path, seed: int) -> list[dict[str, Path]]:
    """Two phantom patients: the files ``radiograph``, ``mri``, ``labels``, ``features`` of each."""
    from xr2mri_core.phantom.dataset import write_cases

    write_cases(folder, 2, seed)
    names = {"radiograph": "radiograph.dcm", "mri": "mri.nii.gz", "labels": "labels.nii.gz",
             "features": "features.json"}  # fmt: skip
    return [
        {key: case / name for key, name in names.items()}
        for case in sorted((folder / "cases").glob("phantom-*"))[:2]
    ]


def _picture(
    truth: Truth,
    volumes: dict[str, NDArray[np.float32]],
    radiograph: NDArray[np.float32],
    record: dict[str, Any],
) -> Figure:
    """The radiograph beside three planes of the truth, a sample and the mean."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(14, 8.2), facecolor="white", layout="constrained")
    left, right = np.ravel(figure.subfigures(1, 2, width_ratios=[1, 2.1], squeeze=False))
    axis = left.subplots()
    show_slice(axis, radiograph)
    axis.set_title("radiograph (input)", fontsize=13)
    features = ", ".join(
        f"{name[3:]} {grade}" for name, grade in record["features"].items() if grade
    )
    axis.set_xlabel(f"graded above 0: {features or 'nothing'}", fontsize=8, wrap=True)
    shown = {"truth": truth.reference.slices, "generated: sample": volumes["sample"],
             "generated: mean": volumes["mean"]}  # fmt: skip
    draw_planes(right, shown, joint_slice(truth))
    figure.suptitle(
        "An unseen phantom knee and its SYNTHETIC MRI, generated from one radiograph", fontsize=13
    )
    return figure
