"""The phantom's scan beside a real one: greys, coherence and spectrum, in figures taken once.

The real figures are what `benchmarks/phantom_look.py` prints for the public volume that it names;
the volume itself is not part of the project.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

REAL_GREY = {
    "muscle": 0.936,
    "cartilage": 0.985,
    "marrow": 0.157,
    "subcutaneous fat": 0.234,
    "intermuscular fat": 0.168,
    "fluid": 0.991,
    "air": 0.084,
}
"""Mean grey by region, relative to the top grey."""
REAL_TOP = 0.057
"""Share of voxels at the top grey."""
REAL_LAGS = (0.852, 0.735, 0.551)
"""Correlation of slices 1, 2 and 5 apart."""
REAL_POWER = {8: 5.18, 16: 4.46, 24: 4.08, 32: 3.71, 48: 3.27, 64: 2.90}
"""log10 of the power of coronal slices, by cycles of the field of view."""

_SCRIPT = Path(__file__).parents[1] / "benchmarks" / "phantom_look.py"


@pytest.fixture(scope="module")
def look():
    spec = importlib.util.spec_from_file_location("phantom_look", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def phantoms(look):
    return [look.phantom(seed) for seed in range(101, 105)]


def test_regions_have_the_greys_of_a_real_scan(look, phantoms):
    means = [look.region_means(*phantom) for phantom in phantoms]
    for name, real in REAL_GREY.items():
        assert np.mean([mean[name] for mean in means]) == pytest.approx(real, rel=0.1), name


def test_as_many_voxels_are_white_as_in_a_real_scan(phantoms):
    for volume, _ in phantoms:
        assert (volume >= 1).mean() == pytest.approx(REAL_TOP, abs=0.002)


def test_slices_are_as_coherent_as_those_of_a_real_scan(look, phantoms):
    found = np.mean([look.lags(volume) for volume, _ in phantoms], axis=0)
    np.testing.assert_allclose(found, REAL_LAGS, atol=0.03)


def test_power_by_frequency_is_that_of_a_real_scan(look, phantoms):
    power = np.mean([look.spectrum(volume) for volume, _ in phantoms], axis=0)
    for cycles, real in REAL_POWER.items():
        band = power[cycles - 1 : cycles + 2].mean()  # four knees: neighbouring bins together
        assert 1 / 1.35 < band / 10**real < 1.35, cycles


def test_the_boxes_lie_in_the_volume_and_name_the_same_regions(look):
    boxes = look.json.loads(look.BOXES.read_text(encoding="utf-8"))["regions"]
    assert list(boxes) == list(look.REGIONS) == list(REAL_GREY)
    pictures = np.arange(50.0)[None, :, None] * np.ones((256, 1, 256))
    means = look.box_means(pictures)
    assert means["fluid"] == 49 and 0 < means["muscle"] < 49


def test_a_spectrum_peaks_where_its_wave_lies(look):
    wave = np.sin(2 * np.pi * 20 * np.arange(256) / 256)
    volume = np.tile(wave[:, None, None], (1, 9, 256))
    assert int(np.argmax(look.spectrum(volume))) == 20
    assert look.lags(volume) == pytest.approx([1, 1, 1])
