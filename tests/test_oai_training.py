"""The whole path on an OAI-shaped release: index, convert, train both stages, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from monai.bundle import run
from oai_samples import cheap_release
from PIL import Image
from pydicom import dcmread
from samples import INFERENCE, TINY

from xr2mri_core.evaluation.evaluate import evaluate
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.oai.index import Settings, index_release
from xr2mri_core.oai.pictures import detected, middle_of_half
from xr2mri_core.phantom import oai_release
from xr2mri_core.training import SliceCache

BUNDLE = Path(__file__).resolve().parents[1] / "monai_app" / "model" / "knee_xr2mri"
EPOCH = {
    "steps": 2,
    "epoch_length": 2,
    "cached_slices": 4,
    "cache_processes": 1,
    "validation_steps": 1,
    "log_every": 1,
}


@pytest.fixture(scope="module")
def datalist(tmp_path_factory) -> Path:
    """Five participants, in the NDA's form: training, validation, and two for the test.

    Some films state a spacing of rows twice that of columns, and have half the rows.
    """
    folder = tmp_path_factory.mktemp("nda")

    def squeezed(path, film, person, *others, write=oai_release._write_film):
        write(path, film, person, *others)
        if person.index % 3 == 0:
            header = dcmread(path)
            pixels = np.ascontiguousarray(header.pixel_array[::2])
            rows, columns = header.ImagerPixelSpacing
            header.ImagerPixelSpacing = header.PixelSpacing = [2 * rows, columns]
            header.Rows, header.PixelData = len(pixels), pixels.tobytes()
            header.save_as(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oai_release, "_write_film", squeezed)
        cheap_release(folder, 5, seed=8, spacing_mm=1.0)
    nda, settings = folder / "nda", Settings(("V00",), ratios=(2, 1, 2))
    index_release([nda], [nda], folder / "out", settings, locate=middle_of_half)
    return folder / "out" / "datalist.json"


def test_a_release_becomes_trained_and_evaluated_weights(datalist, tmp_path):
    overlay = tmp_path / "tiny.yaml"
    overlay.write_text(TINY)
    common = {"bundle_root": str(BUNDLE), "datalist": str(datalist), **EPOCH}

    def files(stage: str) -> list[str]:
        names = ["training", stage] if stage.startswith("train_") else [stage]
        return [*(str(BUNDLE / "configs" / f"{name}.yaml") for name in names), str(overlay)]

    run(
        config_file=files("train_autoencoder"),
        output_dir=str(tmp_path / "a"),
        autoencoder_batch_size=4,
        **common,
    )
    run(
        config_file=files("train_diffusion"),
        autoencoder_dir=str(tmp_path / "a" / "autoencoder"),
        output_dir=str(tmp_path / "d"),
        cases_per_batch=2,
        slices_per_case=2,
        picture_steps=1,
        **common,
    )
    weights = tmp_path / "d" / "knee_xr2mri.safetensors"
    card = json.loads((tmp_path / "d" / "model_card.json").read_text())
    assert card["data"]["name"] == "OAI V00 COR_T1_3D_FLASH" and card["steps"] == 2

    configs = tmp_path / "bundle" / "configs"
    configs.mkdir(parents=True)
    (configs / "compact.yaml").write_text(TINY)
    (configs / "inference.yaml").write_text(INFERENCE)
    generator = KneeMRIGenerator.from_bundle(tmp_path / "bundle", "cpu", weights=weights)
    table = evaluate(datalist, generator, tmp_path / "e", spacing_cases=0, response_cases=0)
    assert "other patient" in table and "mean volume" in table
    summary = (tmp_path / "e" / "metrics.csv").read_text()
    assert summary.count("-V00-R") >= 2 * 5


def test_training_sees_the_crop_that_was_cut(datalist, tmp_path):
    from xr2mri_core.datalist import load_datalist

    items = load_datalist(datalist, "training")
    cache = SliceCache.build(items, tmp_path, slices_per_case=4, size=64, processes=1)
    for item, picture in zip(items, cache.arrays["radiographs"], strict=True):
        cut = np.asarray(Image.open(item["radiograph"]), np.float32)
        small = np.asarray(Image.fromarray(cut).resize((64, 64), Image.Resampling.BOX))
        assert np.corrcoef(small.ravel(), picture.ravel().astype(float))[0, 1] > 0.9
        assert item["box"] == [0, 0, *cut.shape]
    records = (datalist.parent / "records" / f"{item['case']}.json" for item in items)
    films = [json.loads(record.read_text())["box"] for record in records]
    assert any(bottom - top < 0.6 * (right - left) for top, left, bottom, right in films)


class FakeDetector:
    """A detector that sees what the test says."""

    found = None

    @classmethod
    def shipped(cls):
        return cls()

    def locate(self, pixels, spacing):
        return self.found


@pytest.mark.parametrize(
    ("kind", "both", "how"),
    [
        ("bilateral", True, "detector"),
        ("single", True, "middle of the film's half"),
        ("none", True, "middle of the film's half"),
        ("single", False, "detector"),
        ("bilateral", False, "middle of the film"),
    ],
)
def test_the_detector_is_believed_only_where_it_sees_what_is_listed(monkeypatch, kind, both, how):
    from xr2mri_core import localization
    from xr2mri_core.geometry import Laterality
    from xr2mri_core.localization import KneeBox, Localization

    right = KneeBox((1, 2, 31, 32), (5, 5, 20, 20), Laterality.RIGHT, 0.9)
    left = KneeBox((1, 62, 31, 92), (5, 65, 20, 80), Laterality.LEFT, 0.9)
    knees = {"bilateral": (right, left), "single": (left,), "none": ()}[kind]
    FakeDetector.found = Localization(knees, kind, ("take care",), (60, 100))
    monkeypatch.setattr(localization, "KneeDetector", FakeDetector)
    located = detected(np.zeros((60, 100), np.float32), None, Laterality.LEFT, both)
    assert located.how == how and "take care" in located.warning
    if how == "detector":
        assert located.box == left.box
    else:
        assert f"the detector sees {kind}" in located.warning
