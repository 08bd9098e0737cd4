"""The bundle by MONAI's own commands: metadata, network shapes, both training stages, export."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, run, verify_metadata, verify_net_in_out
from samples import INFERENCE, TINY

import xr2mri_core
from xr2mri_core import training
from xr2mri_core.networks.model import read_safetensors

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "monai_app" / "model" / "knee_xr2mri"
CONFIGS = BUNDLE / "configs"
METADATA = CONFIGS / "metadata.json"
SCHEMA = ROOT / "tests" / "data" / "bundle_metadata.schema.json"

SHORT = {
    "steps": 6,
    "epoch_length": 3,
    "cached_slices": 4,
    "cache_processes": 1,
    "validation_steps": 1,
    "log_every": 2,
}
AUTOENCODER = {"autoencoder_batch_size": 4}
DIFFUSION = {"cases_per_batch": 2, "slices_per_case": 2, "picture_every": 2, "picture_steps": 2}


@pytest.fixture(scope="module")
def overlay(tmp_path_factory) -> Path:
    """The tiny networks as a size overlay."""
    path = tmp_path_factory.mktemp("overlay") / "tiny.yaml"
    path.write_text(TINY + INFERENCE.split("generation:")[0])
    return path


def config_files(stage: str, *overlays: Path) -> list[str]:
    names = ["training", stage] if stage.startswith("train_") else [stage]
    return [*(str(CONFIGS / f"{name}.yaml") for name in names), *map(str, overlays)]


def command(stage: str, overlays: list[Path], launcher: list[str], **settings) -> list[str]:
    """`python -m monai.bundle run ...` as it is typed."""
    options = {
        "bundle_root": BUNDLE,
        "config_file": str(config_files(stage, *overlays)),
        **SHORT,
        **settings,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [*launcher, "-m", "monai.bundle", "run", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def train(stage: str, overlays: list[Path], launcher: list[str] | None = None, **settings) -> str:
    words = command(stage, overlays, launcher or [sys.executable], **settings)
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_metadata_is_valid(tmp_path):
    verify_metadata(meta_file=str(METADATA), filepath=str(SCHEMA))
    broken = json.loads(METADATA.read_text())
    del broken["network_data_format"]["outputs"]["pred"]["num_channels"]
    (tmp_path / "metadata.json").write_text(json.dumps(broken))
    with pytest.raises(ValueError, match="Failed validating"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(SCHEMA))


def test_metadata_tells_the_figures_of_the_model_card():
    card = (CONFIGS.parent / "models" / "model_card.md").read_text()
    titles, _, model = card[card.index("|  | PSNR, dB") :].splitlines()[:3]
    cells = zip(titles.split("|"), model.split("|"), strict=True)
    figures = {title.strip(): float(cell.split()[0]) for title, cell in cells if "(" in cell}
    metrics = json.loads(METADATA.read_text())["eval_metrics"]
    assert metrics == {
        "ssim": figures["SSIM"],
        "rssim": figures["RSSIM"],
        "psnr": figures["PSNR, dB"],
    }


def test_metadata_tells_the_versions_of_this_project():
    metadata = json.loads(METADATA.read_text())
    assert metadata["version"] == xr2mri_core.__version__ in metadata["changelog"]
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    assert metadata["monai_version"] == pinned["monai"]
    assert metadata["pytorch_version"] == pinned["torch"]
    assert metadata["numpy_version"] == pinned["numpy"]
    packages = metadata["required_packages_version"]
    assert packages.pop("xr2mri") == xr2mri_core.__version__
    assert packages and all(pinned[name] == version for name, version in packages.items())


def test_sizes_are_the_configurations_that_define_a_model(tmp_path):
    """Of a file that cannot be read, such as an editor's link to nowhere, nobody asks."""
    from xr2mri_core.bundle import sizes

    shutil.copytree(CONFIGS, tmp_path / "configs")
    for name in (".#paper.yaml", "gone.yaml"):
        (tmp_path / "configs" / name).symlink_to("nowhere")
    assert sizes(tmp_path) == ["compact", "paper"]


def test_copies_of_the_bundle_find_what_they_import():
    """Users keep theirs over updates, with what the configurations said then."""
    from xr2mri_core import parents, processes

    assert processes.end_with is parents.end_with


@pytest.mark.parametrize("size", ["tiny", "compact"])
def test_network_takes_a_radiograph_and_gives_a_slice(size, overlay):
    chosen = overlay if size == "tiny" else CONFIGS / f"{size}.yaml"
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(METADATA),
        config_file=config_files("inference", chosen),
        device="cpu",
    )


@pytest.mark.parametrize("size", ["compact", "paper"])
@pytest.mark.parametrize("stage", ["train_autoencoder", "train_diffusion"])
def test_size_overlays_define_what_the_stages_refer_to(stage, size):
    parser = ConfigParser()
    parser.read_config(config_files(stage, CONFIGS / f"{size}.yaml", CONFIGS / "multi_gpu.yaml"))
    parser.parse()
    needed = {"train_autoencoder": ["autoencoder"], "train_diffusion": ["model", "scheduler"]}
    assert all(parser.get(name) for name in needed[stage])


def documented(document: Path) -> Iterator[dict[str, str]]:
    """Options of each training of the compact model that a document has, in its order."""
    text = document.read_text().replace("\\\n", " ")
    session = {"$B": str(BUNDLE), "$C": str(CONFIGS)}
    for row in text.splitlines():
        whole = "monai.bundle run" in row and "train_diffusion" in row
        if whole and not re.search("distillation|paper.yaml", row):
            for name, value in session.items():
                row = row.replace(name, value)
            words = shlex.split(row)
            start = next(n for n, word in enumerate(words) if word.startswith("--"))
            yield {n[2:]: v for n, v in zip(words[start::2], words[start + 1 :: 2], strict=True)}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("docs/oai.md", {}),
        ("docs/oai.md", {"guidance#demographics": True}),
        ("docs/training.md", {}),
        ("monai_app/model/knee_xr2mri/docs/README.md", {}),
    ],
)
def test_documented_trainings_start_from_what_they_name(name, more, tmp_path):
    shipped = BUNDLE / "models" / "knee_xr2mri.safetensors"
    written = {str(shipped): shipped}
    for options in documented(ROOT / name):
        parser = ConfigParser()
        parser.read_config(ast.literal_eval(options["config_file"]))
        for key, value in more.items():
            parser[key] = value
        model = parser.get_parsed_content("model")
        start = options.get("initial_weights")
        folder = options.get("autoencoder_dir", "runs/autoencoder/autoencoder")
        file = None if start is None else written[start]
        training.start_model(model, file, None if folder == "$None" else folder)
        stage = parser.get_parsed_content("stage_on_cpu")
        training.check_start(stage)
        if isinstance(stage, training.RegressionStage):
            model.regression.std.fill_(0.5)  # as its training measures it
        out = options.get("output_dir", parser.get_parsed_content("output_dir"))
        written[f"{out}/knee_xr2mri.safetensors"] = tmp_path / f"{len(written)}.safetensors"
        model.save_weights(tmp_path / f"{len(written) - 1}.safetensors")
    assert len(written) > 2


def test_both_stages_train_and_export(overlay, small_datalist, tmp_path):
    common = {"bundle_root": str(BUNDLE), "datalist": str(small_datalist), **SHORT}
    common["cache_dir"] = str(tmp_path / "cache")
    run(
        config_file=config_files("train_autoencoder", overlay),
        output_dir=str(tmp_path / "autoencoder"),
        **common,
        **AUTOENCODER,
    )
    trained = tmp_path / "autoencoder" / "autoencoder"
    assert json.loads((trained / "config.json").read_text())["scaling_factor"] != 1.0
    assert json.loads((trained / "record.json").read_text())["steps"] == 6

    settings = dict(
        config_file=config_files("train_diffusion", overlay),
        autoencoder_dir=str(trained),
        output_dir=str(tmp_path / "diffusion"),
        **common,
        **DIFFUSION,
    )
    run(**settings)
    weights = tmp_path / "diffusion" / "knee_xr2mri.safetensors"
    card = json.loads(weights.with_name("model_card.json").read_text())
    assert card["stage"] == "diffusion" and card["steps"] == 6 and card["data"]["name"] == "small"
    assert card["results"]["val_loss"] > 0
    assert (tmp_path / "diffusion" / "samples" / "step-0000006.png").exists()
    state, header = read_safetensors(weights)
    assert float(header["scaling_factor"]) != 1.0
    assert all(v.dtype == torch.float16 for v in state.values() if v.is_floating_point())

    weights.unlink()
    run(**settings)  # it is finished
    again, _ = read_safetensors(weights)
    assert all(torch.equal(again[name], value) for name, value in state.items())
    model_card = json.loads(weights.with_name("model_card.json").read_text())
    assert model_card["steps"] == 6 and model_card["results"] == pytest.approx(card["results"])

    run(run_id="export", export_path=str(tmp_path / "again" / "m.safetensors"), **settings)
    again, _ = read_safetensors(tmp_path / "again" / "m.safetensors")
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], value) for name, value in state.items())


def test_fine_tuning_starts_from_a_whole_model(overlay, tiny_bundle, small_datalist, tmp_path):
    start = tiny_bundle / "models" / "knee_xr2mri.safetensors"
    run(
        config_file=config_files("train_diffusion", overlay),
        bundle_root=str(BUNDLE),
        datalist=str(small_datalist),
        cache_dir=str(tmp_path / "cache"),
        initial_weights=str(start),
        autoencoder_dir="$None",
        output_dir=str(tmp_path / "tuned"),
        **{**SHORT, **DIFFUSION, "steps": 1, "learning_rate": 0.0},
    )
    before, header = read_safetensors(start)
    after, tuned = read_safetensors(tmp_path / "tuned" / "knee_xr2mri.safetensors")
    assert tuned["scaling_factor"] == header["scaling_factor"]
    for name, value in before.items():
        torch.testing.assert_close(after[name].float(), value.float(), atol=2e-3, rtol=2e-3)


def test_an_autoencoder_is_trained_on(overlay, tiny_bundle, small_datalist, tmp_path):
    before, after = _trained_autoencoder(
        overlay, tiny_bundle, small_datalist, tmp_path, autoencoder_learning_rate=0.0
    )
    assert len(after) > 10
    for name, value in after.items():
        torch.testing.assert_close(value, before[f"autoencoder.{name}"])


def test_a_decoder_is_trained_alone(overlay, tiny_bundle, small_datalist, tmp_path):
    before, after = _trained_autoencoder(
        overlay, tiny_bundle, small_datalist, tmp_path, decoder_only=True
    )
    same = {n: torch.equal(value, before[f"autoencoder.{n}"]) for n, value in after.items()}
    assert {same[name] for name in same if name.startswith("encoder.")} == {True}
    assert not all(same[name] for name in same if name.startswith("decoder."))
    config = json.loads((tmp_path / "tuned" / "autoencoder" / "config.json").read_text())
    _, header = read_safetensors(tiny_bundle / "models" / "knee_xr2mri.safetensors")
    assert config["scaling_factor"] == float(header["scaling_factor"])


def _trained_autoencoder(overlay, tiny_bundle, small_datalist, folder, **settings):
    """The weights of a model, and those of its autoencoder after a step of stage 1."""
    start = tiny_bundle / "models" / "knee_xr2mri.safetensors"
    run(
        config_file=config_files("train_autoencoder", overlay),
        bundle_root=str(BUNDLE),
        datalist=str(small_datalist),
        cache_dir=str(folder / "cache"),
        initial_weights=str(start),
        output_dir=str(folder / "tuned"),
        **{**SHORT, **AUTOENCODER, "steps": 1, **settings},
    )
    saved = folder / "tuned" / "autoencoder" / "diffusion_pytorch_model.safetensors"
    return read_safetensors(start)[0], read_safetensors(saved)[0]


def test_generation_and_evaluation_are_commands(
    overlay, tiny_bundle, labelled_datalist, radiograph, tmp_path
):
    weights = str(tiny_bundle / "models" / "knee_xr2mri.safetensors")
    bundle = tmp_path / "knee_xr2mri"
    (bundle / "configs").mkdir(parents=True)
    for name in ("inference.yaml", "evaluate.yaml", "metadata.json", "logging.conf"):
        shutil.copy(CONFIGS / name, bundle / "configs" / name)
    shutil.copy(overlay, bundle / "configs" / "compact.yaml")
    run(
        config_file=str(bundle / "configs" / "inference.yaml"),
        radiograph=str(radiograph),
        features={"V00XRKL": 2},
        num_slices=3,
        steps=2,
        sampler="ddim",
        laterality="L",
        device="cpu",
        weights=weights,
        bundle_root=str(bundle),
        output_dir=str(tmp_path / "out"),
    )
    assert {path.suffix for path in (tmp_path / "out").iterdir()} >= {".gz", ".json", ".png"}
    record = json.loads((tmp_path / "out" / "generated.json").read_text())
    asked = {"steps": 2, "sampler": "ddim", "laterality": "L"}
    assert record.items() >= asked.items()
    run(
        config_file=str(bundle / "configs" / "evaluate.yaml"),
        bundle_root=str(bundle),
        datalist=str(labelled_datalist),
        weights=weights,
        spacing_cases=0,
        output_dir=str(tmp_path / "evaluation"),
    )
    assert "other patient" in (tmp_path / "evaluation" / "summary.md").read_text()


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_bits(overlay, small_datalist, tmp_path):
    settings = {
        "datalist": small_datalist,
        "cache_dir": tmp_path / "cache",
        "steps": 60,
        **AUTOENCODER,
    }
    train("train_autoencoder", [overlay], output_dir=tmp_path / "whole", **settings)

    words = command(
        "train_autoencoder",
        [overlay],
        [sys.executable],
        output_dir=tmp_path / "killed",
        **settings,
    )
    process = subprocess.Popen(
        words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 600
    while not (tmp_path / "killed" / "checkpoint.pt").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "autoencoder").exists(), "it had ended before it was killed"
    log = train("train_autoencoder", [overlay], output_dir=tmp_path / "killed", **settings)
    assert "resumed from" in log

    name = "diffusion_pytorch_model.safetensors"
    whole, _ = read_safetensors(tmp_path / "whole" / "autoencoder" / name)
    killed, _ = read_safetensors(tmp_path / "killed" / "autoencoder" / name)
    assert all(torch.equal(killed[key], value) for key, value in whole.items())


@pytest.mark.slow
def test_two_processes_train_together(overlay, small_datalist, tmp_path):
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
    ]
    overlays = [overlay, CONFIGS / "multi_gpu.yaml"]
    settings = {"datalist": small_datalist, "cache_dir": tmp_path / "cache"}
    first = tmp_path / "autoencoder"
    train("train_autoencoder", overlays, torchrun, output_dir=first, **settings, **AUTOENCODER)
    log = train(
        "train_diffusion",
        overlays,
        torchrun,
        output_dir=tmp_path / "diffusion",
        autoencoder_dir=first / "autoencoder",
        **settings,
        **DIFFUSION,
    )
    assert log.count("step 6 ") == 1  # one process speaks
    assert (tmp_path / "diffusion" / "knee_xr2mri.safetensors").exists()
