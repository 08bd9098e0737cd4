"""What a training survives, and what it refuses to begin: bad batches, files, options, weights."""

from __future__ import annotations

import io
import json
import logging
import math
import runpy
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser, run
from monai.handlers import ValidationHandler
from test_bundle import config_files
from torch import nn
from torch.utils.data import Dataset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from xr2mri_core import training
from xr2mri_core.bundle import configured
from xr2mri_core.bundle_command import check_complete, check_options
from xr2mri_core.errors import InputError, TrainingError, WeightsError
from xr2mri_core.training import handlers, progress

CPU = torch.device("cpu")
CONFIGS = Path(__file__).resolve().parents[1] / "monai_app" / "model" / "knee_xr2mri" / "configs"
NAN, INF = math.nan, math.inf


class Numbers(Dataset):
    """Batches of one number a step; those of `bad` steps are replaced."""

    def __init__(self, bad: dict[int, float] | None = None) -> None:
        self.bad = bad or {}

    def __getitem__(self, step: int) -> dict:
        batch = torch.randn(4, 2, generator=torch.Generator().manual_seed(step))
        return {"x": batch.fill_(self.bad[step]) if step in self.bad else batch, "seed": step}


class Fit(nn.Module):
    """Learns 2 x + 1 behind a batch norm, whose running statistics are no parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.line = nn.BatchNorm1d(2), nn.Linear(2, 2)

    def forward(self, batch):
        error = self.line(self.norm(batch["x"])) - 2 * batch["x"] - 1
        return {"loss": error.square().mean()}

    validate = forward


def fit(folder, steps, bad=None, validation=None, resume=True, epoch=5, **settings):
    """A trainer of `Fit` in epochs of five steps, with its handlers."""
    stage = Fit()
    optimizer = torch.optim.AdamW(stage.parameters(), 0.1)
    ema, loader = training.EMA(stage, 0.5), training.training_loader(Numbers(bad))
    schedule = training.Schedule(optimizer, steps, warmup=1)
    board = SummaryWriter(str(folder / "board"))
    evaluator = training.StageEvaluator(
        CPU, training.validation_loader(validation or Numbers(), 2), stage, ema
    )
    objects = {"model": stage, "ema": ema, "optimizer": optimizer, "schedule": schedule}
    attached = [
        schedule,
        ema,
        training.Log(board, optimizer, every=5, schedule=schedule),
        training.ProgressBar(schedule),
        training.Checkpoints(folder, objects, loader.sampler, resume, evaluator),
        ValidationHandler(1, evaluator),
        training.ProgressFile(folder / "progress.json", schedule, evaluator, every=1),
    ]
    trainer = training.StageTrainer(
        CPU, steps, epoch, loader, stage, optimizer, train_handlers=attached, **settings
    )
    return trainer, stage, ema


def finite(state) -> bool:
    from xr2mri_core.training.checkpoints import tensors

    return all(bool(torch.isfinite(value).all()) for _, value in tensors(state))


# --- gradients that are not finite ----------------------------------------------------------------


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e30])
@pytest.mark.parametrize("clip_norm", [1.0, 0.0])
def test_a_bad_batch_costs_a_step_and_nothing_else(value, clip_norm, tmp_path, caplog):
    trainer, stage, ema = fit(tmp_path, 10, {2: value, 6: value}, clip_norm=clip_norm)
    trainer.run()
    assert trainer.state.iteration == 10 and trainer.skipped_steps == 2
    assert finite(stage.state_dict()) and finite(ema.state_dict())
    assert stage.norm.num_batches_tracked == 8
    assert finite(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    assert caplog.text.count("is skipped: its gradient is not finite") == 2
    assert json.loads((tmp_path / "progress.json").read_text())["skipped_steps"] == 2


def test_a_skipped_step_leaves_weights_averages_and_optimizer_as_they_were(tmp_path):
    short, one, _ = fit(tmp_path / "a", 5)
    short.run()
    longer, other, _ = fit(tmp_path / "b", 6, {5: NAN})
    longer.run()
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    states = [t.optimizer.state_dict()["state"] for t in (short, longer)]
    for a, b in zip(states[0].values(), states[1].values(), strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_bad_batches_in_a_row_end_the_training_and_the_checkpoint_stays_whole(tmp_path):
    trainer, _, _ = fit(tmp_path, 20, dict.fromkeys(range(7, 20), NAN), patience=4)
    with pytest.raises(TrainingError, match=r"step 11: .* 4 steps in a row .* those of step 7"):
        trainer.run()
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["trainer"]["iteration"] in (5, 10) and finite(saved)


def test_single_bad_batches_never_end_it(tmp_path):
    trainer, stage, _ = fit(tmp_path, 20, dict.fromkeys(range(0, 20, 2), NAN), patience=2)
    trainer.run()
    assert trainer.skipped_steps == 10 and finite(stage.state_dict())


def test_the_count_of_skipped_steps_goes_on_after_a_resume(tmp_path):
    fit(tmp_path, 5, {2: NAN})[0].run()
    again, _, _ = fit(tmp_path, 10, {7: NAN})
    again.run()
    assert again.skipped_steps == 2


def test_checkpoints_of_before_the_count_are_read(tmp_path):
    fit(tmp_path, 5)[0].run()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["trainer"]["skipped_steps"]
    torch.save(state, tmp_path / "checkpoint.pt")
    again, _, _ = fit(tmp_path, 10)
    again.run()
    assert again.state.iteration == 10 and again.skipped_steps == 0


@pytest.mark.parametrize(
    ("done", "before", "asked", "now"),
    [(20, 5, 40, 10), (10, 5, 40, 20), (20, 10, 40, 5), (15, 5, 38, 20), (17, 5, 30, 4)],
)
def test_a_training_goes_on_to_its_end_in_epochs_of_another_length(
    done, before, asked, now, tmp_path
):
    fit(tmp_path / "cut", done, epoch=before)[0].run()
    trainer, _, _ = fit(tmp_path / "cut", asked, epoch=now)
    trainer.run()
    assert trainer.state.iteration == asked and trainer.state.epoch_length == now
    saved = torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)
    assert saved["trainer"]["iteration"] == asked


def test_a_training_that_has_done_more_than_is_asked_for_is_finished(tmp_path):
    _, stage, _ = done = fit(tmp_path, 20)
    done[0].run()
    trainer, again, _ = fit(tmp_path, 10)
    trainer.run()
    assert trainer.state.iteration == 20
    assert torch.equal(again.line.weight, stage.line.weight)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 5, "epoch": 0}])
def test_no_steps_are_refused_by_the_option_s_name(wrong, tmp_path):
    with pytest.raises(TrainingError, match="at least 1") as refused:
        fit(tmp_path, **wrong)
    assert refused.value.option == ("steps" if wrong["steps"] == 0 else "epoch_length")


def test_progress_is_json_where_a_loss_is_none(tmp_path):
    trainer, _, _ = fit(tmp_path, 5, {4: NAN}, Numbers({0: NAN}))
    trainer.run()
    progress = json.loads((tmp_path / "progress.json").read_text(), parse_constant=pytest.fail)
    assert progress["losses"]["loss"] is None and progress["validation"]["val_loss"] is None


# --- checkpoints ----------------------------------------------------------------------------------


def steps_of(folder) -> dict[str, int]:
    return {
        which: torch.load(folder / name, weights_only=True)["trainer"]["iteration"]
        for which, name in training.Checkpoints.FILES.items()
    }


def test_the_last_two_and_the_best_are_kept(tmp_path):
    trainer, _, _ = fit(tmp_path, 20)
    losses = iter([3.0, 1.0, 2.0, 4.0])
    trainer.network.validate = lambda batch: {"loss": torch.tensor(values[-1])}
    values: list[float] = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: values.append(next(losses)))
    trainer.run()
    assert steps_of(tmp_path) == {"last": 20, "previous": 15, "best": 10}
    record = json.loads((tmp_path / "checkpoint-best.json").read_text())
    assert record == {"step": 10, "metric": "val_loss", "value": 1.0}
    assert all(
        (tmp_path / n).stat().st_mode & 0o777 == 0o644 for n in training.Checkpoints.FILES.values()
    )

    again, _, _ = fit(tmp_path, 25)
    again.network.validate = lambda batch: {"loss": torch.tensor(1.5)}
    again.run()
    assert steps_of(tmp_path) == {"last": 25, "previous": 20, "best": 10}
    anew, _, _ = fit(tmp_path, 5, resume=False)
    anew.network.validate = lambda batch: {"loss": torch.tensor(1.5)}
    anew.run()
    assert steps_of(tmp_path)["best"] == 5


def test_a_validation_that_is_not_a_number_is_never_the_best(tmp_path):
    fit(tmp_path, 5, validation=Numbers({0: NAN}))[0].run()
    assert not (tmp_path / "checkpoint-best.pt").exists()


def test_weights_that_are_not_finite_are_never_written(tmp_path, caplog):
    trainer, stage, _ = fit(tmp_path, 5)
    trainer.run()
    good = (tmp_path / "checkpoint.pt").read_bytes()
    again, stage, _ = fit(tmp_path, 10)
    with_nan = Events.ITERATION_COMPLETED(once=9)
    again.add_event_handler(with_nan, lambda: stage.line.bias.data.fill_(NAN))
    again.run()
    assert (tmp_path / "checkpoint.pt").read_bytes() == good
    assert "no checkpoint is written" in caplog.text and "line.bias" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut short", b"\0" * 4096])
def test_a_damaged_last_checkpoint_costs_an_epoch(damage, tmp_path, caplog):
    whole, stage, _ = fit(tmp_path / "whole", 15)
    whole.run()
    fit(tmp_path / "cut", 10)[0].run()
    (tmp_path / "cut" / "checkpoint.pt").write_bytes(damage)
    with caplog.at_level(logging.INFO, "xr2mri"):
        again, other, _ = fit(tmp_path / "cut", 15)
        again.run()
    assert "checkpoint.pt cannot be read" in caplog.text and "at step 5" in caplog.text
    for a, b in zip(stage.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    for name in ("checkpoint.pt", "checkpoint-previous.pt"):
        (tmp_path / "cut" / name).write_bytes(damage)
    with pytest.raises(WeightsError, match="nothing else to go on from"):
        fit(tmp_path / "cut", 20)


def test_a_named_checkpoint_is_loaded(tmp_path):
    trainer, _, _ = fit(tmp_path, 15)
    trainer.run()
    stage = Fit()
    assert training.Checkpoints.load(tmp_path, "previous", model=stage) == 10
    with pytest.raises(
        WeightsError, match="no checkpoint is called 'newest': last, previous, best"
    ):
        training.Checkpoints.load(tmp_path, "newest", model=stage)


def test_a_checkpoint_of_another_model_is_refused_in_a_sentence(tmp_path):
    fit(tmp_path, 5)[0].run()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["ema"]
    with pytest.raises(WeightsError, match="another model: ") as refused:
        training.EMA(nn.Linear(1, 1)).load_state_dict(state)
    assert refused.value.option == "resume False"


# --- what is reported -----------------------------------------------------------------------------


class Clock:
    """A step takes 10 ms, whatever comes between steps a second each."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_speed_is_that_of_steps_also_right_after_a_resume(tmp_path, monkeypatch, caplog):
    clock = Clock()
    monkeypatch.setattr(handlers, "time", clock)

    def timed(steps):
        trainer, stage, _ = fit(tmp_path, steps)
        forward = stage.forward

        def slow(batch):
            clock.now += 0.01 if stage.training else 1.0
            return forward(batch)

        stage.forward, stage.validate = slow, slow
        return trainer

    with caplog.at_level(logging.INFO, "xr2mri"):
        timed(1000 * 5).state.max_epochs = 2
        first = timed(10)
        first.run()
        timed(20).run()
    logged = [r.getMessage() for r in caplog.records if r.getMessage().startswith("step ")]
    assert [line.split(",")[0] for line in logged] == [
        "step 5 of 10", "step 10 of 10", "step 15 of 20", "step 20 of 20"
    ]  # fmt: skip
    assert all(line.endswith("ms_per_step 10") for line in logged)


def test_the_end_and_the_time_left_follow_steps_or_the_clock():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    schedule = training.Schedule(optimizer, 1000)
    assert schedule.seconds_left(0) is None and handlers.standing(0, schedule) == "0 of 1000"
    schedule.load_state_dict({"elapsed": 50.0})
    assert schedule.seconds_left(100) == pytest.approx(450)
    assert handlers.standing(100, schedule) == "100 of 1000, 0:07:30 left"
    limited = training.Schedule(optimizer, 1000, max_minutes=2)
    limited.load_state_dict({"elapsed": 60.0})
    assert (limited.end(100), limited.seconds_left(100)) == (200, 60)
    assert handlers.standing(7, None) == "7"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar_with_the_steps_and_the_time_left(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    monkeypatch.setattr(progress, "tqdm", partial(tqdm, file=terminal, mininterval=0))
    trainer, _, _ = fit(tmp_path, 10)
    trainer.run()
    shown = terminal.getvalue()
    assert "step 10 of 10, 0:00:00 left" in shown and "100%" in shown


def test_no_bar_elsewhere(tmp_path, capsys):
    fit(tmp_path, 5)[0].run()
    shown = capsys.readouterr().err
    assert "%|" not in shown and "\r" not in shown


# --- options of the bundle's commands -------------------------------------------------------------


def parsed(stage: str, *overlays: str, **override) -> dict:
    parser = ConfigParser()
    names = [*(["training"] if stage.startswith("train_") else []), stage, *overlays]
    parser.read_config([str(CONFIGS / f"{name}.yaml") for name in names])
    parser.update(override)
    return parser.get()


STAGES = ["train_autoencoder", "train_diffusion", "train_detector", "inference", "evaluate"]
OVERLAYS = [
    (),
    ("compact",),
    ("compact", "volume", "train_regression"),
    ("paper", "volume", "multi_gpu"),
]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("overlays", OVERLAYS)
def test_the_bundle_s_own_configurations_have_no_unknown_key(stage, overlays):
    check_options(parsed(stage, *overlays), CONFIGS)


@pytest.mark.parametrize(
    ("stage", "name", "near"),
    [
        ("train_diffusion", "stesp", "steps"),
        ("train_diffusion", "outputdir", "output_dir"),
        ("train_diffusion", "config_flie", "config_file"),
        ("train_autoencoder", "learning_rate", "autoencoder_learning_rate"),
        ("train_autoencoder", "batch_size", "autoencoder_batch_size"),
        ("train_detector", "max_minuts", "max_minutes"),
        ("inference", "num_slice", "num_slices"),
        ("evaluate", "spacing_case", "spacing_cases"),
        ("train_diffusion", "augmentation#postioning", "augmentation#positioning"),
        ("train_diffusion", "stage_on_cpu#nosy_share", "stage_on_cpu#noisy_share"),
    ],
)
def test_a_misspelt_option_names_the_nearest(stage, name, near):
    with pytest.raises(InputError, match=f"--{name} is no option .* did you mean --{near}\\?"):
        check_options(parsed(stage, "compact", **{name: 5}), CONFIGS, [name])


@pytest.mark.parametrize("name", ["sampling#steps", "generation#steps", "unet", "image_size"])
def test_options_that_only_other_commands_read_are_refused(name):
    """The generator reads the bundle's files itself: these would change nothing."""
    with pytest.raises(InputError, match=f"--{name} is no option"):
        check_options(parsed("inference", "compact"), CONFIGS, [name])


@pytest.mark.parametrize(
    "name",
    ["steps", "run_id", "config_file", "augmentation#positioning", "stage_on_cpu#picture_steps",
     "augmentation", "optimizer#lr", "trainer#patience", "unet::layers_per_block"],
)  # fmt: skip
def test_options_that_exist_are_taken(name):
    check_options(parsed("train_diffusion", "compact"), CONFIGS, [name])


def test_a_misspelt_key_of_a_file_is_told_as_well(tmp_path):
    with pytest.raises(InputError, match=r"stesp is no option .* steps"):
        check_options(parsed("train_diffusion", "compact", stesp=5), CONFIGS)


def test_the_bundle_command_refuses_before_anything_else(monkeypatch, capsys):
    config = str([str(CONFIGS / f"{name}.yaml") for name in ("training", "train_autoencoder")])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["-m", "run", "--config_file", config, "--stesp", "5"])
    with pytest.raises(RuntimeError) as raised:
        runpy.run_module("monai.bundle.__main__", run_name="__main__", alter_sys=True)
    sys.excepthook(type(raised.value), raised.value, None)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: --stesp is no option") and said.endswith("did you mean --steps?")


def test_a_python_call_is_refused_as_well():
    with pytest.raises(RuntimeError) as raised:
        run(config_file=config_files("train_autoencoder"), stesp=5)
    assert "did you mean steps?" in str(raised.value.__cause__)


def test_a_configuration_that_is_not_named_is_told():
    """As of a command from before the trainings shared one."""
    files = config_files("train_diffusion", CONFIGS / "compact.yaml")[1:]
    with pytest.raises(RuntimeError) as raised:
        run(config_file=files, bundle_root=str(CONFIGS.parent))
    assert "name training.yaml too" in str(raised.value.__cause__)
    check_complete(parsed("train_diffusion", "compact"), CONFIGS)
    with pytest.raises(InputError, match=r"has autoencoder: name compact\.yaml or paper\.yaml too"):
        check_complete(parsed("train_autoencoder"), CONFIGS)


# --- nothing frozen is random ---------------------------------------------------------------------


@pytest.fixture
def paper_like():
    """The smallest model whose CLIP is frozen, as the paper's."""
    from test_training import tiny

    model = tiny("model")
    model.image_encoder.clip = nn.Linear(2, 2).requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("filled", "folder", "said"),
    [
        ([], None, "autoencoder .*autoencoder stage wrote.*initial weights"),
        ([], "ae", r"image_encoder\.clip .*weights import clip.*initial weights"),
        (["autoencoder", "unet"], None, r"image_encoder\.clip"),
        (["image_encoder.clip"], None, "autoencoder .*autoencoder stage"),
        (["autoencoder", "image_encoder.clip"], None, None),
        (["image_encoder.clip"], "ae", None),
    ],
)
def test_a_frozen_part_with_random_weights_is_refused(
    filled, folder, said, paper_like, monkeypatch
):
    monkeypatch.setattr("xr2mri_core.training.start.load_parts", lambda model, path: filled)
    start = SimpleNamespace(weights="file" if filled else None)
    if said is None:
        assert training.start_model(paper_like, start.weights, folder) == filled
        return
    with pytest.raises(WeightsError, match=f"^the {said}"):
        training.start_model(paper_like, start.weights, folder)


def test_a_validation_is_logged_at_the_step_of_a_training_that_the_clock_ends():
    written = []
    board = SimpleNamespace(add_scalar=lambda name, value, step: written.append((name, step)))
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1)
    schedule = training.Schedule(optimizer, 1000, max_minutes=1)
    log = training.ValidationLog(board, schedule)
    trainer = Engine(lambda engine, batch: None)
    schedule.attach(trainer)

    @trainer.on(Events.ITERATION_STARTED(once=132))
    def the_minute_is_over(engine):
        schedule.elapsed = 60

    @trainer.on(Events.EPOCH_COMPLETED)
    def validated(engine):
        log(SimpleNamespace(state=SimpleNamespace(epoch=engine.state.epoch, metrics={"loss": 1.0})))

    trainer.run(range(1000), max_epochs=2, epoch_length=500)
    assert written == [("validation/loss", 132)]


def test_slices_along_three_axes_have_no_pixels():
    with pytest.raises(TrainingError, match="no pixels") as refused:
        training.AxisBatches(None, None, "", images=True)
    assert refused.value.option == "reconstruction 0"


def test_a_model_without_clip_needs_its_autoencoder_alone(tiny_bundle):
    from test_training import tiny

    with pytest.raises(WeightsError, match="autoencoder stage") as refused:
        training.start_model(tiny("model"), None, None)
    assert refused.value.option == "autoencoder_dir"
    assert training.start_model(tiny("model"), None, "somewhere") == []
    weights = tiny_bundle / "models" / "knee_xr2mri.safetensors"
    assert "autoencoder" in training.start_model(tiny("model"), weights, None)


def test_a_regression_that_nothing_has_trained_is_refused():
    model = nn.Module()
    model.regression = nn.Linear(1, 1)
    model.regression.std = torch.ones(4, 1, 1)
    stage = SimpleNamespace(model=model)
    training.check_start(stage)  # is trained now
    model.regression.requires_grad_(False)
    with pytest.raises(WeightsError, match=r"train_regression\.yaml.*initial weights") as refused:
        training.check_start(stage)
    assert refused.value.option == "initial_weights"
    model.regression.std *= 0.9  # its residual was measured
    training.check_start(stage)
    model.regression = None
    training.check_start(stage)


def test_weights_without_a_regression_are_no_start_for_the_residual_of_one(tiny_bundle):
    parser = configured(tiny_bundle, ["compact", "volume"])
    model = parser.get_parsed_content("model")
    weights = tiny_bundle / "models" / "knee_xr2mri.safetensors"
    training.start_model(model, weights, None)  # the regression begins as the denoiser
    training.check_start(training.RegressionStage(model))
    stage = training.DiffusionStage(model, parser.get_parsed_content("scheduler"))
    with pytest.raises(WeightsError, match="train it first"):
        training.check_start(stage)
