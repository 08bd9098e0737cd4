"""Distillation: a student's few steps arrive where its teacher's many did."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from monai.bundle import run
from samples import TINY, make_tiny_bundle
from test_diffusion_samplers import COSINE, PAPER, exact_denoiser
from torch import nn

from xr2mri_core import training
from xr2mri_core.bundle import configured, load_bundle
from xr2mri_core.diffusion import build_scheduler, sample
from xr2mri_core.errors import TrainingError, WeightsError
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.networks import RadiographCode
from xr2mri_core.networks.model import read_safetensors
from xr2mri_core.training import pairs

BUNDLE = Path(__file__).resolve().parents[1] / "monai_app" / "model" / "knee_xr2mri"
CONFIGS = BUNDLE / "configs"


# --- against an answer that is known --------------------------------------------------------------


class Affine(nn.Module):
    """A student without conditions: at each timestep a line in z_t, at first its teacher's."""

    regression = None

    def __init__(self, scheduler, teacher) -> None:
        super().__init__()
        t = torch.arange(scheduler.config.num_train_timesteps)
        zero, one = (teacher(torch.full((len(t),), v, dtype=torch.float64), t) for v in (0.0, 1.0))
        self.slope, self.offset = nn.Parameter(one - zero), nn.Parameter(zero)
        self.autoencoder = nn.Identity()

    def encode_radiograph(self, radiograph):
        return RadiographCode(radiograph, radiograph.flatten(1))

    def denoise(self, z_t, t, *conditions):
        shape = (-1, 1, 1, 1)
        return self.slope[t].reshape(shape) * z_t + self.offset[t].reshape(shape)

    def to_residual(self, z_0, mean):
        return z_0

    from_residual = to_residual


@pytest.mark.parametrize("config", [COSINE, PAPER], ids=["velocity", "epsilon"])
def test_a_student_makes_in_one_two_and_four_steps_the_map_of_twenty(config):
    """Of N(.7, .5^2) the best denoiser is known, and a line. In few steps it misses what it makes
    in twenty; the student that began as it does not, once it has seen pairs."""
    scheduler = DDIMScheduler(**config)
    teacher = exact_denoiser(scheduler)
    noise = torch.randn(256, 1, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    z_0 = sample(teacher, noise, build_scheduler(scheduler, "unipc"), 20)
    blank = {"radiograph": torch.zeros(64, 1, 1, 1), "features": torch.zeros(64, 1)}
    batch = blank | {"latent": z_0, "noise": noise, "depth": torch.zeros(256), "slab": 4, "seed": 0}
    student = Affine(scheduler, teacher)
    stage = training.DistillationStage(student, scheduler, (1, 2, 4))

    # of deviation from the mean of z_0, which a student that draws nothing would leave
    def missed(steps: int) -> float:
        with torch.no_grad():
            return float((stage._drawn(batch, steps) - z_0).std() / z_0.std())

    before = [missed(steps) for steps in (1, 2, 4)]
    assert before[0] > 0.8 and before[1] > 0.3 and before[2] > 0.1  # the teacher itself
    optimizer = torch.optim.Adam(student.parameters(), 0.05)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for step in range(400):
        optimizer.zero_grad()
        stage(batch | {"seed": step})["loss"].backward()
        optimizer.step()
        falling.step()
    # an error of the noise predicted at t = T counts sigma / sqrt(alpha-bar) = 15 times
    left = 0.02 if config is COSINE else 0.05
    assert max(missed(steps) for steps in (1, 2, 4)) < left
    reached = stage.validate(batch)
    assert min(float(reached[f"reached_{steps}"]) for steps in (1, 2, 4)) > 0.998


def test_only_the_timesteps_of_the_student_s_own_steps_are_trained():
    stage = training.DistillationStage(
        Affine(DDIMScheduler(**COSINE), exact_denoiser(DDIMScheduler(**COSINE))),
        DDIMScheduler(**COSINE),
        (1, 4),
    )
    t = stage._random_timesteps(4000, torch.Generator().manual_seed(0))
    assert sorted(set(t.tolist())) == [249, 499, 749, 999]
    assert abs(float((t == 999).float().mean()) - (0.5 + 0.5 / 4)) < 0.03
    with pytest.raises(TrainingError, match=r"student_steps \[0\].*1 to 1000"):
        training.DistillationStage(stage.model, stage.scheduler, (0,))


# --- the command of the bundle, on networks of a few thousand weights -----------------------------


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    return make_tiny_bundle(tmp_path_factory.mktemp("teacher") / "knee_xr2mri", volume=True)


def distil(teacher, datalist, out, *overlays, size=TINY, volume=True, **options):
    """Run `train_distillation.yaml`; returns the folder of what it wrote."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "size.yaml").write_text(size)
    names = [CONFIGS / "training", CONFIGS / "train_diffusion", out / "size"]
    names += [CONFIGS / n for n in [*(["volume"] if volume else []), "train_distillation"]]
    files = [f"{name}.yaml" for name in names]
    settings = {
        "steps": 4, "epoch_length": 4, "cache_processes": 1, "validation_steps": 1, "log_every": 1,
        "cases_per_batch": 2, "slices_per_case": 4, "pairs": 3, "validation_pairs": 2,
        "pairs_at_once": 2, "teacher_steps": 3, "cached_slices": 4,
    } | ({"depth_mixing#norm_num_groups": 8} if volume else {}) | options  # fmt: skip
    run(
        config_file=[*files, *(str(CONFIGS / f"{n}.yaml") for n in overlays)],
        bundle_root=str(BUNDLE), datalist=str(datalist), output_dir=str(out),
        teacher=str(teacher / "models" / "knee_xr2mri.safetensors"), teacher_bundle=str(teacher),
        **settings,
    )  # fmt: skip
    return out


def pairs_in(student) -> list[Path]:
    """The finished pairs that trainings beside a student have drawn."""
    return list((student / "cache").glob("pairs-" + 16 * "?"))


STUDENT = {
    "steps": 8, "accumulation": 2, "gradient_checkpointing": True, "picture_every": 1,
    "learning_rate": 0.01, "warmup": 1,
}  # fmt: skip


def exported(teacher, datalist, out, *overlays, **options) -> dict[str, torch.Tensor]:
    """What `run export` writes beside the weights of a training, whose header it has; its card."""
    weights = out / "knee_xr2mri.safetensors"
    again = out / "again" / weights.name
    card = json.loads((out / "model_card.json").read_text())
    distil(teacher, datalist, out, *overlays, run_id="export", export_path=str(again), **options)
    (state, header), (other, others) = read_safetensors(weights), read_safetensors(again)
    assert header == others and state.keys() == other.keys()
    assert all(torch.equal(other[name], value) for name, value in state.items())
    told = json.loads(again.with_name("model_card.json").read_text())
    assert told.items() <= {**card, **{n: told[n] for n in ("command", "finished")}}.items()
    return header


@pytest.fixture(scope="module")
def student(teacher, small_datalist, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("student")
    return distil(teacher, small_datalist, out, cache_dir=str(out / "cache"), **STUDENT)


def test_a_student_is_trained_and_its_weights_know_their_steps(teacher, student):
    weights = student / "knee_xr2mri.safetensors"
    card = json.loads((student / "model_card.json").read_text())
    assert card["stage"] == "distillation" and card["teacher_steps"] == 3 and card["steps"] == 8
    assert set(card["results"]) == {"val_loss", *(f"val_reached_{k}" for k in (1, 2, 4))}
    made, origin = load_bundle(teacher, weights=weights), load_bundle(teacher)
    assert (made.settings["steps"], made.settings["sampler"]) == (4, "ddim")
    assert origin.settings["steps"] == 3
    for part, same in (("unet", False), ("autoencoder", True), ("regression", True)):
        both = [getattr(b.model, part).state_dict().values() for b in (made, origin)]
        # weights are kept in 16 bits
        assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(*both, strict=True)) == same
    assert (student / "samples").is_dir()


def test_a_student_is_written_once_more_from_its_checkpoint(teacher, student, small_datalist):
    header = exported(teacher, small_datalist, student, cache_dir=str(student / "cache"), **STUDENT)
    assert (header["steps"], header["sampler"]) == ("4", "ddim")


def test_a_student_generates_in_its_own_steps_unless_asked_for_others(teacher, student, radiograph):
    weights = student / "knee_xr2mri.safetensors"
    generator = KneeMRIGenerator.from_bundle(teacher, "cpu", weights=weights)
    few = generator.generate(radiograph, {}, num_slices=3)
    assert few.record["steps"] == 4 and few.record["sampler"] == "ddim"
    one = generator.generate(radiograph, {}, num_slices=3, steps=1)
    assert one.record["steps"] == 1


def test_pairs_are_what_the_teacher_draws_and_are_found_again(
    teacher, student, small_datalist, monkeypatch
):
    pairs = [
        training.PairCache(folder, training.SliceCache(path))
        for folder in pairs_in(student)
        for path in (student / "cache").glob("slices-*")
    ]
    kept = next(p for p in pairs if len(p) == 3 and len(p.slices) == 2)
    bundle = load_bundle(teacher)
    bundle.model.eval()
    batch = training.PairBatches(kept, 3, bundle.model.guidance.encode)[0]
    z_0, mean = training.drawn_by(bundle, batch, 3, "unipc")
    # kept in 16 bits, and so is the noise
    torch.testing.assert_close(batch["latent"], z_0, atol=2e-2, rtol=1e-2)
    torch.testing.assert_close(batch["mean"], mean, atol=2e-3, rtol=1e-2)
    assert float(batch["noise"].std()) == pytest.approx(1, abs=0.2)
    depths = batch["depth"].reshape(3, 4).numpy()
    assert np.allclose(np.diff(depths, 2), 0, atol=1e-5) and (np.diff(depths) > 0).all()
    monkeypatch.setattr("xr2mri_core.training.pairs._fill", None)
    again = training.PairCache.build(
        kept.slices, bundle, bundle.model, student / "cache", 3, 4, 3, oversampling=0.5
    )
    assert again.folder == kept.folder
    with pytest.raises(TypeError):  # of more steps, other pairs
        training.PairCache.build(kept.slices, bundle, bundle.model, student / "cache", 3, 4, 5)


SMALLER = TINY.replace("block_out_channels: [16, 32]", "block_out_channels: [16, 16]")
OTHER_LATENTS = TINY.replace("encoder_channels: [16, 16]", "encoder_channels: [16, 32]")


def bundle_of(teacher, size, folder) -> Path:
    """The teacher's bundle with another size, without weights."""
    shutil.copytree(teacher / "configs", folder / "configs")
    (folder / "configs" / "compact.yaml").write_text(size)
    return folder


def refusal(*arguments, **options) -> str:
    with pytest.raises(RuntimeError) as refused:
        distil(*arguments, **options)
    return str(refused.value.__cause__)


def test_a_smaller_student_of_the_same_latents_learns_the_mean_then_few_steps(
    teacher, student, small_datalist, tmp_path, radiograph
):
    options = {"size": SMALLER, "cache_dir": str(student / "cache"), "student_steps": [2]}
    assert "train_regression.yaml" in refusal(teacher, small_datalist, tmp_path / "no", **options)
    mean = distil(teacher, small_datalist, tmp_path / "mean", "train_regression", **options)
    assert "steps" not in exported(teacher, small_datalist, mean, "train_regression", **options)
    made = distil(
        teacher, small_datalist, tmp_path / "few",
        initial_weights=str(mean / "knee_xr2mri.safetensors"), **options,
    )  # fmt: skip
    assert len(pairs_in(student)) == 2  # the larger student's
    generator = KneeMRIGenerator.from_bundle(
        bundle_of(teacher, SMALLER, tmp_path / "bundle"),
        "cpu",
        weights=made / "knee_xr2mri.safetensors",
    )
    large = load_bundle(teacher).model
    assert sum(p.numel() for p in generator.model.unet.parameters()) < sum(
        p.numel() for p in large.unet.parameters()
    )
    trained = [load_bundle(tmp_path / "bundle", weights=f / "knee_xr2mri.safetensors").model
               for f in (mean, made)]  # fmt: skip
    both = [list(model.unet.state_dict().values()) for model in trained]
    assert not all(torch.equal(a, b) for a, b in zip(*both, strict=True))
    both = [list(model.regression.state_dict().values()) for model in trained]
    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True))
    record = generator.generate(radiograph, {}, num_slices=3).record
    assert record["steps"] == 2


def test_a_student_of_other_latents_learns_the_teacher_s_volumes(
    teacher, student, small_datalist, tmp_path, radiograph
):
    """As a compact one of a teacher of the paper's size; afterwards it is distilled itself."""
    import yaml
    from monai.bundle import ConfigParser

    cache = str(student / "cache")
    options = {"size": OTHER_LATENTS, "cache_dir": cache, "volume": False}
    assert "autoencoder" in refusal(teacher, small_datalist, tmp_path / "no", **options)
    torch.manual_seed(1)
    own = ConfigParser(yaml.safe_load(OTHER_LATENTS)).get_parsed_content("autoencoder")
    stage = training.AutoencoderStage(own)
    training.finish_autoencoder(stage, training.EMA(stage), [], tmp_path / "ae", 0.7)
    options |= {"autoencoder_dir": str(tmp_path / "ae")}
    said = refusal(teacher, small_datalist, tmp_path / "few", **options)
    assert "give student_steps [] to learn the teacher's volumes first" in said
    made = distil(teacher, small_datalist, tmp_path / "made", student_steps=[], **options)

    weights = made / "knee_xr2mri.safetensors"
    bundle = load_bundle(bundle_of(teacher, OTHER_LATENTS, tmp_path / "bundle"), weights=weights)
    assert bundle.settings["steps"] == 3  # the size's own: it has as many steps as any
    assert bundle.model.scaling_factor == 0.7
    folder = next(f for f in pairs_in(student) if not (f / "noise.npy").exists())
    assert not (folder / "means.npy").exists()
    kept = np.load(folder / "latents.npy")
    assert np.isfinite(kept).all() and kept.std() > 0


@pytest.fixture(scope="module")
def another_autoencoder(teacher, tmp_path_factory) -> Path:
    """One of the teacher's size, trained anew."""
    folder = tmp_path_factory.mktemp("another") / "autoencoder"
    autoencoder = load_bundle(teacher).model.autoencoder
    with torch.no_grad():
        for parameter in autoencoder.parameters():
            parameter.mul_(1.1)
    stage = training.AutoencoderStage(autoencoder)
    training.finish_autoencoder(stage, training.EMA(stage), [], folder, 0.7)
    return folder


def test_what_is_of_the_latents_is_taken_with_the_autoencoder_alone(teacher, another_autoencoder):
    origin, student = load_bundle(teacher), load_bundle(teacher).model
    taken = training.start_student(student, origin, autoencoder_dir=str(another_autoencoder))
    assert "unet" in taken and not {"autoencoder", "regression", "grain"} & set(taken)
    student = configured(teacher, ["compact", "volume"]).get_parsed_content("model")
    assert {"regression", "grain"} <= set(training.start_student(student, origin))
    student = configured(teacher, ["compact", "volume"]).get_parsed_content("model")
    training.start_student(student, origin, autoencoder_dir=str(another_autoencoder))
    with pytest.raises(WeightsError, match="train it first"):
        training.check_start(training.DistillationStage(student, origin.scheduler, []))


def test_a_student_s_own_autoencoder_loses_a_grain_of_its_own(
    teacher, another_autoencoder, student, small_datalist, tmp_path
):
    options = {
        "autoencoder_dir": str(another_autoencoder), "cache_dir": str(student / "cache"),
        "student_steps": [], "cached_slices": "$None", "teacher_steps": 1,
    }  # fmt: skip
    mean = distil(teacher, small_datalist, tmp_path / "mean", "train_regression", **options)
    start = str(mean / "knee_xr2mri.safetensors")
    made = distil(teacher, small_datalist, tmp_path / "m", initial_weights=start, **options)
    assert read_safetensors(made / "knee_xr2mri.safetensors")[0]["grain.std"].any()
    assert not read_safetensors(student / "knee_xr2mri.safetensors")[0]["grain.std"].any()


def test_demographics_are_left_out_of_forms_as_grades_are():
    knee = {"case": "k", "features": {"V00XRKL": 2}}
    knee["demographics"] = {"age": 60.0, "sex": "F", "bmi": 25.0}
    slices = type("Slices", (list,), {"items": [knee]})([knee])

    def forms(variable, whole):
        dropped = [variable, whole, 0.0]
        items = pairs._drawn_forms(slices, {"seed": 0, "count": 400, "dropped": dropped})
        return [item["demographics"] for item in items], items

    assert forms(0.0, 0.0)[0] == 400 * [knee["demographics"]]
    some, _ = forms(0.3, 0.0)
    for name in knee["demographics"]:
        assert np.mean([name in one for one in some]) == pytest.approx(0.7, abs=0.08)
    every, items = forms(0.0, 0.3)
    assert {len(one) for one in every} == {0, 3}
    assert all(bool(one["demographics"]) == bool(one["features"]) for one in items)
    assert np.mean([bool(one) for one in every]) == pytest.approx(0.7, abs=0.08)


def test_student_and_teacher_are_measured_in_one_table(
    teacher, student, labelled_datalist, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(BUNDLE.parents[2] / "benchmarks"))
    distilled = importlib.import_module("distilled")
    words = ["--bundle", teacher, "--student", student / "knee_xr2mri.safetensors", "--middle", 3]
    words += ["--datalist", labelled_datalist, "--cases", 1, "--steps", 1, "--samplers", "ddim"]
    words += ["--teacher-steps", 3, "--device", "cpu", "--out", tmp_path]
    distilled.main([str(word) for word in words])
    lines = (tmp_path / "distilled.md").read_text().splitlines()[4:]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    assert [row[:2] for row in cells] == [
        ["teacher, unipc", "3"], ["teacher, ddim", "1"], ["student, ddim", "1"]
    ]  # fmt: skip
    away = [float(row[2]) for row in cells]
    assert away[0] == 0 and away[1] > 0 and away[2] > 0
    grades = np.array([[1, 0, np.nan]])
    assert distilled.in_order(np.array([[2.0, 1.0, 9.0]]), grades) == 1
    assert distilled.in_order(np.array([[1.0, 2.0, 9.0]]), grades) == 0


@pytest.mark.parametrize(("name", "value"), [("steps", "0"), ("steps", "few"), ("sampler", "x")])
def test_a_header_without_a_number_of_steps_is_refused(tiny_bundle, tmp_path, name, value):
    model = load_bundle(tiny_bundle).model
    model.save_weights(tmp_path / "w.safetensors", metadata={name: value})
    with pytest.raises(WeightsError, match="what its header says of sampling"):
        load_bundle(tiny_bundle, weights=tmp_path / "w.safetensors")
