"""Caches, batches, losses and engines of the training, on networks of a few thousand weights."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.handlers import ValidationHandler
from PIL import Image
from samples import INFERENCE, TINY
from torch.utils.tensorboard import SummaryWriter

from xr2mri_core import training
from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import DatalistError, TrainingError, WeightsError
from xr2mri_core.features import one_hot_slices
from xr2mri_core.localization import KneeDetector, LocateKneed
from xr2mri_core.localization.decision import decide
from xr2mri_core.networks import Guidance
from xr2mri_core.reading import prepare_radiograph
from xr2mri_core.training import cache as cache_module
from xr2mri_core.training import handlers
from xr2mri_core.training.batches import case_weights, to_device
from xr2mri_core.training.cache import (
    from_bytes,
    label_emphasis,
    label_values,
    pick_slices,
    to_bytes,
)
from xr2mri_core.training.diffusion import clean_latent
from xr2mri_core.transforms import radiograph_augmentation, radiograph_transforms
from xr2mri_core.transforms.polarity import DOUBTED

CPU = torch.device("cpu")
PHANTOMS = Path(__file__).parents[1] / "slicer_extension" / "XR2MRI" / "Resources" / "SampleData"
GUIDANCE = Guidance(16, 64)


def tiny(*keys: str):
    """Parts of the tiny bundle's configuration, freshly built from seed 0."""
    import yaml
    from monai.bundle import ConfigParser

    parser = ConfigParser({**yaml.safe_load(INFERENCE), **yaml.safe_load(TINY)})
    torch.manual_seed(0)
    parts = [parser.get_parsed_content(key) for key in keys]
    return parts[0] if len(parts) == 1 else parts


@pytest.fixture(scope="module")
def items(small_datalist, tmp_path_factory):
    """All five patients, with label maps."""
    import nibabel as nib

    folder = tmp_path_factory.mktemp("labels")
    found = load_datalist(small_datalist)
    for item in found:
        volume = nib.load(item["mri"])
        labels = np.zeros(volume.shape, np.uint8)
        labels[16:32, :, 16:48] = 34
        item["labels"] = str(folder / f"{item['case']}.nii.gz")
        nib.save(nib.Nifti1Image(labels, volume.affine), item["labels"])
    return found


@pytest.fixture(scope="module")
def slices(items, tmp_path_factory):
    root = tmp_path_factory.mktemp("cache")
    return training.SliceCache.build(items, root, 6, size=64, seed=3, processes=1)


@pytest.fixture(scope="module")
def latents(slices, tmp_path_factory):
    root = tmp_path_factory.mktemp("latents")
    return training.LatentCache.build(slices, tiny("autoencoder"), root, [34], 3.0)


# --- caches ---------------------------------------------------------------------------------------


def test_bytes_keep_intensities_to_half_a_step():
    image = np.linspace(-1, 1, 1000, dtype=np.float32)
    assert np.abs(from_bytes(to_bytes(image)).numpy() - image).max() <= 1.001 / 255


def test_picked_slices_are_spread_over_the_depth():
    chosen = pick_slices(50, 25, np.random.default_rng(0))
    assert (chosen // 2 == np.arange(25)).all()
    assert (
        len(set(map(tuple, (pick_slices(50, 25, np.random.default_rng(i)) for i in range(9))))) == 9
    )
    assert (pick_slices(50, None, np.random.default_rng(0)) == np.arange(50)).all()
    assert (pick_slices(25, 25, np.random.default_rng(0)) == np.arange(25)).all()


def test_more_slices_than_there_are_come_with_repeats():
    chosen = pick_slices(23, 25, np.random.default_rng(0))
    assert chosen.shape == (25,) and (np.diff(chosen) >= 0).all()
    assert set(chosen.tolist()) == set(range(23))


@pytest.mark.parametrize("label", ["cysts", "", -1, 256, 1.5, None])
def test_labels_that_are_none_are_told(label):
    with pytest.raises(TrainingError, match=r"emphasis label .*accepted are"):
        label_values(["cyst", label])


def test_emphasis_weighs_the_named_labels():
    weights = label_emphasis(torch.tensor([[0, 34], [5, 36]]), ["cyst", 36], 3.0)
    assert weights.tolist() == [[1, 4], [1, 4]]


def test_slice_cache_holds_what_the_transforms_give(slices, items):
    from xr2mri_core.transforms import mri_transforms

    truth = mri_transforms(size=64)(dict(items[4]))
    arrays = slices.arrays
    assert arrays["slices"].shape == (5, 6, 64, 64)
    index = np.rint(arrays["depths"][4] * (len(truth["mri"]) - 1)).astype(int)
    assert np.array_equal(arrays["slices"][4], to_bytes(np.asarray(truth["mri"])[index, 0]))
    assert np.array_equal(arrays["labels"][4], np.asarray(truth["labels"])[index, 0])
    assert set(np.unique(arrays["labels"])) == {0, 34}
    assert slices.features(GUIDANCE.encode)[2].sum() == 1


def test_slice_cache_is_found_again_and_not_when_a_file_changed(items, tmp_path, monkeypatch):
    first = training.SliceCache.build(items[:2], tmp_path, 2, size=64, processes=1)
    monkeypatch.setattr(cache_module, "_prepare_case", None)
    assert training.SliceCache.build(items[:2], tmp_path, 2, size=64).folder == first.folder
    folder = Path(items[0]["mri"]).parent
    spelled = [
        {**one, "mri": f"{folder}/../{folder.name}/{Path(one['mri']).name}"} for one in items
    ]
    assert training.SliceCache.build(spelled[:2], tmp_path, 2, size=64).folder == first.folder
    with pytest.raises(TypeError):  # other settings, another cache: it has to prepare
        training.SliceCache.build(items[:2], tmp_path, 3, size=64, processes=1)
    Path(items[0]["mri"]).touch()
    with pytest.raises(TypeError):
        training.SliceCache.build(items[:2], tmp_path, 2, size=64, processes=1)


def test_slice_cache_goes_on_after_an_interruption(items, tmp_path, monkeypatch):
    whole = training.SliceCache.build(items, tmp_path / "whole", 2, size=64, processes=1)
    prepare, seen = cache_module._prepare_case, []

    def interrupted(item, index, *rest):
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(index)
        return prepare(item, index, *rest)

    monkeypatch.setattr(cache_module, "_prepare_case", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.SliceCache.build(items, tmp_path / "cut", 2, size=64, processes=1)
    assert {p.suffix for p in (tmp_path / "cut").iterdir()} == {".partial", ".lock"}
    again = []
    monkeypatch.setattr(
        cache_module, "_prepare_case", lambda i, k, *r: again.append(k) or prepare(i, k, *r)
    )
    cut = training.SliceCache.build(items, tmp_path / "cut", 2, size=64, processes=1)
    assert again == [0, 3, 4]  # case 0 for its shapes, then what was missing
    assert np.array_equal(cut.arrays["slices"], whole.arrays["slices"])


def test_trainings_that_prepare_the_same_wait_for_the_first(items, tmp_path, monkeypatch):
    prepare, begun, waits = cache_module._prepare_case, threading.Event(), threading.Event()

    def slowly(*arguments):
        begun.set()
        assert waits.wait(60)
        return prepare(*arguments)

    def build():
        return training.SliceCache.build(items[:2], tmp_path, 2, size=64, processes=1)

    monkeypatch.setattr(cache_module, "_prepare_case", slowly)
    monkeypatch.setattr(
        cache_module.logger, "warning", lambda text, *_: waits.set() if "waiting" in text else None
    )
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(build)
        assert begun.wait(60)
        second = pool.submit(build)
        folders = {first.result(60).folder, second.result(60).folder}
    assert len(folders) == 1 and waits.is_set()


@pytest.fixture
def uneven(items):
    """The first two patients, as of a sequence whose windows have 26 and 23 slices."""
    return [{**items[0], "window": (20, 46)}, {**items[1], "window": (20, 43)}]


def test_windows_of_differing_length_share_a_cache(uneven, tmp_path):
    made = training.SliceCache.build(uneven, tmp_path, 25, size=64, processes=1)
    depths = made.arrays["depths"]
    assert depths.shape == (2, 25) and made.arrays["slices"].shape == (2, 25, 64, 64)
    assert (np.diff(depths, axis=1) >= 0).all()
    for row, count in zip(depths, (26, 23), strict=True):
        assert np.isin(row, np.linspace(0, 1, count).astype(np.float32)).all()


def test_all_slices_of_differing_windows_are_refused(uneven, tmp_path):
    with pytest.raises(DatalistError, match=r"'case-1' has 23 slices.*26.*cached_slices"):
        training.SliceCache.build(uneven, tmp_path, None, size=64, processes=1)


class Pair:
    """A detector that finds both knees of a film of 400 x 560 pixels."""

    def locate(self, picture, spacing_mm=None):
        found = [((140, left, 260, left + 120), 0.9) for left in (80, 360)]
        return decide(found, np.asarray(picture), spacing_mm)


@pytest.mark.parametrize("side", ["R", "L"])
def test_a_film_is_cropped_and_warned_of_as_in_generation(
    items, side, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(KneeDetector, "shipped", Pair)
    film = tmp_path / "film.png"
    pixels = np.random.default_rng(0).integers(0, 255, (400, 560), np.uint8)
    Image.fromarray(pixels).save(film)
    item = {**items[0], "radiograph": str(film), "laterality": side}
    made = training.SliceCache.build([item], tmp_path, 2, size=64, processes=1)
    read = prepare_radiograph(film, 64, side)
    assert read.info["localization"]["kind"] == "bilateral"
    assert np.array_equal(made.arrays["radiographs"][0], to_bytes(read.picture.numpy()[0, 0]))
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    spacing = "pixel spacing unknown: taken as 0.89 mm a pixel (± 12%)"
    average = "as if the knee were of average size"
    case = "1 case(s), such as case-0: "
    # of noise nobody can tell whether it is a negative
    assert logged == [case + DOUBTED, f"{case}{spacing}, {average}"]


class One:
    """A detector that finds the knee on image right of a film of 400 x 560 pixels."""

    def locate(self, picture, spacing_mm=None):
        return decide([((140, 360, 260, 480), 0.9)], np.asarray(picture), spacing_mm)


def test_another_reading_of_a_radiograph_makes_another_version_of_caches(monkeypatch):
    monkeypatch.setattr(KneeDetector, "shipped", One)
    pixels = np.random.default_rng(0).integers(0, 255, (400, 560), np.uint8)
    chain = radiograph_transforms(64, locate=LocateKneed("radiograph"))
    infos = [chain({"radiograph": pixels, **more})["radiograph_info"] for more in (
        {}, {"laterality": "R"}, {"box": (100, 320, 300, 440)})]  # fmt: skip
    read = [(info["laterality"], info["box"]) for info in infos]
    # whoever changes what is read raises the version: what earlier caches hold is another thing
    assert (cache_module.SLICES_VERSION, read) == (
        3, [("L", (103, 342, 259, 498)), ("R", (103, 62, 259, 218)), ("L", (100, 280, 300, 480))]
    )  # fmt: skip


@pytest.mark.parametrize("name", ["phantom_right_KL4", "phantom_left_KL0"])
def test_a_knee_sized_radiograph_is_kept_as_without_a_detector(items, name, tmp_path):
    item = {**items[0], "radiograph": str(PHANTOMS / f"{name}.nrrd"), "laterality": "R"}
    made = training.SliceCache.build([item], tmp_path, 1, size=256, processes=1)
    plain = radiograph_transforms(256)({"radiograph": item["radiograph"], "laterality": "R"})
    assert np.array_equal(made.arrays["radiographs"][0], to_bytes(plain["radiograph"][0]))


def test_a_few_lines_tell_all_warnings(caplog):
    warned = {f"warning {kind}": list(range(kind, 20)) for kind in range(9)}
    cache_module._log_warnings(warned, [{"case": f"case-{k}"} for k in range(20)])
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "20 case(s), such as case-0: warning 0"
    assert len(lines) == 6 and lines[-1] == "4 more kinds of warnings"


def test_latents_are_scaled_means_and_belong_to_their_autoencoder(slices, latents, tmp_path):
    autoencoder = tiny("autoencoder").eval()
    autoencoder.register_to_config(scaling_factor=2.0)
    doubled = training.LatentCache.build(slices, autoencoder, tmp_path)
    assert doubled.fingerprint != latents.fingerprint
    assert "weights" not in doubled.arrays
    image = from_bytes(slices.arrays["slices"][1]).unsqueeze(1)
    with torch.no_grad():
        z = autoencoder.encode(image).latent_dist.mode() * 2
    assert torch.allclose(torch.from_numpy(doubled.arrays["latents"][1]).float(), z, atol=2e-3)
    with torch.no_grad():
        autoencoder.encoder[1].bias += 1
    other = training.LatentCache.build(slices, autoencoder, tmp_path)
    assert other.folder != doubled.folder


def test_latent_cells_with_an_emphasised_pixel_weigh_more(latents, slices):
    weights, labels = latents.arrays["weights"], slices.arrays["labels"]
    assert weights.shape == (5, 6, 4, 4)
    held = (labels == 34).reshape(5, 6, 4, 16, 4, 16).any((3, 5))
    assert held.any() and np.array_equal(weights, np.where(held, 4, 1))


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_is_a_function_of_seed_rank_and_step(latents):
    def batch(step, **change):
        return training.CaseBatches(latents, 3, 4, GUIDANCE.encode, **{"seed": 1, **change})[step]

    one, same = batch(7), batch(7)
    assert all(torch.equal(one[k], same[k]) for k in one if k != "seed")
    assert one["seed"] == same["seed"]
    for other in (batch(8), batch(7, seed=2), batch(7, rank=1)):
        assert not torch.equal(one["latent"], other["latent"])


def test_case_batches_group_slices_by_case(latents):
    batch = training.CaseBatches(latents, 3, 4, GUIDANCE.encode, images=True)[0]
    assert batch["radiograph"].shape == (3, 1, 64, 64) and batch["features"].shape == (3, 65)
    assert batch["latent"].shape == (12, 4, 4, 4) and batch["weight"].shape == (12, 1, 4, 4)
    cases = [
        int(np.argmax([(r == row).all() for r in latents.slices.arrays["radiographs"]]))
        for row in to_bytes(batch["radiograph"][:, 0].numpy())
    ]
    assert len(set(cases)) == 3
    depths = batch["depth"].reshape(3, 4)
    for case, row, images in zip(cases, depths, batch["image"].reshape(3, 4, 64, 64), strict=True):
        known = latents.arrays["depths"][case]
        assert len(set(row.tolist())) == 4 and np.isin(row, known).all()
        first = int(np.flatnonzero(known == row[0].item())[0])
        assert torch.equal(images[0], from_bytes(latents.slices.arrays["slices"][case, first]))


def test_augmentation_changes_the_radiographs_alone_and_by_seed_and_step(latents):
    augment = radiograph_augmentation(64)

    def batch(step, augmentation=augment):
        return training.CaseBatches(
            latents, 3, 4, GUIDANCE.encode, seed=1, augmentation=augmentation
        )[step]

    plain, one, same = batch(7, None), batch(7), batch(7)
    assert torch.equal(one["radiograph"], same["radiograph"])
    assert not torch.equal(one["radiograph"], plain["radiograph"])
    assert one["radiograph"].shape == plain["radiograph"].shape
    assert all(torch.equal(one[k], plain[k]) for k in ("latent", "features", "depth"))
    assert one["seed"] == plain["seed"]


def test_rare_grades_are_drawn_more_often():
    grades = [{"V00XRKL": 0}] * 9 + [{"V00XRKL": 4}]
    assert np.allclose(case_weights(grades, 0), 0.1)
    assert np.isclose(case_weights(grades, 1)[-1], 0.5)
    assert 0.1 < case_weights(grades, 0.5)[-1] < 0.5
    assert np.allclose(case_weights([{}, {}], 1), 0.5)


# --- schedule and average -------------------------------------------------------------------------


def one_weight():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)


def test_rate_rises_stays_and_falls():
    schedule = training.Schedule(one_weight(), steps=1000, warmup=100, decay=0.2)
    factors = [schedule.factor(step) for step in range(1000)]
    assert factors[0] == 0.01 and factors[99] == factors[500] == factors[800] == 1
    assert math.isclose(factors[900], 0.5) and factors[999] < 1e-4
    assert training.Schedule(one_weight(), 1000).factor(999) == 1


def test_rate_follows_the_clock_when_time_is_limited():
    schedule = training.Schedule(one_weight(), 10**9, warmup=1, decay=0.5, max_minutes=10)
    schedule.load_state_dict({"elapsed": 450.0})
    assert math.isclose(schedule.factor(100), 0.5)
    with pytest.raises(TrainingError, match="decay"):
        training.Schedule(one_weight(), 10, decay=2)


def test_ema_follows_trained_weights_and_lends_them():
    class Engine:
        state = type("State", (), {"iteration": 1000})

    net = torch.nn.Linear(2, 1)
    net.bias.requires_grad_(False)
    ema = training.EMA(net, 0.9)
    assert list(ema.state_dict()) == ["weight"]
    start = net.weight.detach().clone()
    with torch.no_grad():
        net.weight += 1
    ema(Engine)
    assert torch.allclose(ema.state_dict()["weight"], start + 0.1)
    live = net.weight.detach().clone()
    with ema.applied():
        assert torch.allclose(net.weight, start + 0.1)
    assert torch.equal(net.weight, live)


# --- stages ---------------------------------------------------------------------------------------


def autoencoder_stage():
    return training.AutoencoderStage(tiny("autoencoder"))


def diffusion_stage(**settings):
    model, scheduler = tiny("model", "scheduler")
    return training.DiffusionStage(model, scheduler, **settings)


def training_of(stage, batches, folder, steps, until=None, **settings):
    """A trainer with all handlers that ends at `until`; the schedule knows `steps`."""
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad], 2e-3)
    ema, loader = training.EMA(stage, 0.9), training.training_loader(batches)
    minutes = settings.pop("max_minutes", None)
    schedule = training.Schedule(optimizer, steps, warmup=3, decay=0.3, max_minutes=minutes)
    board = SummaryWriter(str(folder / "tensorboard"))
    evaluator = training.StageEvaluator(
        CPU,
        training.validation_loader(batches, 2),
        stage,
        ema,
        val_handlers=[training.ValidationLog(board, schedule)],
    )
    objects = {
        "model": training.TrainedState(stage),
        "ema": ema,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    attached = [
        schedule,
        ema,
        training.Log(board, optimizer, every=5),
        ValidationHandler(1, evaluator),
        training.Pictures(stage, lambda: batches[0], ema, board, folder / "samples"),
        training.Checkpoints(folder, objects, loader.sampler),
    ]
    trainer = training.StageTrainer(
        CPU, until or steps, 5, loader, stage, optimizer, train_handlers=attached, **settings
    )
    return trainer, ema, evaluator


STAGES = {
    "autoencoder": lambda s, z: (autoencoder_stage(), training.SliceBatches(s, 4, 0, [34], 1.0)),
    "diffusion": lambda s, z: (diffusion_stage(), training.CaseBatches(z, 3, 4, GUIDANCE.encode)),
}


@pytest.mark.parametrize("name", STAGES)
def test_training_learns_and_resumes_exactly(name, slices, latents, tmp_path):
    whole, batches = STAGES[name](slices, latents)
    trainer, ema, evaluator = training_of(whole, batches, tmp_path / "whole", 17)
    evaluator.run()
    before = evaluator.state.metrics["val_loss"]
    trainer.run()
    assert trainer.state.iteration == 17
    assert evaluator.state.metrics["val_loss"] < before
    assert len(list((tmp_path / "whole" / "samples").glob("*.png"))) == 4

    cut, _ = STAGES[name](slices, latents)
    training_of(cut, batches, tmp_path / "cut", 17, until=10)[0].run()
    resumed, _ = STAGES[name](slices, latents)
    torch.manual_seed(99)  # whatever the new process has drawn
    again, resumed_ema, _ = training_of(resumed, batches, tmp_path / "cut", 17)
    again.run()
    assert again.state.iteration == 17
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    for key, value in ema.state_dict().items():
        assert torch.equal(value, resumed_ema.state_dict()[key])


def test_a_finished_training_does_no_more(slices, tmp_path, caplog):
    """17 steps are no multiple of the epoch's 5."""
    batches = training.SliceBatches(slices, 2)
    first = autoencoder_stage()
    training_of(first, batches, tmp_path, 17)[0].run()
    checkpoint = (tmp_path / "checkpoint.pt").read_bytes()
    again = autoencoder_stage()
    with torch.no_grad():
        again.autoencoder.encoder[1].bias += 1
    with caplog.at_level("INFO", "xr2mri"):
        trainer, _, evaluator = training_of(again, batches, tmp_path, 17)
        progress = training.ProgressFile(tmp_path / "p.json", SimpleNamespace(), evaluator)
        progress.path.write_text("written by the run before")
        progress.attach(trainer)
        trainer.run()
    assert trainer.state.iteration == 17 and "finished at step 17" in caplog.text
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (tmp_path / "checkpoint.pt").read_bytes() == checkpoint
    assert progress.path.read_text() == "written by the run before"
    more = autoencoder_stage()
    longer, _, _ = training_of(more, batches, tmp_path, 19)
    longer.run()
    assert longer.state.iteration == 19


def test_training_ends_by_the_clock(slices, tmp_path, monkeypatch):
    running = []  # a step takes 0.05 seconds, whatever this machine takes

    def clock():
        return 0.055 * running[0].state.iteration if running else 0.0

    monkeypatch.setattr(handlers, "time", SimpleNamespace(monotonic=clock))
    batches = training.SliceBatches(slices, 2)
    trainer, _, _ = training_of(autoencoder_stage(), batches, tmp_path, 10**6, max_minutes=1 / 60)
    running.append(trainer)
    trainer.run()
    assert 15 < trainer.state.iteration <= 20
    assert trainer.optimizer.param_groups[0]["lr"] < 2e-3 / 10
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["trainer"]["iteration"] == trainer.state.iteration
    assert state["schedule"]["elapsed"] >= 1


def test_a_failing_picture_does_not_end_the_training(slices, tmp_path, caplog):
    stage, batches = autoencoder_stage(), training.SliceBatches(slices, 2)
    stage.picture = lambda batch: 1 / 0
    trainer, _, _ = training_of(stage, batches, tmp_path, 5)
    trainer.run()
    assert "no sample picture at step 5" in caplog.text


@pytest.mark.parametrize("name", STAGES)
def test_mixed_precision_on_the_processor(name, slices, latents, tmp_path):
    stage, batches = STAGES[name](slices, latents)
    trainer, _, _ = training_of(stage, batches, tmp_path, 5, precision="bf16")
    trainer.run()
    assert all(torch.isfinite(p).all() and p.dtype == torch.float32 for p in stage.parameters())
    with pytest.raises(TrainingError, match="precision"):
        training_of(stage, batches, tmp_path, 5, precision="int4")


def test_autoencoder_is_saved_with_a_measured_scale(slices, tmp_path):
    stage = autoencoder_stage()
    batches = [training.SliceBatches(slices, 8)[i] for i in range(3)]
    training.finish_autoencoder(stage, training.EMA(stage), batches, tmp_path / "ae")
    loaded = training.load_autoencoder(tiny("autoencoder"), tmp_path / "ae")
    with torch.no_grad():
        z = torch.cat([loaded.encode(b["image"]).latent_dist.mode() for b in batches])
    assert math.isclose(float(z.std()) * loaded.config.scaling_factor, 1, rel_tol=1e-3)
    assert not any(p.requires_grad for p in loaded.parameters())
    training.finish_autoencoder(stage, training.EMA(stage), [], tmp_path / "paper", 0.2)
    assert json.loads((tmp_path / "paper" / "config.json").read_text())["scaling_factor"] == 0.2
    with pytest.raises(WeightsError, match="run the autoencoder stage"):
        training.load_autoencoder(tiny("autoencoder"), tmp_path / "nowhere")


def test_slabs_of_a_cache_that_lacks_slices_are_refused_by_the_option_that_mends_it(latents):
    with pytest.raises(TrainingError, match="every slice") as told:
        training.CaseBatches(latents, 3, 4, GUIDANCE.encode, slabs=True)
    assert told.value.option == "cached_slices '$None'"


def test_radiographs_are_encoded_once_a_case(latents):
    stage, seen = diffusion_stage(), []
    encode = stage.model.encode_radiograph
    stage.model.encode_radiograph = lambda x: seen.append(len(x)) or encode(x)
    stage(training.CaseBatches(latents, 3, 4, GUIDANCE.encode)[0])["loss"].backward()
    assert seen == [3]
    assert all(p.grad is None for p in stage.model.autoencoder.parameters())
    assert any(p.grad.abs().sum() > 0 for p in stage.model.image_encoder.parameters())


def test_conditions_are_dropped_as_often_as_asked():
    stage = diffusion_stage(drop_variable=0.25, drop_features=0.5, drop_radiograph=0.125)
    count, columns = 4000, 65
    from xr2mri_core.networks import RadiographCode
    from xr2mri_core.training.conditions import encoded, features_of

    batch = {
        "radiograph": torch.ones(count, 1, 2, 2),
        "features": torch.ones(count, columns),
        "depth": torch.ones(count),
    }
    kept = stage.draw_kept(batch, torch.Generator().manual_seed(0))
    code = encoded(lambda y: RadiographCode(y, torch.ones(count, 3)), batch, kept)
    features = features_of(batch, kept)
    assert torch.equal(code.latent[:, 0, 0, 0], code.embedding[:, 0])
    assert abs(code.embedding.mean() - 0.875) < 0.02
    whole = (features == 0).all(1).float().mean()
    assert abs(whole - 0.5) < 0.03
    for part in one_hot_slices("oai").values():
        block = features[:, part]
        assert ((block == 0).all(1) | (block == 1).all(1)).all()
        assert abs(block.mean() - 0.375) < 0.03


def test_timesteps_lean_to_the_noisy_half():
    stage = diffusion_stage(noisy_share=0.5)
    t = stage._random_timesteps(8000, torch.Generator().manual_seed(0))
    assert t.min() >= 0 and t.max() <= 999
    assert abs((t >= 500).float().mean() - 0.75) < 0.02


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_gives_back_the_latent(kind):
    stage = diffusion_stage()
    stage.scheduler.register_to_config(prediction_type=kind)
    z_0, epsilon = torch.randn(2, 6, 4, 4, 4, dtype=torch.float64)
    t = torch.tensor([0, 10, 100, 400, 700, 900])
    z_t = stage.scheduler.add_noise(z_0, epsilon, t)
    target = stage._target(z_0, epsilon, t)
    assert torch.allclose(clean_latent(stage.scheduler, z_t, target, t), z_0, atol=1e-6)
    stage.scheduler.register_to_config(prediction_type="sample")
    with pytest.raises(TrainingError, match="prediction_type"):
        stage._target(z_0, epsilon, t)


def test_reconstruction_loss_reaches_the_denoiser(latents):
    stage = diffusion_stage(reconstruction=1.0)
    losses = stage(training.CaseBatches(latents, 2, 2, GUIDANCE.encode, images=True)[0])
    assert losses["reconstruction"] > 0 and losses["loss"] > losses["plain"]
    losses["reconstruction"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in stage.model.unet.parameters())


def test_exported_weights_are_the_averaged_ones(latents, small_datalist, tmp_path):
    stage = diffusion_stage()
    ema = training.EMA(stage)
    name = next(iter(ema.state_dict()))
    ema.state_dict()[name].fill_(0.5)
    record = training.training_record(small_datalist, seed=1, steps=3)
    training.export_model(stage.model, ema, tmp_path / "m.safetensors", True, record)
    other = tiny("model")
    other.load_weights(tmp_path / "m.safetensors")
    assert (dict(other.named_parameters())[name.removeprefix("model.")] == 0.5).all()
    card = json.loads((tmp_path / "model_card.json").read_text())
    assert card["data"] == {
        "name": "small", "description": "", "synthetic": True,
        "training": 2, "validation": 1, "test": 2,
    }  # fmt: skip
    assert card["seed"] == 1 and card["steps"] == 3 and card["hardware"] and card["command"]


def test_a_record_quotes_whatever_datalist_can_be_trained_on(small_datalist, tmp_path):
    """After hours of training it is too late to stumble over a mark or half a character."""
    content = json.loads(small_datalist.read_text())
    text = json.dumps({**content, "description": "Knie von Ärztinnen \ud83d"})
    datalist = tmp_path / "datalist.json"
    datalist.write_text("\ufeff" + text, encoding="utf-8")
    record = training.training_record(datalist, seed=1)
    training.write_record(tmp_path / "record.json", record)
    told = json.loads((tmp_path / "record.json").read_text("utf-8"))
    assert told["data"]["description"].startswith("Knie von Ärztinnen")


def test_a_record_is_written_where_the_cores_are_not_told(small_datalist, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert "(7 cores)" in training.training_record(small_datalist, seed=1)["hardware"]


def test_one_step_turns_a_radiograph_into_a_slice():
    model, scheduler = tiny("model", "scheduler")
    slice_ = training.OneStep(model, scheduler)(torch.rand(2, 1, 64, 64))
    assert slice_.shape == (2, 1, 64, 64) and torch.isfinite(slice_).all()


def test_batches_move_to_a_device():
    moved = to_device({"x": torch.zeros(1), "seed": 3}, CPU)
    assert moved["seed"] == 3 and moved["x"].device == CPU


def test_slices_are_prepared_where_the_file_system_has_no_locks(
    items, tmp_path, monkeypatch, caplog
):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    caplog.set_level(logging.INFO)
    made = training.SliceCache.build(items[:1], tmp_path, 2, size=64, processes=1)
    assert len(made) == 1 and "no lock" in caplog.text


def test_a_volume_of_another_depth_than_generation_states_is_warned_of(items, tmp_path, caplog):
    item = {**items[0], "window": [4, 30]}
    training.SliceCache.build([item], tmp_path, 2, size=64, processes=1)
    assert "span another depth than 73.5 mm" in caplog.text
