"""Shared fixtures: a bundle whose networks are tiny and untrained, pictures and volumes to match.

The tiny bundle has every part of the shipped one (inference configuration, size overlay, weights),
so what is tested on it in seconds is the code that generates with the trained model.
"""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin stall on a busy machine
os.environ.setdefault("MKL_CBWR", "AUTO")  # as the commands set it, see `same_products`
os.environ.setdefault("MPLBACKEND", "Agg")

# what libraries would leave in the home of whoever runs the tests
os.environ.setdefault("MPLCONFIGDIR", os.path.join(tempfile.gettempdir(), "xr2mri-matplotlib"))
os.environ.setdefault("MESA_SHADER_CACHE_DIR", os.path.join(tempfile.gettempdir(), "xr2mri-mesa"))
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings
from samples import draw_knee, make_tiny_bundle

if TYPE_CHECKING:
    from xr2mri_core.local_server import LocalServer

settings.register_profile("xr2mri", deadline=None)  # a busy machine is no failure
settings.load_profile("xr2mri")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """By `--dist loadfile` tests of one file share a process, and all of Slicer's do: its library
    and its window take long to start."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            slicer = "tests/slicer/"
            return slicer if nodeid.startswith(slicer) else super()._split_scope(nodeid)

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tell each process whether it is so, see `slicer/own_process.py`."""
    node.workerinput["by_file"] = node.config.getvalue("dist") == "loadfile"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """What is computed here is in one thread: another number changes the last bits on some CPUs."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory) -> Path:
    """A bundle folder with random weights."""
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "knee_xr2mri")


@pytest.fixture(scope="session")
def generator(tiny_bundle):
    """A generator with the tiny bundle's model on the CPU."""
    from xr2mri_core.generation import KneeMRIGenerator

    return KneeMRIGenerator.from_bundle(tiny_bundle, "cpu")


@pytest.fixture(scope="session")
def volume_generator(tmp_path_factory):
    """A generator whose tiny model has a regression and depth mixing."""
    from xr2mri_core.generation import KneeMRIGenerator

    bundle = make_tiny_bundle(tmp_path_factory.mktemp("volume") / "knee_xr2mri", volume=True)
    return KneeMRIGenerator.from_bundle(bundle, "cpu")


@pytest.fixture
def radiograph(tmp_path) -> Path:
    """A radiograph as a PNG file."""
    from PIL import Image

    path = tmp_path / "knee.png"
    Image.fromarray(draw_knee()).save(path)
    return path


@pytest.fixture(scope="session")
def small_datalist(tmp_path_factory) -> Path:
    """Five patients with small volumes: two for training, one for validation, two for test."""
    import nibabel as nib
    from PIL import Image

    from xr2mri_core.datalist import save_datalist
    from xr2mri_core.geometry import centred_affine

    folder = tmp_path_factory.mktemp("patients")
    items = []
    for index in range(5):
        random = np.random.default_rng(index)
        knee = draw_knee(64, shift=index, seed=index)
        volume = np.repeat(knee[::-1, ::-1].T[:, None], 80, 1).astype(np.int16)
        volume[:, :, :] += random.integers(0, 8, volume.shape, np.int16)
        nib.save(
            nib.Nifti1Image(volume, centred_affine(volume.shape, (2.5, 1.5, 2.5))),
            folder / f"{index}.nii.gz",
        )
        Image.fromarray(knee).save(folder / f"{index}.png")
        items.append(
            {
                "case": f"case-{index}",
                "participant": f"person-{index}",
                "radiograph": str(folder / f"{index}.png"),
                "mri": str(folder / f"{index}.nii.gz"),
                "laterality": "L" if index == 4 else "R",
                "features": {"V00XRKL": index % 5},
            }
        )
    splits = {"training": items[:2], "validation": items[2:3], "test": items[3:]}
    return save_datalist(folder / "datalist.json", splits, "small", synthetic=True)


@pytest.fixture(scope="session")
def labelled_datalist(small_datalist, tmp_path_factory) -> Path:
    """The small datalist with label maps: bone in a square, cartilage under it."""
    import nibabel as nib

    from xr2mri_core.datalist import load_datalist, save_datalist
    from xr2mri_core.phantom.tissues import Tissue

    folder = tmp_path_factory.mktemp("labelled")
    splits: dict[str, list] = {"training": [], "validation": [], "test": []}
    for item in load_datalist(small_datalist):
        volume = nib.load(item["mri"])
        labels = np.zeros(volume.shape, np.uint8)
        labels[16:48, :, 36:60] = Tissue.TRABECULAR_MARROW
        labels[16:48, :, 4:28] = Tissue.TIBIA_MARROW
        labels[16:48, :, 32:36] = Tissue.FEMORAL_CARTILAGE
        item["labels"] = str(folder / f"{item['case']}.nii.gz")
        nib.save(nib.Nifti1Image(labels, volume.affine), item["labels"])
        item["window"] = [30, 39]  # few slices: what is measured on each takes its time
        splits[item.pop("split")].append(item)
    return save_datalist(folder / "datalist.json", splits, "labelled", synthetic=True)


@pytest.fixture
def form(tmp_path) -> Path:
    """A feature form as a JSON file."""
    path = tmp_path / "features.json"
    path.write_text(json.dumps({"V00XRKL": 2, "V00XRJSM": 1}))
    return path


@pytest.fixture(scope="session")
def app_folder(tmp_path_factory, tiny_bundle) -> Path:
    """The app as it ships, its model replaced by the tiny one."""
    from xr2mri_core.local_server import app_with

    return app_with(tiny_bundle, tmp_path_factory.mktemp("app") / "monai_app")


@pytest.fixture(scope="session")
def studies_folder(tmp_path_factory) -> Path:
    """Studies of the running server: one knee as PNG."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("studies")
    Image.fromarray(draw_knee()).save(folder / "knee.png")
    return folder


@pytest.fixture(scope="session")
def running(app_folder, studies_folder, tmp_path_factory) -> Iterator[LocalServer]:
    """The real server under the plain command; it takes some 15 s to start."""
    from xr2mri_core.local_server import LocalServer

    server = LocalServer(app_folder, studies_folder, tmp_path_factory.mktemp("server"))
    try:
        yield server.wait()
    finally:
        server.stop()


@pytest.fixture
def server(running) -> str:
    """The base URL of the real server."""
    assert running.process.poll() is None, running.log[-4000:]
    return running.url
