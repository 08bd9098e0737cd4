"""What of a volume leaves with its file, what its file brings, and pixels of unusual types."""

from __future__ import annotations

import json

import faulty_server as fake
import numpy as np
import pytest
import vtk

pytestmark = pytest.mark.gui

PRIVATE = ("1961.5", '"age"', '"sex"', "127.0.0.1", fake.JOB, "a film of Mrs Doe", "/srv/models")


def written(slicer, node, path) -> str:
    """The header of a .nrrd file that is written with all attributes, as Slicer writes it for
    RGB pictures and sequences."""
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLNRRDStorageNode")
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    return path.read_bytes().split(b"\n\n", 1)[0].decode()


def test_a_file_tells_nothing_of_patient_and_server(user, faulty, radiograph, tmp_path):
    record = fake.record(
        notice="synthetic, not for diagnosis",
        demographics={"age": 1961.5, "sex": "F"},
        warnings=["a film of Mrs Doe"],
        model={"path": "/srv/models/knee", "sha256": "ab" * 32},
        stored="http://127.0.0.1/pacs",
    )
    faulty.plan[f"GET /jobs/{fake.JOB}/record"] = fake.Answer(body=record)
    user.connect(faulty.url)
    xray = user.choose(radiograph)
    user.grade(V00XRKL=3)
    user.node.demographics = {"age": "1961.5"}
    volume = user.generate()
    stored = volume.GetDisplayNode().GetAttribute("XR2MRI.Record")
    assert json.loads(stored)["demographics"]["age"] == 1961.5, "the scene has it"
    headers = [
        written(user.slicer, node, tmp_path / f"{index}.nrrd")
        for index, node in enumerate((xray, volume))
    ]
    for header in headers:
        assert not [text for text in (*PRIVATE, "V00XRKL: 3") if text in header], header
    assert "synthetic, not for diagnosis" in headers[1] and f'"seed": {fake.SEED}' in headers[1]
    assert "XR2MRI.Features" not in headers[0]


def form(user) -> tuple[dict, dict, str]:
    return dict(user.node.features), dict(user.node.demographics), user.node.laterality


def test_form_and_side_of_a_radiograph_are_found_again_without_being_generated(
    user, faulty, radiograph
):
    user.connect(faulty.url)
    first = user.choose(radiograph)
    user.grade(V00XRKL=3)
    user.node.demographics = {"age": "61"}
    user.ui.lateralityComboBox.setCurrentIndex(2)
    other = user.choose(radiograph)
    assert form(user) == ({}, {}, "auto")
    user.choose(first)
    assert form(user) == ({"V00XRKL": 3}, {"age": "61"}, "L")
    user.ui.sampleButton.click()  # which brings a form of its own
    user.events()
    user.ui.clearFormButton.click()
    user.choose(first)
    assert form(user) == ({"V00XRKL": 3}, {"age": "61"}, "L")
    user.node.demographics = {}
    user.ui.lateralityComboBox.setCurrentIndex(0)
    user.choose(other)
    user.choose(first)
    assert form(user) == ({"V00XRKL": 3}, {}, "auto"), "what was taken back stays so"


def test_a_form_goes_to_no_other_radiograph_when_its_own_is_deleted(user, faulty, radiograph):
    user.connect(faulty.url)
    user.grade(V00XRKL=2)  # before there is any radiograph: it is of the first
    first = user.choose(radiograph)
    assert form(user)[0] == {"V00XRKL": 2}
    user.slicer.mrmlScene.RemoveNode(first)
    user.events()
    user.choose(radiograph)
    assert form(user) == ({}, {}, "auto")


def test_attributes_of_an_earlier_version_are_read(user):
    from XR2MRILib.generation import result_of

    node = user.slicer.util.addVolumeFromArray(np.zeros((9, 9, 9), np.float32))
    node.SetAttribute("XR2MRI.Request", '{"features": {"V00XRKL": 2}, "demographics": {"age": 6}}')
    node.SetAttribute("XR2MRI.Record", '{"seed": 5}')
    node.SetAttribute("XR2MRI.Server", "http://old.example")
    made = result_of(node)
    assert (made.seed, made.server) == (5, "http://old.example")
    assert made.request.demographics == {"age": 6}


# --- keys of a file's header ---------------------------------------------------------------------

HEADER = (
    "NRRD0005\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 32 32 1\n"
    "space directions: (1,0,0) (0,1,0) (0,0,1)\nkinds: domain domain domain\nendian: little\n"
    "encoding: raw\nspace origin: (0,0,0)\n"
)


def nrrd_file(path, *keys: str):
    pixels = np.arange(1024, dtype="<i2").tobytes()
    path.write_bytes((HEADER + "".join(f"{key}\n" for key in keys) + "\n").encode() + pixels)
    return path


def test_keys_of_a_file_become_attributes(user, tmp_path):
    path = nrrd_file(
        tmp_path / "knee.nrrd", "XR2MRI.Laterality:=L", 'XR2MRI.Features:={"V00XRKL": 4}'
    )
    node = user.slicer.util.loadVolume(str(path))
    assert node.GetAttribute("XR2MRI.Laterality") == "L"
    user.events()
    assert user.node.radiograph is node and user.node.features == {"V00XRKL": 4}
    assert "left" in user.ui.lateralityNote.text


def test_a_file_that_says_that_it_is_synthetic_is_marked(user, tmp_path):
    path = nrrd_file(tmp_path / "knee.nrrd", "XR2MRI.Synthetic:=1")
    node = user.slicer.util.loadVolume(str(path))
    user.events()
    assert user.slicer.modules.XR2MRINotice.shown_in("Red")
    user.choose(node)
    assert "is a generated volume" in user.ui.radiographNote.text


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd"])
@pytest.mark.parametrize(
    "words, synthetic",
    [
        ("XR2MRI sample, synthetic, not for diagnosis, seed 5", True),
        ("XR2MRI 0.1.0 synthetic phantom MRI", False),  # stands for a real one
        ("", False),
    ],
)
def test_a_volume_of_the_command_line_is_marked(user, tmp_path, ending, words, synthetic):
    from xr2mri_core.export.files import write_nifti, write_nrrd

    path = tmp_path / f"volume{ending}"
    write = write_nrrd if ending == ".nrrd" else write_nifti
    write(path, np.zeros((8, 8, 8), np.float32), np.eye(4), words)
    node = user.slicer.util.loadVolume(str(path))
    assert (node.GetAttribute("XR2MRI.Synthetic") == "1") is synthetic


def test_a_picture_of_a_generated_volume_says_so(user, tmp_path):
    from xr2mri_core.export.files import write_png
    from XR2MRILib.scene import file_keys

    for comment, keys in (("synthetic, not for diagnosis", {"XR2MRI.Synthetic": "1"}), ("", {})):
        write_png(tmp_path / "picture.png", np.zeros((64, 64), np.float32), comment)
        assert file_keys.read(tmp_path / "picture.png") == keys


@pytest.mark.parametrize(
    "key",
    [
        "XR2MRI.Laterality:=right",
        "# XR2MRI.Laterality:=L",
        "XR2MRI.Features:=[1]",
        "XR2MRI.Features:={",
        "XR2MRI.Synthetic:=0",
        "XR2MRI.Server:=http://elsewhere.example",
    ],
)
def test_other_keys_are_passed_over(user, tmp_path, key):
    node = user.slicer.util.loadVolume(str(nrrd_file(tmp_path / "knee.nrrd", key)))
    assert not [name for name in node.GetAttributeNames() if name.startswith("XR2MRI")]


def test_a_volume_that_is_deleted_is_not_held(user):
    """Also one that never had a file."""
    import gc

    node = user.slicer.util.addVolumeFromArray(np.zeros((4, 4, 4), np.float32))
    gone = []
    node.AddObserver("DeleteEvent", lambda *_: gone.append(True))
    user.slicer.mrmlScene.RemoveNode(node)
    del node
    user.events()
    gc.collect()
    assert gone, "its memory is still in use"


# --- pixels --------------------------------------------------------------------------------------

TYPES = ("VTK_BIT", "VTK_LONG", "VTK_LONG_LONG", "VTK_UNSIGNED_LONG_LONG", "VTK_ID_TYPE")


@pytest.mark.parametrize("kind", TYPES)
def test_pixels_of_unusual_types_are_sent_with_their_values(user, kind):
    from XR2MRILib.upload import upload_of

    image = vtk.vtkImageData()
    image.SetDimensions(24, 20, 1)
    image.AllocateScalars(getattr(vtk, kind), 1)
    values = np.random.default_rng(0).integers(0, 2, (20, 24))
    for row in range(20):
        for column in range(24):
            image.SetScalarComponentFromDouble(column, row, 0, 0, float(values[row, column]))
    node = user.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "odd")
    node.SetAndObserveImageData(image)
    header, pixels = upload_of(node)().split(b"\n\n", 1)
    dtype = "u1" if b"type: uchar" in header else "<i4"
    assert b"type: int" in header or dtype == "u1", header
    assert np.array_equal(np.frombuffer(pixels, dtype).reshape(20, 24), values)


# --- which way up --------------------------------------------------------------------------------

UPRIGHT = np.arange(48 * 40, dtype=np.int16).reshape(48, 40)
"""No two of its turns are alike."""
ROWS_UP = np.diag([-0.4, 0.4, 1.0, 1.0])


def transform(slicer, *rows):
    """A linear transform by the rows of its matrix, (3, 3)."""
    matrix = np.eye(4)
    matrix[:3, :3] = rows
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def as_the_server_reads(node, path):
    """Pixels and spacing of what is sent of a radiograph."""
    from xr2mri_core.transforms.radiograph_file import open_radiograph
    from XR2MRILib.upload import upload_of

    path.write_bytes(upload_of(node, True)())
    read = open_radiograph(path)
    return read.pixels, read.info["spacing_mm"]


@pytest.mark.parametrize("hardened", [False, True])
@pytest.mark.parametrize(
    "rows, turned",
    [
        (((-1, 0, 0), (0, 1, 0), (0, 0, 1)), lambda lying: lying[:, ::-1]),
        (((-1, 0, 0), (0, -0.999, 0.04), (0, 0.04, 0.999)), lambda lying: lying[::-1, ::-1]),
        (((0, 1, 0), (-1, 0, 0), (0, 0, 1)), lambda lying: lying.T[::-1]),
        (((1, 0, 0), (0, 0, -1), (0, 1, 0)), lambda lying: lying),  # upright in space
    ],
    ids=["mirrored", "turned", "on its side", "upright"],
)
def test_a_picture_that_was_turned_in_slicer_is_sent_as_it_is_shown(
    user, tmp_path, rows, turned, hardened
):
    """As a film that was scanned the wrong way, and put right with a transform."""
    slicer = user.slicer
    lying = np.diag([-0.5, -0.4, 1.0, 1.0])
    node = slicer.util.addVolumeFromArray(UPRIGHT[None].copy(), lying, "film")
    node.SetAndObserveTransformNodeID(transform(slicer, *rows).GetID())
    if hardened:
        assert node.HardenTransform()
    pixels, spacing = as_the_server_reads(node, tmp_path / "sent.nrrd")
    assert np.array_equal(pixels, turned(UPRIGHT))
    side = pixels.shape != UPRIGHT.shape
    assert spacing == pytest.approx((0.5, 0.4) if side else (0.4, 0.5), rel=1e-3)


@pytest.mark.parametrize("affine", [ROWS_UP, np.eye(4), np.diag([-0.4, -0.4, 1, 1])])
def test_a_file_is_sent_as_the_server_would_read_it(user, tmp_path, affine):
    """A diagonal that is positive is what scripts write, who state nothing by it."""
    import nibabel

    from xr2mri_core.transforms.radiograph_file import open_radiograph

    path = tmp_path / "knee.nii.gz"
    nibabel.save(nibabel.Nifti1Image(UPRIGHT.T[..., None], affine), path)
    node = user.slicer.util.loadVolume(str(path))
    pixels, _spacing = as_the_server_reads(node, tmp_path / "sent.nrrd")
    assert np.array_equal(pixels, open_radiograph(path).pixels)
    upended = np.array_equal(affine, ROWS_UP)
    assert np.array_equal(pixels, UPRIGHT[::-1] if upended else UPRIGHT)
