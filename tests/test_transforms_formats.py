"""NIfTI, NRRD and MetaImage without ITK: the same voxels, nothing but the file itself, bounded."""

import builtins
import gzip
import io
import os
import time
import zlib
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xr2mri_core.errors import RadiographError, UndecodableError, VolumeError
from xr2mri_core.transforms import read_radiograph, read_volume
from xr2mri_core.transforms.formats import FormatError, open_stored
from xr2mri_core.transforms.formats.stored import LARGEST_BYTES, LONGEST_HEADER

NRRD = "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 40 40\nencoding: raw\n"
META = (
    "ObjectType = Image\nNDims = 2\nDimSize = 40 40\nElementType = MET_UCHAR\nBinaryData = True\n"
)
LOCAL = b"ElementDataFile = LOCAL\n"
SECRET = bytes(range(200)) * 8


def stored(content: bytes):
    return open_stored(io.BytesIO(content))


def itk_affine(image: sitk.Image) -> np.ndarray:
    """By ITK's own arithmetic: where it puts the first voxel and its neighbours."""
    axes = image.GetDimension()
    origin = np.array(image.TransformIndexToPhysicalPoint([0] * axes))
    affine = np.eye(4)
    affine[:axes, 3] = origin
    for axis in range(axes):
        index = [int(axis == other) for other in range(axes)]
        affine[:axes, axis] = image.TransformIndexToPhysicalPoint(index) - origin
    affine[:2] *= -1
    return affine


def random_image(axes: int, kind: str, components: int = 1, seed: int = 0) -> sitk.Image:
    rng = np.random.default_rng(seed)
    shape = (7, 6, 5)[:axes] + (components,) * (components > 1)
    image = sitk.GetImageFromArray(
        rng.integers(0, 100, shape).astype(kind), isVector=components > 1
    )
    image.SetSpacing(rng.uniform(0.1, 2, axes))
    image.SetOrigin(rng.uniform(-50, 50, axes))
    turn, _ = np.linalg.qr(rng.normal(size=(axes, axes)))
    image.SetDirection(turn.ravel())
    return image


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "nii", "nii.gz"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("axes", "kind", "components"),
    [(2, "u1", 1), (3, "i2", 1), (3, "u4", 1), (3, "f4", 1), (2, "f8", 1), (2, "u1", 3)],
)
def test_what_itk_writes_is_read_as_itk_reads_it(
    tmp_path, suffix, compressed, axes, kind, components
):
    image = random_image(axes, kind, components)
    path = tmp_path / f"a.{suffix}"
    sitk.WriteImage(image, str(path), useCompression=compressed)
    image = sitk.ReadImage(str(path))
    if suffix.startswith("nii") and axes == 2:
        image.SetDirection((1, 0, 0, 1))  # NIfTI has no 2-D directions; ITK's are not read back
    found = stored(path.read_bytes())
    voxels = found.load()
    expected = sitk.GetArrayFromImage(image)
    order = (*range(axes)[::-1], *range(axes, expected.ndim))
    expected = expected.transpose(order)
    np.testing.assert_array_equal(voxels.reshape(expected.shape), expected)
    assert voxels.dtype.newbyteorder("=") == np.dtype(kind)
    assert found.components == components and found.nbytes == expected.nbytes
    if not (suffix.startswith("nii") and axes == 2):
        np.testing.assert_allclose(found.affine, itk_affine(image), atol=1e-4)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize("kind", ["<i2", ">u2", "<f4"])
def test_every_encoding_and_byte_order_of_nrrd(tmp_path, encoding, kind):
    voxels = np.arange(60).reshape(3, 4, 5).astype(kind)
    header = {"encoding": encoding, "space": "RAS", "space directions": np.diag([2.0, 3, 4])}
    nrrd.write(str(tmp_path / "a.nrrd"), voxels, header)
    found = stored((tmp_path / "a.nrrd").read_bytes())
    np.testing.assert_array_equal(found.load(), voxels)
    np.testing.assert_allclose(found.affine, np.diag([2, 3, 4, 1]))


def test_metaimage_text_big_endian_and_data_at_the_end():
    numbers = np.arange(1600).reshape(40, 40)
    text = META.replace("BinaryData = True\n", "") + "ElementDataFile = LOCAL\n"
    written = " ".join(str(n % 256) for n in numbers.ravel())
    np.testing.assert_array_equal(stored((text + written).encode()).load(), numbers.T % 256)
    head = META.replace("UCHAR", "USHORT") + "ElementByteOrderMSB = True\nHeaderSize = -1\n"
    content = (
        (head + "ElementDataFile = LOCAL\n").encode() + b"junk" + numbers.astype(">u2").tobytes()
    )
    np.testing.assert_array_equal(stored(content).load(), numbers.T)


def test_nifti_scaling_and_units():
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nib.Nifti1Image(voxels, np.diag([200, 300, 9, 1]))
    image.header.set_slope_inter(0.5, -3)
    image.header.set_xyzt_units("micron")
    found = stored(image.to_bytes())
    np.testing.assert_allclose(found.load(), voxels * 0.5 - 3)
    np.testing.assert_allclose(np.diag(found.affine), [0.2, 0.3, 0.009, 1])


# --- nothing but the file itself ------------------------------------------------------------


def naming(name: str) -> dict[str, bytes]:
    """Files whose header says that their pixels lie in the file of that name."""
    comments = "# nothing\n" * (LONGEST_HEADER // 10 + 1)
    pair = nib.Nifti1Pair(np.zeros((40, 40), np.uint8), np.eye(4))
    return {
        "plain.nrrd": f"{NRRD}data file: {name}\n\n".encode(),
        "cased.nrrd": f"{NRRD}Data File: {name}\n\n".encode(),
        "joined.nhdr": f"{NRRD}datafile: {name}\n\n".encode(),
        "key.nrrd": f"{NRRD}data file:={name}\n\n".encode(),
        "late.nrrd": f"{NRRD}{comments}data file: {name}\n\n".encode(),
        "list.nrrd": (
            f"{NRRD.replace('40 40', '40 2')}{comments}byte skip: 0\ndata file: LIST 1\n"
            + f"{name}\n" * 2
        ).encode(),
        "pattern.nrrd": f"{NRRD}data file: {name}%03d 1 2 1\n\n".encode(),
        "plain.mhd": f"{META}ElementDataFile = {name}\n".encode(),
        "list.mha": f"{META}ElementDataFile = LIST\n{name}\n".encode(),
        "late.mha": (META + "Comment = x\n" * 100_000 + f"ElementDataFile = {name}\n").encode(),
        "twice.mha": f"{META}ElementDataFile = {name}\nElementDataFile = LOCAL\n".encode() + SECRET,
        "pair.hdr": pair.header.binaryblock,
    }


@pytest.fixture
def opened(monkeypatch):
    """Names of everything that Python opens."""
    names = []
    real_open, real_io, real_os = builtins.open, io.open, os.open

    def spy(real):
        def call(file, *args, **options):
            if not isinstance(file, int):  # a file that is open already
                names.append(Path(os.fsdecode(file)).name)
            return real(file, *args, **options)

        return call

    monkeypatch.setattr(builtins, "open", spy(real_open))
    monkeypatch.setattr(io, "open", spy(real_io))
    monkeypatch.setattr(os, "open", spy(real_os))
    return names


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("file", sorted(naming("x")))
def test_no_header_of_a_stranger_opens_another_file(tmp_path, opened, file, absolute):
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "pair.img").write_bytes(SECRET)
    name = str(tmp_path / "secret") if absolute else "secret"
    (tmp_path / file).write_bytes(naming(name)[file])
    opened.clear()
    with pytest.raises(RadiographError):
        read_radiograph(tmp_path / file)
    assert set(opened) == {file}


@pytest.mark.parametrize("file", ["plain.nrrd", "plain.mhd"])
def test_no_pipe_is_waited_for(tmp_path, file):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / file).write_bytes(naming("pipe")[file])
    for detached in (False, True):
        with pytest.raises(UndecodableError):
            read_radiograph(tmp_path / file, detached)
    with pytest.raises(RadiographError, match="a pipe or a device"):
        read_radiograph(tmp_path / "pipe")


@pytest.mark.parametrize("kind", ["nrrd", "mhd", "hdr"])
def test_pixels_beside_the_header_are_read_where_the_caller_allows_it(tmp_path, kind):
    name = "pixels.raw" if kind != "hdr" else "a.img"
    (tmp_path / name).write_bytes(SECRET)
    pair = nib.Nifti1Pair(np.zeros((40, 40), np.uint8), np.eye(4)).header.binaryblock
    head = {"nrrd": naming(name)["plain.nrrd"], "mhd": naming(name)["plain.mhd"], "hdr": pair}[kind]
    (tmp_path / f"a.{kind}").write_bytes(head)
    pixels, _ = read_radiograph(tmp_path / f"a.{kind}", detached=True)
    np.testing.assert_array_equal(pixels.ravel(), np.frombuffer(SECRET, np.uint8))
    (tmp_path / name).rename(tmp_path / "real")
    with pytest.raises(UndecodableError, match="does not lie beside it"):
        read_radiograph(tmp_path / f"a.{kind}", detached=True)
    (tmp_path / name).symlink_to(tmp_path / "real")
    with pytest.raises(UndecodableError, match="plain name of a file"):
        read_radiograph(tmp_path / f"a.{kind}", detached=True)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/b", "..", "C:x", "a\\b", "LIST", "a%d"]
)
def test_data_files_are_named_plainly(tmp_path, name):
    for file, content in naming(name).items():
        if file.startswith("plain"):
            (tmp_path / file).write_bytes(content)
            with pytest.raises(UndecodableError, match="plain name of a file"):
                read_radiograph(tmp_path / file, detached=True)
            with pytest.raises(VolumeError, match="plain name of a file"):
                read_volume(tmp_path / file)


def test_a_volume_may_lie_beside_its_header(tmp_path):
    sitk.WriteImage(random_image(3, "i2"), str(tmp_path / "a.nhdr"))
    sitk.WriteImage(random_image(3, "i2"), str(tmp_path / "b.mhd"))
    sitk.WriteImage(random_image(3, "i2"), str(tmp_path / "c.nrrd"))
    nib.save(nib.Nifti1Pair(np.arange(24.0).reshape(2, 3, 4), np.eye(4)), tmp_path / "d.hdr")
    voxels = [np.asarray(read_volume(tmp_path / name)) for name in ("a.nhdr", "b.mhd", "c.nrrd")]
    np.testing.assert_array_equal(voxels[0], voxels[2])
    np.testing.assert_array_equal(voxels[1], voxels[2])
    assert read_volume(tmp_path / "d.hdr").max() == 23


# --- bounds ---------------------------------------------------------------------------------


def compressed_zeros(count: int) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    piece = bytes(1 << 20)
    return b"".join(packer.compress(piece) for _ in range(count >> 20)) + packer.flush()


def bombs() -> dict[str, bytes]:
    """Small files that declare, or hold when inflated, more than anybody needs."""
    inflated = compressed_zeros(64 << 20)
    nifti = nib.Nifti1Header()
    nifti.set_data_dtype(np.complex128)
    nifti.set_data_shape((8000, 8000))
    nifti["vox_offset"] = 352
    long = nib.Nifti2Header()
    long.set_data_shape((2**40, 2**40, 2**40))
    long["vox_offset"] = 544
    double = nib.Nifti1Header()
    double.set_data_dtype(np.float64)
    double.set_data_shape((8000, 8000))
    double["vox_offset"] = 352
    return {
        "huge.nrrd": NRRD.replace("40 40", "1000000 1000000").encode() + b"\n",
        "zip.nrrd": NRRD.replace("raw", "gzip").replace("40 40", "64 64").encode()
        + b"\n"
        + inflated,
        "skip.nrrd": NRRD.encode() + b"line skip: 999999999999\n\n",
        "bytes.nrrd": NRRD.encode() + b"byte skip: 999999999999\n\n",
        "back.nrrd": NRRD.encode() + b"byte skip: -7\n\n",
        "axes.nrrd": NRRD.replace("dimension: 2", "dimension: 99").encode() + b"\n",
        "huge.mha": META.replace("40 40", "100000000 100000000").encode() + LOCAL,
        "channels.mha": META.encode() + b"ElementNumberOfChannels = 99999999\n" + LOCAL,
        "digits.mha": META.replace("40 40", "9" * 5000 + " 1").encode() + LOCAL,
        "start.mha": META.encode() + b"HeaderSize = 99999999999\n" + LOCAL,
        "complex.nii": nifti.binaryblock + bytes(4),
        "long.nii": long.binaryblock + bytes(4),
        "double.nii.gz": gzip.compress(double.binaryblock + bytes(4)),
        "lines": b"NRRD0004\n" + b"#" * (2 << 20),
    }


@pytest.mark.parametrize("file", sorted(bombs()))
def test_what_is_declared_is_bounded_before_it_is_allocated(tmp_path, file):
    import tracemalloc

    path = tmp_path / file
    path.write_bytes(bombs()[file])
    tracemalloc.start()
    started = time.process_time()
    for reader, error in ((read_radiograph, RadiographError), (read_volume, VolumeError)):
        with pytest.raises(error) as caught:
            reader(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert time.process_time() - started < 5
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_inflating_stops_where_the_picture_ends():
    meta = META.replace("40 40", "64 64").encode() + b"CompressedData = True\n"
    content = meta + LOCAL + compressed_zeros(64 << 20)
    assert stored(content).load().shape == (64, 64)
    assert stored(bombs()["zip.nrrd"]).load().nbytes == 64 * 64


def test_voxels_count_as_the_floats_they_become():
    sizes = "x".join(["1024 1024", "1024"]).replace("x", " ")
    text = NRRD.replace("40 40", sizes).replace("dimension: 2", "dimension: 3") + "\n"
    with pytest.raises(FormatError, match=f"at most {LARGEST_BYTES >> 20} MB"):
        stored(text.encode())


@given(
    data=st.data(),
    kind=st.sampled_from(["nii", "nii.gz", "nrrd", "mha"]),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_files_end_in_one_sentence(tmp_path, data, kind):
    whole = tmp_path / f"whole.{kind}"
    if not whole.exists():
        sitk.WriteImage(sitk.GetImageFromArray(np.arange(1600.0).reshape(40, 40)), str(whole))
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 600) - 1))] = data.draw(
            st.integers(0, 255)
        )
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    for reader, error in ((read_radiograph, RadiographError), (read_volume, VolumeError)):
        try:
            reader(path)
        except error as refused:
            assert "\n" not in str(refused) and path.name in str(refused)
