"""Cheap stand-ins for phantom knees, and ways to spoil a copy of a release."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import draw_knee

from xr2mri_core.geometry import centred_affine
from xr2mri_core.oai.people import read_people
from xr2mri_core.oai.readings import read_readings
from xr2mri_core.oai.release import Release, read_release
from xr2mri_core.oai.selection import Selection, select_knees
from xr2mri_core.oai.sequences import sequence_named
from xr2mri_core.phantom import oai_release
from xr2mri_core.phantom.bilateral import Shadow
from xr2mri_core.phantom.cohort import sample_demographics, sample_features
from xr2mri_core.phantom.oai_release import Knees

FLASH = sequence_named("COR_T1_3D_FLASH")
MATRIX = 32
"""Rows and columns of the MR slices in tests."""


def cheap_knees(seed: int, enrichment: float = 0.35) -> Knees:
    """Two knees of blocks instead of bones: everything but the anatomy, in milliseconds."""
    rng = np.random.default_rng(seed)
    grades = {side: sample_features(rng, 0.0 if seed % 2 else 1.0) for side in "RL"}
    knee = draw_knee(MATRIX, seed=seed % 1000).astype(np.float32)
    depth = 1 + np.exp(-(((np.arange(80) - 12) / 12) ** 2))  # brighter in the calf, as Fig. 4b
    volume = knee[::-1, ::-1].T[:, None] * depth[:, None] + rng.integers(0, 8, (MATRIX, 80, MATRIX))
    shadows = {side: _block(rng, seed) for side in "RL"}
    spacing = 160 / MATRIX
    affine = centred_affine(volume.shape, (spacing, 1.5, spacing))
    person = sample_demographics(rng, grades["R"]).to_dict()
    return Knees(volume.astype(np.uint16), affine, shadows, grades, person)


def cheap_release(out: Path, participants: int, seed: int = 3, spacing_mm: float = 0.8) -> Path:
    """A release of cheap knees; the first of several participants is there at two visits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oai_release, "make_knees", cheap_knees)
        return oai_release.write_release(
            out, participants, seed=seed, spacing_mm=spacing_mm, matrix=MATRIX
        )


def _block(rng: np.random.Generator, seed: int) -> Shadow:
    down, across = torch.meshgrid(
        torch.linspace(-190, 190, 760), torch.linspace(-125, 125, 500), indexing="ij"
    )
    width = float(rng.uniform(34, 40))
    bone = ((across.abs() < width) & (down.abs() > 2)).float()
    soft = 2.2 * torch.exp(-((across / 75) ** 4))
    return Shadow(soft, 1.1 * bone, 30 * bone, 2 * width, seed)


def copied(release: Path, where: Path) -> Path:
    """A copy of a release that a test may spoil."""
    shutil.copytree(release, where)
    return where


def series_of(release: Path, description: str, participant: str = "", visit: str = "00m") -> Path:
    """The last folder of a series."""
    lines = (release / "folders" / visit / "contents.csv").read_text().splitlines()[1:]
    cells = [line.split(",") for line in lines]
    found = [c[0] for c in cells if c[5].strip() == description and participant in c[1]]
    return release / "folders" / visit / sorted(found)[-1]


def selected(images: Path, tables: Path) -> Selection:
    """What becomes of the knees of a release at V00, before any is converted."""
    return selected_of(read_release([images], [tables], ["V00"]))


def selected_of(release: Release) -> Selection:
    """What becomes of the knees of a release that was read."""
    readings = read_readings(release.tables, release.visits)
    return select_knees(release, FLASH, readings, read_people(release.tables))
