"""Fuzz the readers of radiographs: `python tests/fuzz_readers.py dicom --seconds 60 --out found`.

Seeds are good files of each kind; they are changed where their structure is: lengths and tags of
DICOM, chunks of PNG with their checksums, segments of JPEG, numbers and lines of text headers, what
a gzip file holds. A reader may read such a file or refuse it with one line. It may not crash, take
long, ask for memory without a bound, or fail in another way; the file that makes it do so is kept.

With `atheris` in the environment the changes that reach new code of the readers are followed
(`--guided`): what is written in Python, for native decoders are not built for it.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType

import nibabel as nib
import nrrd
import numpy as np
import pydicom.uid as uids
from dicom_samples import encoded, knee_pixels, write_dicom
from pydicom.encaps import encapsulate

from xr2mri_core.errors import RadiographError
from xr2mri_core.transforms.radiograph_file import read_stream

DATA = Path(__file__).parent / "data"
CPU_SECONDS, MEMORY = 10.0, 1 << 30
NUMBERS = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 64, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 65536,
           10**6, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)  # fmt: skip
WORDS = (b"-1", b"1e308", b"nan", b"inf", b"", b"0x10", b"1 1", b"LOCAL", b"gzip", b"raw", b"ascii")


GUIDED = ("xr2mri_core.transforms", "pydicom", "nibabel", "nrrd", "PIL")
"""Packages whose code is watched. All code would be that of torch, too, which takes minutes."""


class Finding(Exception):
    """A reader did what it may not do."""


def check(content: bytes) -> None:
    """Read a file; raises Finding."""
    started = time.process_time()
    try:
        read_stream(io.BytesIO(content), "fuzzed")
    except RadiographError as error:
        message, cause = str(error), error.__cause__
        while cause is not None:
            if isinstance(cause, MemoryError | RecursionError):
                raise Finding(f"no bound: {cause!r}") from error
            cause = cause.__cause__ or cause.__context__
        if not message.startswith("fuzzed: ") or "\n" in message or len(message) > 1000:
            raise Finding(f"not one line: {message[:200]!r}") from error
    if time.process_time() - started > CPU_SECONDS:
        raise Finding(f"{time.process_time() - started:.0f} s")


# --- good files -----------------------------------------------------------------------------------


def dicom_seeds(folder: Path) -> Iterator[bytes]:
    eight = (knee_pixels(64, 64) >> 4).astype(np.uint8)
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    streams = {
        uids.JPEGBaseline8Bit: encoded(eight, "JPEG"),
        uids.JPEG2000Lossless: encoded(eight, "JPEG2000"),
    }
    for syntax, frame in streams.items():
        tags = {"PixelData": encapsulate([frame]), **bits}
        yield write_dicom(folder / "x", eight, syntax=syntax, **tags).read_bytes()
    runs = struct.pack("<16I", 1, 64, *([0] * 14)) + b"".join(
        b"\x3f" + row.tobytes() for row in eight
    )
    tags = {"PixelData": encapsulate([runs]), **bits}
    yield write_dicom(folder / "x", eight, syntax=uids.RLELossless, **tags).read_bytes()
    ls = (DATA / "knee_8_bits.jls").read_bytes()
    rows, columns = struct.unpack_from(">HH", ls, ls.index(b"\xff\xf7") + 5)
    tags = {"PixelData": encapsulate([ls]), **bits, "Rows": rows, "Columns": columns}
    yield write_dicom(folder / "x", eight, syntax=uids.JPEGLSLossless, **tags).read_bytes()
    more = {"PixelSpacing": [0.2, 0.2], "PatientOrientation": ["R", "F"], "RescaleSlope": "2",
            "RescaleIntercept": "-1", "PixelPaddingValue": 0, "PatientName": "A^B"}  # fmt: skip
    for syntax in (uids.ExplicitVRLittleEndian, uids.ImplicitVRLittleEndian):
        yield write_dicom(folder / "x", knee_pixels(64, 64), syntax=syntax, **more).read_bytes()


def picture_seeds(kind: str) -> Iterator[bytes]:
    eight = (knee_pixels(64, 64) >> 4).astype(np.uint8)
    yield encoded(eight, kind)
    yield encoded(np.stack([eight] * 3, -1), kind)
    if kind == "PNG":
        yield encoded(knee_pixels(64, 64), kind)


def nifti_seeds(folder: Path) -> Iterator[bytes]:
    for image in (nib.Nifti1Image, nib.Nifti2Image):
        plain = image(
            knee_pixels(64, 64)[..., None].astype(np.int16), np.diag([-0.2, -0.2, 1, 1])
        ).to_bytes()
        yield plain
        yield gzip.compress(plain, 1)


def nrrd_seeds(folder: Path) -> Iterator[bytes]:
    for encoding in ("raw", "gzip", "bzip2", "ascii"):
        nrrd.write(
            str(folder / "x.nrrd"),
            knee_pixels(64, 64),
            {"encoding": encoding, "spacings": [0.2, 0.2]},
        )
        yield (folder / "x.nrrd").read_bytes()


def metaimage_seeds(folder: Path) -> Iterator[bytes]:
    head = b"ObjectType = Image\nNDims = 2\nDimSize = 64 64\nElementSpacing = 0.2 0.2\n"
    head += (
        b"TransformMatrix = 1 0 0 1\nOffset = 0 0\nBinaryData = True\nElementType = MET_USHORT\n"
    )
    pixels = knee_pixels(64, 64).tobytes()
    yield head + b"ElementDataFile = LOCAL\n" + pixels
    yield head + b"CompressedData = True\nElementDataFile = LOCAL\n" + zlib.compress(pixels)


TARGETS: dict[str, Callable[[Path], Iterator[bytes]]] = {
    "dicom": dicom_seeds,
    "png": lambda _: picture_seeds("PNG"),
    "jpeg": lambda _: picture_seeds("JPEG"),
    "nifti": nifti_seeds,
    "nrrd": nrrd_seeds,
    "metaimage": metaimage_seeds,
}


def seeds_of(target: str) -> list[bytes]:
    """Good files of a kind."""
    with tempfile.TemporaryDirectory() as folder:
        return list(TARGETS[target](Path(folder)))


# --- changes --------------------------------------------------------------------------------------


def changed(content: bytes, dice: random.Random) -> bytes:
    """The file with a few changes to its structure; its envelope still fits."""
    if content.startswith(b"\x1f\x8b"):
        try:
            return gzip.compress(changed(gzip.decompress(content), dice), 1)
        except (OSError, EOFError, zlib.error):
            pass
    parts = parts_of(content)
    for _ in range(dice.randint(1, 4)):
        dice.choice(CHANGES)(parts, dice)
    made = b"".join(parts)
    return _summed(made) if made.startswith(b"\x89PNG") else made


def parts_of(content: bytes) -> list[bytes]:
    """A file as the elements, chunks, segments or lines that it is made of."""
    ends = [0]
    if content[128:132] == b"DICM":
        ends += _elements(content)
    elif content.startswith(b"\x89PNG"):
        ends.append(8)
        while ends[-1] + 12 <= len(content):
            ends.append(ends[-1] + 12 + struct.unpack_from(">I", content, ends[-1])[0])
    elif content.startswith(b"\xff\xd8"):
        ends += [found.start() for found in re.finditer(rb"\xff[\xc0-\xfe]", content)]
    elif content[:4] in (b"NRRD", b"Obje"):
        ends += [found.end() for found in re.finditer(rb"\n", content[:2000])]
    else:
        ends += range(4, 352, 4)
    ends = [end for end in sorted(set(ends)) if end < len(content)]
    return [content[a:b] for a, b in zip(ends, [*ends[1:], len(content)], strict=True)]


def _elements(content: bytes) -> Iterator[int]:
    at = 132
    while at + 12 <= len(content):
        yield at
        long = content[at + 4 : at + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF")
        length = struct.unpack_from("<I" if long else "<H", content, at + (8 if long else 6))[0]
        at += (12 if long else 8) + length


def _number(parts: list[bytes], dice: random.Random) -> None:
    """An odd number in place of another."""
    index = dice.randrange(len(parts))
    part, form = bytearray(parts[index]), dice.choice(("B", "<H", ">H", "<I", ">I", "<Q"))
    size = struct.calcsize(form)
    if len(part) >= size:
        at = dice.randrange(min(len(part) - size + 1, 64))
        struct.pack_into(form, part, at, dice.choice(NUMBERS) % (1 << 8 * size))
        parts[index] = bytes(part)


def _word(parts: list[bytes], dice: random.Random) -> None:
    """An odd word in place of a number of a text."""
    index = dice.randrange(len(parts))
    found = list(re.finditer(rb"[0-9.]+", parts[index][:200]))
    if found:
        start, end = dice.choice(found).span()
        word = dice.choice([*WORDS, str(dice.choice(NUMBERS)).encode()])
        parts[index] = parts[index][:start] + word + parts[index][end:]


def _bits(parts: list[bytes], dice: random.Random) -> None:
    index = dice.randrange(len(parts))
    part = bytearray(parts[index])
    for _ in range(dice.randint(1, 8)):
        if part:
            part[dice.randrange(len(part))] ^= 1 << dice.randrange(8)
    parts[index] = bytes(part)


def _again(parts: list[bytes], dice: random.Random) -> None:
    parts.insert(dice.randrange(len(parts) + 1), dice.choice(parts))


def _gone(parts: list[bytes], dice: random.Random) -> None:
    if len(parts) > 1:
        del parts[dice.randrange(len(parts))]


def _short(parts: list[bytes], dice: random.Random) -> None:
    index = dice.randrange(len(parts))
    parts[index] = parts[index][: dice.randrange(len(parts[index]) + 1)]


def _many(parts: list[bytes], dice: random.Random) -> None:
    index = dice.randrange(len(parts))
    parts[index] *= dice.choice((2, 10, 200)) if len(parts[index]) < 20_000 else 2


CHANGES = (_number, _number, _number, _word, _bits, _again, _gone, _short, _many)


def _summed(png: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have."""
    made, at = bytearray(png[:8]), 8
    while at + 12 <= len(png):
        length = min(struct.unpack_from(">I", png, at)[0], len(png) - at - 12)
        chunk = png[at + 4 : at + 8 + length]
        made += struct.pack(">I", length) + chunk + struct.pack(">I", zlib.crc32(chunk))
        at += 12 + length
    return bytes(made + png[at:])


# --- the program ----------------------------------------------------------------------------------


def fuzz(target: str, seconds: float, out: Path, seed: int = 0) -> int:
    """Run in this process until the time is over; returns how many files were tried.

    What is read stands in `out`/current, so that the parent of a process that crashes has it.

    Raises:
        Finding: with the file kept.
    """
    dice, good = random.Random(seed), seeds_of(target)
    end, tried = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        content = changed(dice.choice(good), dice)
        (out / "current").write_bytes(content)
        check(content)
        tried += 1
    (out / "current").unlink(missing_ok=True)
    return tried


def guided(target: str, seconds: float, out: Path) -> None:
    """The same, led by what code of `GUIDED` is reached; ends the process."""
    import atheris

    for function in _functions(GUIDED):
        atheris.instrument_func(function)
    corpus = out / f"corpus-{target}"
    corpus.mkdir(exist_ok=True)
    for index, content in enumerate(seeds_of(target)):
        (corpus / f"seed-{index}").write_bytes(content)

    def mutated(content: bytes, most: int, seed: int) -> bytes:
        dice = random.Random(seed)
        return changed(content, dice)[:most] if content and dice.random() < 0.8 else content

    options = [f"-max_total_time={seconds:g}", f"-artifact_prefix={out}/", "-timeout=60"]
    options += ["-rss_limit_mb=3000", "-max_len=200000", str(corpus)]
    atheris.Setup([sys.argv[0], *options], check, custom_mutator=mutated)
    atheris.Fuzz()


def _functions(packages: tuple[str, ...]) -> list[FunctionType]:
    """Functions and methods of loaded modules, each once."""
    found: dict[int, FunctionType] = {}
    for name, module in list(sys.modules.items()):
        if not f"{name}.".startswith(tuple(f"{package}." for package in packages)):
            continue
        scopes = [module, *(one for one in vars(module).values() if isinstance(one, type))]
        for one in [value for scope in scopes for value in vars(scope).values()]:
            if isinstance(one, FunctionType) and one.__module__ == name:
                found[id(one)] = one
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true", help="with atheris")
    parser.add_argument("--only", type=Path, help="a file to read, instead of changed ones")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.guided:
        guided(given.target, given.seconds, given.out)
        return
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    try:
        if given.only is not None:
            check(given.only.read_bytes())
            return
        tried = fuzz(given.target, given.seconds, given.out, given.seed)
    except Finding as finding:
        sys.exit(f"{given.target}: {finding} (file: {given.only or given.out / 'current'})")
    print(f"{given.target}: {tried} files in {given.seconds:g} s")


def run(target: str, out: Path, *options: str, seconds: float = 60) -> tuple[int, str]:
    """The program in a process of its own, which may crash: its status and what it says of it."""
    command = [sys.executable, __file__, target, "--seconds", str(seconds), "--out", str(out)]
    done = subprocess.run(
        [*command, *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=seconds * 4 + 300,
        check=False,
    )
    return done.returncode, done.stderr[-2000:]


if __name__ == "__main__":
    main()
