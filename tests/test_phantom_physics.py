"""The phantom's scanner, X-ray room and DICOM file, each against the physics that it states."""

import math

import numpy as np
import pydicom
import pytest
import torch

from xr2mri_core.errors import InputError, OutputError
from xr2mri_core.phantom.dicom import DX_FOR_PRESENTATION, write_radiograph_dicom
from xr2mri_core.phantom.mri import (
    Scan,
    acquire,
    add_noise,
    coil_sensitivity,
    field_of_view,
    flash_signal,
    sample_contrast,
    signal_of,
)
from xr2mri_core.phantom.radiograph import (
    Beam,
    collapse,
    expose,
    project,
    sample_beam,
    take_radiograph,
    trabecular_texture,
)
from xr2mri_core.phantom.tissues import (
    BONE,
    PATHOLOGY,
    PROPERTIES,
    TRABECULAR,
    Properties,
    Tissue,
)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


# --- tissues --------------------------------------------------------------------------------------


def test_labels_are_the_positions_of_the_tables():
    assert [int(tissue) for tissue in Tissue] == list(range(len(Tissue)))
    assert set(PROPERTIES) == set(Tissue)
    assert set(PATHOLOGY) < set(Tissue) and set(TRABECULAR) < set(BONE)
    assert PROPERTIES[Tissue.CORTICAL_BONE].mu_per_mm == pytest.approx(0.0604)
    assert PROPERTIES[Tissue.AIR].mu_per_mm == 0


def test_attenuation_orders_tissues_as_a_radiograph_does():
    mu = {tissue: PROPERTIES[tissue].mu_per_mm for tissue in Tissue}
    order = ["SUBCUTANEOUS_FAT", "MUSCLE", "TIBIA_MARROW", "SCLEROSIS", "CORTICAL_BONE"]
    values = [mu[Tissue[name]] for name in order]
    assert values == sorted(values)
    assert mu[Tissue.MENISCUS_MEDIAL] < mu[Tissue.CHONDROCALCINOSIS]
    assert mu[Tissue.CYST] < mu[Tissue.TIBIA_MARROW]


# --- MRI ------------------------------------------------------------------------------------------


def test_flash_signal_is_the_textbook_equation():
    water = Properties(1000, 20, 1.0, 0.0, 0.02)
    a, e1 = math.radians(12), math.exp(-20 / 1000)
    expected = math.sin(a) * (1 - e1) / (1 - math.cos(a) * e1) * math.exp(-7.57 / 20)
    assert flash_signal(water) == pytest.approx(expected)
    assert flash_signal(water, te=15) < flash_signal(water)


def test_water_excitation_suppresses_fat_only():
    fat, muscle = PROPERTIES[Tissue.SUBCUTANEOUS_FAT], PROPERTIES[Tissue.CYST]
    assert flash_signal(fat, water_excitation=0) > 5 * flash_signal(fat)
    assert flash_signal(muscle, water_excitation=0) == flash_signal(muscle)


@pytest.mark.parametrize("wrong", [{"te": 0}, {"tr": -1}, {"flip_deg": 0}, {"water_excitation": 2}])
def test_flash_signal_refuses_impossible_protocols(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        flash_signal(PROPERTIES[Tissue.MUSCLE], **wrong)


def test_contrast_is_that_of_the_water_excited_flash():
    def within(low, high, *names):
        return all(low <= signal_of(Tissue[name]) <= high for name in names)

    assert within(1, 1, "FEMORAL_CARTILAGE", "PATELLAR_CARTILAGE")
    assert within(0.75, 0.95, "MUSCLE")
    assert within(0.08, 0.18, "TRABECULAR_MARROW", "TIBIA_MARROW", "INTERMUSCULAR_FAT", "FAT_PAD")
    assert within(0.15, 0.30, "SUBCUTANEOUS_FAT")
    assert within(0, 0.15, "CORTICAL_BONE", "TENDON", "LIGAMENT", "PATELLAR_TENDON", "AIR")
    assert within(0.4, 0.7, "MENISCUS_MEDIAL", "MENISCUS_LATERAL")
    assert within(0.9, 1.1, "JOINT_FLUID")
    assert within(0.5, 0.8, "SKIN", "FASCIA")
    assert within(1.0, 1.6, "VESSEL", "CYST")
    assert within(0, 0.05, "CHONDROCALCINOSIS", "SCLEROSIS")


def test_noise_is_the_mean_of_four_rician_magnitudes():
    sigma = 0.06
    for level in (0.0, 0.05, 0.14, 1.0, 3.0):
        normal = np.random.default_rng(0).normal(0, sigma, (2, 4, 40000))
        reference = np.hypot(level + normal[0], normal[1]).mean(axis=0)
        drawn = add_noise(torch.full((200, 3, 200), level), sigma, _generator())
        assert drawn.mean().item() == pytest.approx(reference.mean(), abs=4e-4)
        assert drawn.std().item() == pytest.approx(reference.std(), rel=0.03)


def test_noise_has_the_colour_of_a_scanners_in_plane_and_none_between_slices():
    noise = add_noise(torch.zeros(200, 4, 200), 0.06, _generator())
    noise = (noise - noise.mean()) / noise.std()
    for axis in (0, 2):
        neighbours = [
            (noise.narrow(axis, k, 200 - k) * noise.narrow(axis, 0, 200 - k)).mean().item()
            for k in (1, 2, 3)
        ]
        assert neighbours[0] == pytest.approx(0.33, abs=0.03)
        assert neighbours[1] < 0.1 and abs(neighbours[2]) < 0.02
    assert abs((noise[:, 1:] * noise[:, :-1]).mean().item()) < 0.02


def test_vessels_throw_ghosts_along_the_phase_encoding_axis_only():
    signal, vessels = torch.zeros(64, 8, 64), torch.zeros(64, 8, 64, dtype=torch.bool)
    vessels[32, 4, 20:44] = True
    signal[vessels] = 1.0
    scan = Scan(noise=0.02, tilt_deg=(0, 0, 0), ghost=0.3, ghost_shift=10)
    volume = acquire(signal, 0, scan, vessels).astype(float)
    still = acquire(signal, 0, scan).astype(float)
    first, second = volume[[22, 42], 4, 30].mean(), volume[[12, 52], 4, 30].mean()
    assert (
        first > 3 * still[[22, 42], 4, 30].mean() and first > second > still[[12, 52], 4, 30].mean()
    )
    np.testing.assert_array_equal(volume[:, 3], still[:, 3])


def test_patients_differ_modestly_in_contrast():
    drawn = [sample_contrast(seed) for seed in range(60)]
    assert drawn[0] == sample_contrast(0) and len(set(drawn)) == 60
    fat = [signal_of(Tissue.SUBCUTANEOUS_FAT, contrast) for contrast in drawn]
    muscle = [signal_of(Tissue.MUSCLE, contrast) for contrast in drawn]
    assert 0.03 < np.std(fat) / np.mean(fat) < 0.15
    assert 0.02 < np.std(muscle) / np.mean(muscle) < 0.06
    assert all(signal_of(Tissue.FEMORAL_CARTILAGE, contrast) == 1 for contrast in drawn)


def test_acquired_volume_is_stored_as_a_scanner_stores_it():
    signal = torch.full((64, 20, 64), 1.0)
    volume = acquire(signal, seed=3)
    assert volume.dtype == np.int16 and volume.shape == (64, 20, 64)
    assert volume.min() >= 0 and volume.max() <= 4095
    assert 200 < np.median(volume) < 450
    assert signal.eq(1).all(), "the signal handed in is not written to"
    np.testing.assert_array_equal(volume, acquire(signal.numpy(), seed=3))
    assert not np.array_equal(volume, acquire(signal, seed=4))


def test_background_is_noise_and_the_margins_are_black_wedges():
    volume = acquire(torch.zeros(64, 20, 64), 0, Scan(noise=0.06, tilt_deg=(0, 1.2, 0)))
    assert volume[32, 10, 32] > 0
    inside = field_of_view(volume.shape, (0, 1.2, 0))
    assert not volume[~inside.numpy()].any()
    assert 0.9 < inside.float().mean() < 1
    assert field_of_view(volume.shape, (0, 0, 0)).all()


def test_coil_is_smooth_brighter_at_the_skin_and_falls_off_along_the_leg():
    coil = coil_sensitivity((64, 20, 64), Scan(shading=0.12), _generator())
    plain = coil_sensitivity((64, 20, 64), Scan(shading=1e-6))
    assert coil.diff(dim=0).abs().max() < 0.03
    assert plain.std() < 1e-3
    mean = torch.stack(
        [coil_sensitivity((33, 9, 33), Scan(shading=0.12), _generator(s)) for s in range(40)]
    ).mean(0)
    assert mean[0, 4, 16] > mean[16, 4, 16] > mean[16, 4, 0]


# --- radiograph -----------------------------------------------------------------------------------


def test_collapsing_keeps_the_integral_on_an_uneven_grid():
    y = torch.cat([torch.arange(-40.0, -10, 6), torch.arange(-10.0, 11, 1.5)])
    volume = torch.rand(len(y), 4, 5, generator=_generator())
    slabs, middles = collapse(volume, y, 6)
    weight = torch.gradient(y)[0][:, None, None]
    assert len(slabs) <= 6 and (middles.diff() > 0).all()
    np.testing.assert_allclose(slabs.sum(0), (volume * weight).sum(0), rtol=1e-5)


def test_a_block_projects_to_its_thickness():
    y = torch.arange(-30.0, 30.5, 1.5)
    path = project(torch.full((len(y), 256, 256), 0.02), y, Beam(tilt_deg=0), detector_y=40)
    np.testing.assert_allclose(path, 0.02 * 1.5 * len(y), rtol=1e-4)


def _point(y_mm):
    """The detector position (down, across, mm) of a dense voxel on the axis at y."""

    def at(beam):
        y = torch.arange(-60.0, 61, 3)
        volume = torch.zeros(len(y), 256, 256)
        volume[int((y - y_mm).abs().argmin()), 127:129, 127 + 48 : 129 + 48] = 1.0
        path = project(volume, y, beam, detector_y=60.0, slabs=len(y))
        grid = (torch.arange(beam.size) - (beam.size - 1) / 2) * beam.spacing_mm
        weight = path / path.sum()
        return (weight.sum(1) @ grid).item(), (weight.sum(0) @ grid).item()

    return at


def test_farther_from_the_detector_is_larger_and_a_rising_beam_lifts_what_is_behind():
    straight = Beam(size=192, spacing_mm=0.8, tilt_deg=0)
    back, front = _point(-60)(straight), _point(60)(straight)
    assert front[1] == pytest.approx(48 * 0.625, abs=0.05)
    assert back[1] / front[1] == pytest.approx(1830 / (1830 - 120), rel=2e-3)
    rising = Beam(size=192, spacing_mm=0.8, tilt_deg=5)
    assert _point(-45)(rising)[0] < -3.5 < 3.5 < _point(45)(rising)[0]
    assert _point(0)(rising)[0] == pytest.approx(0, abs=0.1)


def test_trabeculae_run_along_the_bone_and_grow_with_its_thickness():
    thickness = torch.full((256, 256), 40.0)
    texture = trabecular_texture(thickness, 0.31, _generator())
    assert texture.mean().abs() < 1e-3
    assert 0.015 < texture.std() < 0.05
    assert texture.diff(dim=1).std() > 1.5 * texture.diff(dim=0).std()
    thin = trabecular_texture(thickness / 4, 0.31, _generator())
    np.testing.assert_allclose(thin, texture / 2, atol=1e-6)
    assert not trabecular_texture(thickness * 0, 0.31, _generator()).any()


def test_exposure_is_twelve_bits_bone_bright_and_noisier_at_lower_dose():
    path = torch.full((256, 256), 2.2)
    path[:, 100:160] += 0.5  # bone
    path[:, :20] = 0  # air
    picture = expose(path, Beam(), _generator())
    assert picture.dtype == np.uint16 and picture.max() <= 4095
    air, soft, bone = (
        picture[:, part].mean() for part in (slice(0, 12), slice(50, 80), slice(115, 145))
    )
    assert air < soft < bone
    low = expose(path, Beam(quanta=4000), _generator())
    assert low[:, 120:140].std() > 1.5 * picture[:, 120:140].std()
    shut = expose(path, Beam(shutters=(3, 5, 7, 9)), _generator())
    assert not shut[:3].any() and not shut[-7:].any()
    assert not shut[:, :5].any() and not shut[:, -9:].any()


def test_taking_a_radiograph_is_reproducible_and_varies_with_the_seed():
    y = torch.arange(-40.0, 41, 5)
    labels = torch.full((len(y), 256, 256), int(Tissue.MUSCLE), dtype=torch.uint8)
    labels[:, :, 100:150] = int(Tissue.TIBIA_MARROW)
    mu = torch.tensor([PROPERTIES[tissue].mu_per_mm for tissue in Tissue])[labels.long()]
    first, beam = take_radiograph(mu, labels, y, seed=5, plateau_slope=6)
    again, _ = take_radiograph(mu, labels, y, seed=5, plateau_slope=6)
    other, other_beam = take_radiograph(mu, labels, y, seed=6)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other) and beam != other_beam
    assert 148 <= beam.size * beam.spacing_mm <= 167
    assert 1.01 < beam.magnification < 1.06
    given, kept = take_radiograph(mu, labels, y, seed=5, beam=Beam(spacing_mm=0.3))
    assert kept.spacing_mm == 0.3 and given.shape == (512, 512)


def test_beam_follows_the_plateau():
    tilts = [sample_beam(np.random.default_rng(seed), 9.0).tilt_deg for seed in range(200)]
    assert np.mean(tilts) == pytest.approx(8, abs=0.6)
    assert isinstance(sample_beam(np.random.default_rng(0)).to_dict()["shutters"], list)


# --- DICOM ----------------------------------------------------------------------------------------


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 4096, (32, 48)).astype(np.uint16)


def test_dicom_is_a_complete_digital_radiograph_that_says_it_is_synthetic(tmp_path, pixels):
    path = write_radiograph_dicom(
        tmp_path / "x.dcm",
        pixels,
        0.31,
        patient_id="phantom-000001",
        exposure={"kvp": 66.0, "mas": 8.4, "magnification": 1.04},
        demographics={"sex": "F", "age": 61, "height_cm": 163.0, "bmi": 27.0},
    )
    ds = pydicom.dcmread(path)
    assert ds.SOPClassUID == ds.file_meta.MediaStorageSOPClassUID == DX_FOR_PRESENTATION
    assert (ds.Modality, ds.BodyPartExamined, ds.ViewPosition) == ("DX", "KNEE", "PA")
    assert (ds.ImageLaterality, list(ds.PatientOrientation)) == ("R", ["L", "F"])
    assert [float(v) for v in ds.ImagerPixelSpacing] == [0.31, 0.31]
    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit) == (16, 12, 11)
    assert ds.PhotometricInterpretation == "MONOCHROME2"
    assert (ds.KVP, ds.Exposure, ds.PatientAge, ds.PatientSex) == (66, 8, "061Y", "F")
    assert ds.PatientWeight == pytest.approx(71.7, abs=0.1)
    assert ds.QualityControlSubject == "YES"
    assert "SYNTHETIC PHANTOM" in ds.ImageComments and "phantom" in ds.Manufacturer
    np.testing.assert_array_equal(ds.pixel_array, pixels)


def test_dicom_bytes_depend_on_the_content_only(tmp_path, pixels):
    def written(name, picture, patient="p"):
        path = write_radiograph_dicom(tmp_path / name, picture, 0.3, patient_id=patient)
        return path.read_bytes()

    assert written("a", pixels) == written("b", pixels)
    uids = {pydicom.dcmread(tmp_path / "a").SOPInstanceUID}
    written("c", pixels, "q")
    written("d", pixels ^ 1)
    uids |= {pydicom.dcmread(tmp_path / name).SOPInstanceUID for name in "cd"}
    assert len(uids) == 3 and all(len(uid) <= 64 for uid in uids)


def test_monochrome1_stores_the_negative(tmp_path, pixels):
    path = write_radiograph_dicom(
        tmp_path / "n.dcm",
        pixels,
        0.3,
        patient_id="p",
        laterality="left",
        photometric="MONOCHROME1",
    )
    ds = pydicom.dcmread(path)
    assert (ds.PresentationLUTShape, ds.ImageLaterality) == ("INVERSE", "L")
    np.testing.assert_array_equal(4095 - ds.pixel_array, pixels)


def test_dicom_refuses_what_it_cannot_state(tmp_path, pixels):
    for wrong in (pixels[None], pixels.astype(np.float32), pixels + 5000):
        with pytest.raises(InputError, match="12-bit"):
            write_radiograph_dicom(tmp_path / "x", wrong, 0.3, patient_id="p")
    with pytest.raises(InputError, match="spacing 0"):
        write_radiograph_dicom(tmp_path / "x", pixels, 0, patient_id="p")
    with pytest.raises(InputError, match="RGB"):
        write_radiograph_dicom(tmp_path / "x", pixels, 0.3, patient_id="p", photometric="RGB")
    with pytest.raises(OutputError, match="cannot be written"):
        write_radiograph_dicom(tmp_path / "none" / "x", pixels, 0.3, patient_id="p")
