"""The command line: what it writes, and how it fails (one line, a status, nothing partial)."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from samples import draw_knee

from xr2mri_core.cli import main

COMMANDS = ("phantom", "generate", "evaluate", "demo", "weights", "info")


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def failed(capsys, status: int, *arguments, says: str = "") -> str:
    """Run a command that must fail: it prints one line with the remedy, and warnings at most."""
    assert run(*arguments) == status
    out, err = capsys.readouterr()
    *before, line = err.strip().splitlines()
    assert out == "" and all(text.startswith("xr2mri: warning: ") for text in before), err
    assert line.startswith("xr2mri: error: ") and "Traceback" not in err
    assert says.lower() in line.lower(), line
    return line


@pytest.fixture
def generate(tiny_bundle, tmp_path):
    """The arguments of a quick generation; the radiograph comes first."""
    out = tmp_path / "out"

    def arguments(radiograph, *more):
        return ("generate", "--bundle", tiny_bundle, "--device", "cpu", "--slices", 3,
                "--out", out, "--radiograph", radiograph, *more)  # fmt: skip

    return arguments


# --- what works -----------------------------------------------------------------------------------


def test_generate_writes_volume_record_and_montage(generate, radiograph, form, tmp_path, capsys):
    assert run(*generate(radiograph, "--features", form, "--set", "V00XRJSL=1")) == 0
    printed = [Path(line) for line in capsys.readouterr().out.split()]
    assert sorted(path.name for path in printed) == [
        "generated.json", "generated.png", "generated_sample.nii.gz",
    ]  # fmt: skip
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    assert all(f"`{path.name}`" in readme for path in printed)
    record = json.loads((tmp_path / "out" / "generated.json").read_text())
    assert record["features"] == {"V00XRJSM": 1, "V00XRKL": 2, "V00XRJSL": 1}
    assert nib.load(tmp_path / "out" / "generated_sample.nii.gz").shape == (64, 3, 64)


def test_the_record_of_a_generation_is_a_form_again(generate, radiograph, form, tmp_path):
    assert run(*generate(radiograph, "--features", form)) == 0
    record = tmp_path / "out" / "generated.json"
    assert run(*generate(radiograph, "--features", record, "--name", "again")) == 0
    first, second = (
        nib.load(tmp_path / "out" / f"{name}_sample.nii.gz").get_fdata()
        for name in ("generated", "again")
    )
    np.testing.assert_array_equal(first, second)


def test_nrrd_samples_and_box(generate, radiograph, tmp_path):
    more = ("--format", "nrrd", "--samples", 2, "--box", 8, 8, 88, 88, "--laterality", "L")
    assert run(*generate(radiograph, *more)) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"generated_sample.nrrd", "generated_mean.nrrd", "generated_std.nrrd"} < names
    record = json.loads((tmp_path / "out" / "generated.json").read_text())
    assert record["box"] == [8, 8, 88, 88] and record["laterality"] == "L"


def test_pixels_may_lie_beside_their_header(generate, radiograph, tmp_path, capsys):
    header, pixels = tmp_path / "knee.mhd", tmp_path / "knee.raw"
    sitk.WriteImage(sitk.ReadImage(str(radiograph)), str(header))
    assert pixels.is_file() and run(*generate(header)) == 0
    pixels.rename(tmp_path / "elsewhere.raw")
    pixels.symlink_to(tmp_path / "elsewhere.raw")
    capsys.readouterr()
    failed(capsys, 2, *generate(header), says="the plain name of a file in the same folder")


def test_evaluate_prints_its_table_and_writes_its_files(
    tiny_bundle, labelled_datalist, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("xr2mri_core.evaluation.evaluate.SPACINGS", (3,))
    out = tmp_path / "out"
    assert run("evaluate", "--datalist", labelled_datalist, "--bundle", tiny_bundle, "--out", out,
               "--device", "cpu", "--jobs", 1, "--spacing-cases", 1,
               "--samples", 2) == 0  # fmt: skip
    assert (out / "summary.md").read_text().strip() == capsys.readouterr().out.strip()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["methods"]["model"]["ssim"]["n"] == 2
    assert summary["model"]["weights"] == "knee_xr2mri.safetensors"


@pytest.mark.server
def test_demo_shows_an_unseen_patient(tiny_bundle, tmp_path, capsys):
    out = tmp_path / "demo"
    assert run("demo", "--out", out, "--bundle", tiny_bundle, "--device", "cpu") == 0
    printed = capsys.readouterr().out
    for word in ("$ monailabel start_server", "other patient", "SSIM", "time:", "synthetic"):
        assert word in printed
    assert {
        "demo.png",
        "generated_mean.nii.gz",
        "generated_sample.nii.gz",
        "generated.json",
    } <= set(os.listdir(out))


@pytest.mark.slow
def test_phantom_writes_a_datalist_that_generate_takes(generate, tmp_path):
    out = tmp_path / "phantoms"
    assert run("phantom", "--cases", 2, "--seed", 5, "--out", out, "--jobs", 1) == 0
    assert (out / "datalist.json").is_file()
    case = out / "cases" / "phantom-000001"
    more = ("--features", case / "features.json")
    assert run(*generate(case / "radiograph.dcm", *more)) == 0


def test_info_names_versions_and_weights(tiny_bundle, capsys):
    assert run("info", "--bundle", tiny_bundle) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["device"] and len(info["bundle"]["sha256"]) == 64 and "torch" in info["versions"]


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_and_version(command, capsys):
    assert run(*command, "--help") == 0
    assert "xr2mri" in capsys.readouterr().out
    assert run("--version") == 0


def test_help_needs_no_heavy_library():
    code = (
        "import sys; from xr2mri_core.cli import main; main(['--help']);"
        "sys.exit(any(m in sys.modules for m in ('torch', 'monai', 'numpy', 'diffusers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_a_reader_that_has_seen_enough_is_no_fault():
    command = [sys.executable, "-u", "-m", "xr2mri_core.cli", "info", "--form"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    assert child.stderr.read() == b"" and child.wait() == 141


def test_a_generation_imports_no_logging_of_trainings():
    """A fifth of the start; whoever trains imports MONAI before this and has them."""
    code = (
        "import sys; from xr2mri_core.bundle import configured, bundle_folder;"
        "configured(bundle_folder(), ['compact']);"
        "print([m for m in ('mlflow', 'pandas') if m in sys.modules], 'monai' in sys.modules);"
        "import pandas, mlflow"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split("\n")[-2] == "[] True" and result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("variable", "own", "chosen"),
    [
        ("OMP_WAIT_POLICY", "passive", None),  # idle threads sleep
        ("OMP_WAIT_POLICY", "passive", "active"),
        ("MKL_CBWR", "AUTO", None),  # a knee does not depend on those that share its passes
        ("MKL_CBWR", "AUTO", "COMPATIBLE"),
    ],
)
def test_what_libraries_are_told_before_they_load_unless_the_user_has(variable, own, chosen):
    code = f"import os; from xr2mri_core.cli import main; main([]); print(os.environ['{variable}'])"
    environment = {k: v for k, v in os.environ.items() if k != variable}
    environment |= {} if chosen is None else {variable: chosen}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert result.stdout.split()[-1] == (chosen or own)


# --- what is handed in wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "command"),
        (("dance",), "dance"),
        (("generate", "--out", "x"), "--radiograph"),
        (("phantom", "--cases", "0", "--out", "x"), "'0' is not an integer >= 1"),
        (("phantom", "--cases", "many", "--out", "x"), "many"),
        (("generate", "--radiograph", "a", "--out", "x", "--set", "kl"), "NAME=GRADE"),
        *(
            (("generate", "--radiograph", "a", "--out", "x", "--set", f"{name}=2"), f"'{name}'")
            for name in ("features", "demographics", "source")  # arguments of ours, no features
        ),
        (
            ("generate", "--radiograph", "a", "--out", "x", *2 * ("--set", "kl_grade=1")),
            "kl_grade is given twice",
        ),
        *(
            (
                ("generate", "--server", "http://x", "--radiograph", __file__, "--out", "x", *more),
                f"{more[0]} is for this machine's model",
            )
            for more in (
                ("--weights", "w"),
                ("--bundle", "b"),
                ("--size", "paper"),
                ("--device", "cuda:1"),
                ("--precision", "fp32"),
            )
        ),
        (("info", "--form", "--bundle", "b"), "one form serves all bundles"),
        (("info", "--device", "cpu"), "--device"),
        (("robustness", "--datalist", "a", "--out", "x", "--samples", "3"), "--samples"),
        (("generate", "--radiograph", "a", "--out", "x", "--seed", "-3"), "-3"),
        (("generate", "--radiograph", "a", "--out", "x", "--format", "mha"), "mha"),
    ],
)
def test_wrong_arguments(arguments, says, capsys):
    failed(capsys, 2, *arguments, says=says)


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """File -> a word that its error must have. All are refused as radiographs."""
    random = np.random.default_rng(0)

    def image(name: str, array: np.ndarray) -> Path:
        Image.fromarray(array).save(folder / name)
        return folder / name

    def raw(name: str, content: bytes) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    def nifti(name: str, array: np.ndarray) -> Path:
        nib.save(nib.Nifti1Image(array, np.eye(4)), folder / name)
        return folder / name

    whole = image("whole.png", draw_knee()).read_bytes()
    nan = draw_knee().astype(np.float32)
    nan[3, 3] = np.nan
    return {
        "missing": (folder / "nowhere.png", "no file"),
        "folder": (folder, "no file"),
        "empty": (raw("empty.png", b""), "empty"),
        "text": (raw("notes.txt", b"this is not an image at all"), ""),
        "binary": (raw("random.dcm", random.bytes(4000)), ""),
        "truncated": (raw("cut.png", whole[: len(whole) // 2]), ""),
        "constant": (image("flat.png", np.full((64, 64), 7, np.uint8)), ""),
        "colour": (image("photo.png", random.integers(0, 255, (64, 64, 3), np.uint8)), "colour"),
        "volume": (nifti("volume.nii.gz", random.random((20, 20, 20)).astype(np.float32)), ""),
        "nan": (nifti("nan.nii.gz", nan), "nan"),
        "tiny": (image("dot.png", np.array([[0]], np.uint8)), ""),
    }


FAULTS = ("missing", "folder", "empty", "text", "binary", "truncated", "constant", "colour",
          "volume", "nan", "tiny")  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_radiograph_is_refused(fault, generate, tmp_path, capsys):
    folder = tmp_path / "files"
    folder.mkdir()
    path, says = broken_files(folder)[fault]
    failed(capsys, 2, *generate(path), says=says)
    assert not list(tmp_path.glob("out/*"))


def test_a_huge_image_is_refused_before_it_is_decoded(generate, tmp_path, capsys):
    path = tmp_path / "huge.png"
    Image.new("L", (10_000, 10_000)).save(path)
    started = time.perf_counter()
    failed(capsys, 2, *generate(path))
    assert time.perf_counter() - started < 30


def dicom(path: Path, pixels: np.ndarray | None = None) -> Path:
    from xr2mri_core.phantom.dicom import write_radiograph_dicom

    pixels = draw_knee().astype(np.uint16) * 16 if pixels is None else pixels
    return write_radiograph_dicom(path, pixels, 1.4, patient_id="test")


def test_a_dicom_works_and_a_truncated_one_does_not(generate, tmp_path, capsys):
    path = dicom(tmp_path / "knee.dcm")
    assert run(*generate(path)) == 0
    capsys.readouterr()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 3000])
    failed(capsys, 2, *generate(path))


def test_an_undecodable_transfer_syntax_is_named(generate, tmp_path, capsys):
    import pydicom

    dataset = pydicom.dcmread(dicom(tmp_path / "knee.dcm"))
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG-2 video
    dataset["PixelData"].is_undefined_length = True
    dataset.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
    dataset.save_as(tmp_path / "video.dcm")
    failed(capsys, 2, *generate(tmp_path / "video.dcm"))


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", '{"V00XRKL": 9}', '{"nonsense": 1}', '{"features": {"V00XRKL": "bad"}}',
     "null", '{"V00XRKL": {}}'],
)  # fmt: skip
def test_wrong_forms(content, generate, radiograph, tmp_path, capsys):
    (tmp_path / "form.json").write_text(content)
    failed(capsys, 2, *generate(radiograph, "--features", tmp_path / "form.json"))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=400), suffix=st.sampled_from([".png", ".dcm", ".nii", ".nrrd"]))
def test_any_bytes_as_radiograph_end_in_one_line(content, suffix, generate, tmp_path, capsys):
    path = tmp_path / f"any{suffix}"
    path.write_bytes(content)
    failed(capsys, 2, *generate(path))
    assert not list(tmp_path.glob("out/*"))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(cut=st.integers(0, 100), flips=st.lists(st.integers(0, 99), max_size=5))
def test_a_damaged_dicom_ends_in_one_line_or_works(cut, flips, generate, tmp_path, capsys):
    content = bytearray(dicom(tmp_path / "whole.dcm").read_bytes())
    content = content[: max(1, len(content) * cut // 100)]
    for flip in flips:
        content[len(content) * flip // 100] ^= 0xFF
    (tmp_path / "damaged.dcm").write_bytes(content)
    status = run(*generate(tmp_path / "damaged.dcm", "--steps", 1, "--slices", 1))
    err = capsys.readouterr().err
    assert status in (0, 2) and "Traceback" not in err
    assert status == 0 or err.strip().splitlines()[-1].startswith("xr2mri: error: ")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    content=st.dictionaries(
        st.sampled_from(["V00XRKL", "kl_grade", "xrjsm", "V00XRCYFM", "?"]) | st.text(max_size=8),
        st.none() | st.integers(-5, 9) | st.floats() | st.text(max_size=5) | st.booleans(),
        max_size=4,
    )
)
def test_any_form_ends_in_one_line_or_works(content, generate, radiograph, tmp_path, capsys):
    (tmp_path / "form.json").write_text(json.dumps(content))
    status = run(*generate(radiograph, "--features", tmp_path / "form.json", "--slices", 1))
    err = capsys.readouterr().err
    assert status in (0, 2) and "Traceback" not in err


# --- weights, places, interrupts ------------------------------------------------------------------


def test_wrong_and_missing_weights(generate, radiograph, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    failed(capsys, 1, *generate(radiograph, "--bundle", tmp_path / "empty"), says="--bundle")
    (tmp_path / "w.safetensors").write_bytes(b"pickle?")
    failed(capsys, 1, *generate(radiograph, "--weights", tmp_path / "w.safetensors"), says="w.safe")
    failed(capsys, 1, *generate(radiograph, "--weights", tmp_path / "none"), says="none")


def test_pretrained_weights_that_are_none(tmp_path, capsys):
    out = tmp_path / "parts.safetensors"
    failed(capsys, 1, "weights", "import", "clip", tmp_path / "none.pt", out, says="none.pt")
    (tmp_path / "bad.ckpt").write_bytes(b"no checkpoint")
    failed(capsys, 1, "weights", "import", "zero123", tmp_path / "bad.ckpt", out, says="bad.ckpt")
    failed(capsys, 2, "weights", "import", "gpt", "a", "b", says="zero123")
    assert not out.exists()


def test_unwritable_output(generate, radiograph, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    failed(capsys, 1, *generate(radiograph, "--out", tmp_path / "file" / "out"), says="--out")
    failed(capsys, 1, "phantom", "--cases", 1, "--out", tmp_path / "file", says="--out")


def test_debug_gives_the_traceback(generate, tmp_path, capsys):
    assert run(*generate(tmp_path / "nowhere.png", "--debug")) == 2
    assert "Traceback" in capsys.readouterr().err


def test_surprises_are_one_line_too(generate, radiograph, capsys, monkeypatch):
    def surprise(*_, **__):
        raise ValueError("what\nis this")

    monkeypatch.setattr("xr2mri_core.generation.KneeMRIGenerator.generate", surprise)
    failed(capsys, 1, *generate(radiograph), says="--debug")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried")])
def test_too_little_memory_names_the_remedy(error, generate, radiograph, capsys, monkeypatch):
    def full(*_, **__):
        raise error

    monkeypatch.setattr("xr2mri_core.generation.KneeMRIGenerator.generate", full)
    failed(capsys, 1, *generate(radiograph), says="--batch-size")


def test_an_interrupt_while_generating(generate, radiograph, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "xr2mri_core.export.writing.write_json", interrupt
    )  # the last file of the set
    failed(capsys, 130, *generate(radiograph), says="interrupted")
    assert not list(tmp_path.glob("out/*"))


def test_an_interrupt_that_a_library_has_swallowed(generate, radiograph, capsys, monkeypatch):
    from xr2mri_core.algorithm import Algorithm2
    from xr2mri_core.cli import terminal

    whole = Algorithm2.encode

    def swallow(*arguments):
        try:
            signal.raise_signal(signal.SIGTERM)
        except:  # noqa: E722  (as some do around an import)
            return whole(*arguments)

    monkeypatch.setattr(Algorithm2, "encode", swallow)
    monkeypatch.setattr(terminal, "_asked_to_end", False)
    failed(capsys, 130, *generate(radiograph), says="interrupted")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_partial_file(number, generate, radiograph, tmp_path):
    command = [sys.executable, "-m", "xr2mri_core.cli"]
    command += [str(a) for a in generate(radiograph, "--slices", 2000, "--steps", 1000)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,  # and a shell's background job would ignore SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (tmp_path / "out").exists():
        time.sleep(0.2)
    time.sleep(15)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    # 130 to a shell; Python itself makes the signal of it where it came during some imports
    assert process.returncode in (130, -signal.SIGINT) and "Traceback" not in err, err
    assert os.listdir(tmp_path / "out") == []


def test_the_form_of_features_is_printed_as_a_json_schema(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["info", "--form"]) == 0
    assert len(json.loads(capsys.readouterr().out)["properties"]) == 19
