"""What a training at the paper's size needs of the engine, and the benchmarks that measure it."""

from __future__ import annotations

import importlib
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from samples import TINY
from test_bundle import AUTOENCODER, BUNDLE, SHORT, config_files
from test_training_robustness import CONFIGS, Fit, Numbers, parsed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from xr2mri_core import training
from xr2mri_core.errors import TrainingError
from xr2mri_core.networks import CompactAutoencoder
from xr2mri_core.networks.pretrained import paper_model
from xr2mri_core.training.batches import parts_of

CPU = torch.device("cpu")
BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


# --- a batch in parts -----------------------------------------------------------------------------


def test_a_batch_is_cut_by_cases():
    batch = {
        "radiograph": torch.arange(4), "latent": torch.arange(8), "slab": 2, "seed": 7,
    }  # fmt: skip
    parts = parts_of(batch, 2)
    assert [part["radiograph"].tolist() for part in parts] == [[0, 1], [2, 3]]
    assert [part["latent"].tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [(part["slab"], part["seed"]) for part in parts] == [(2, 7), (2, 8)]
    assert parts_of(batch, 1)[0] is batch
    for count in (0, 3, 8):
        with pytest.raises(TrainingError, match=f"accumulation {count}: .* divide the 4 cases"):
            parts_of(batch, count)


class Line(Fit):
    """Without running statistics, which parts would update more often."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.Identity()


def trained(accumulation: int, network=None) -> Line:
    stage = Line()
    network = stage if network is None else network(stage)
    optimizer = torch.optim.SGD(stage.parameters(), 0.1)
    loader = training.training_loader(Numbers())
    training.StageTrainer(
        CPU, 3, 3, loader, network, optimizer, clip_norm=0.5, accumulation=accumulation
    ).run()
    return stage


def test_a_step_of_parts_is_the_step_of_the_whole_batch():
    whole, parts = trained(1), trained(4)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.equal(whole.line.weight, Line().line.weight)


class Compared(Line):
    compares_cases = training.AlignedStage.compares_cases


def test_a_batch_whose_cases_are_compared_is_not_cut(monkeypatch):
    monkeypatch.setitem(globals(), "Line", Compared)
    trained(1)
    with pytest.raises(TrainingError, match=r"accumulation 2: .* compares the cases"):
        trained(2)


def test_a_batch_whose_cases_are_compared_has_two(monkeypatch):
    monkeypatch.setattr(Numbers, "cases", 1, raising=False)
    trained(1)
    monkeypatch.setitem(globals(), "Line", Compared)
    with pytest.raises(TrainingError, match="compares the cases") as refused:
        trained(1)
    assert refused.value.option == "cases_per_batch 2"


def test_processes_exchange_gradients_once_a_step(tmp_path, monkeypatch):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1
    )
    alone, usual = [], DistributedDataParallel.no_sync
    monkeypatch.setattr(
        DistributedDataParallel, "no_sync", lambda self: alone.append(1) or usual(self)
    )
    try:
        together = trained(2, DistributedDataParallel)
    finally:
        torch.distributed.destroy_process_group()
    assert len(alone) == 3  # of two parts in each of three steps, the first
    for a, b in zip(trained(2).parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(a, b)


# --- what the networks and the configuration bring ------------------------------------------------


def test_networks_are_tuned_as_asked():
    model = paper_model()  # without memory
    assert training.unets(model) == [model.unet] and not model.unet.is_gradient_checkpointing
    training.tune(training.unets(model), compile=True, gradient_checkpointing=True)
    assert model.unet.is_gradient_checkpointing and model.unet._compiled_call_impl is not None
    with pytest.raises(TrainingError, match="CompactAutoencoder has none; it is small") as refused:
        training.tune([CompactAutoencoder()], gradient_checkpointing=True)
    assert refused.value.option == "gradient_checkpointing"


def test_attention_is_torch_s_own():
    kinds = {type(processor) for processor in paper_model().unet.attn_processors.values()}
    assert kinds == {AttnProcessor2_0}  # `scaled_dot_product_attention`


def test_averages_live_where_the_weights_do():
    average = training.EMA(nn.Linear(2, 2, device="meta")).state_dict()
    assert {value.device.type for value in average.values()} == {"meta"}


def test_the_bundle_names_every_option_of_a_gpu():
    config = parsed("train_diffusion", "paper", "multi_gpu")
    assert config["optimizer"]["fused"] is True and config["channels_last"] is True
    assert config["training_data"]["pin"] == "$@device.type == 'cuda'"
    assert config["training_batches"]["rank"] == "$idist.get_rank()"
    for name in ("precision", "workers", "accumulation", "gradient_checkpointing", "compile"):
        assert name in config
    assert config["mlflow"] is None


@pytest.mark.slow
def test_losses_and_metrics_go_to_mlflow_where_it_is_named(small_datalist, tmp_path):
    import mlflow
    from monai.bundle import run

    (tmp_path / "tiny.yaml").write_text(TINY)
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    settings = {**SHORT, **AUTOENCODER, "cache_dir": str(tmp_path / "cache")}
    run(
        config_file=config_files("train_autoencoder", tmp_path / "tiny.yaml"),
        bundle_root=str(BUNDLE), datalist=str(small_datalist), mlflow=uri,
        output_dir=str(tmp_path / "first"), **settings,
    )  # fmt: skip
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("xr2mri")
    (found,) = client.search_runs(experiment.experiment_id)
    assert found.info.run_name == "first" and found.info.status == "FINISHED"
    assert {"loss", "gradient_norm", "val_loss", "val_psnr"} <= set(found.data.metrics)


# --- benchmarks -----------------------------------------------------------------------------------


@pytest.fixture
def benchmark(monkeypatch):
    """A script of the folder, as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("sized", "training", "generation")
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


def rows(path: Path) -> list[dict[str, str]]:
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_the_benchmark_of_training_runs_here_in_a_tiny_setting(
    benchmark, tiny_bundle, tmp_path, monkeypatch
):
    words = ["--device", "cpu", "--bundle", str(tiny_bundle), "--sizes", "compact", "--volume"]
    words += ["--precision", "fp32", "--batch", "16", "--steps", "2", "--compile", "no"]
    module = benchmark("training")
    monkeypatch.setattr(module, "WARMING", 1)
    monkeypatch.setattr(benchmark("sized"), "parts", tiny_parts(benchmark("sized").parts))
    module.main([*words, "--accumulation", "2", "--out", str(tmp_path)])
    found = rows(tmp_path / "training.md")
    assert [row["checkpointing"] for row in found] == ["no", "yes"]
    for row in found:
        assert float(row["samples a second"]) > 0 and 0 < float(row["TFLOP a step"]) < 0.1
        assert 0 < float(row["share of peak"].rstrip("%")) < 100
        assert float(row["memory, GiB"]) > 0


def tiny_parts(usual):
    """Depth mixing of the volume overlay has 32 groups, of which the tiny model has not enough."""

    def parts(*arguments):
        parser = usual(*arguments)
        parser["depth_mixing#norm_num_groups"] = 8
        return parser

    return parts


def test_the_flops_of_a_step_are_those_of_its_cases(benchmark, tiny_bundle):
    module, sized = benchmark("training"), benchmark("sized")
    parser = sized.parts(tiny_bundle, "compact", False)
    model = parser.get_parsed_content("model")
    stage = training.DiffusionStage(model, parser.get_parsed_content("scheduler"))
    one, four = (
        module.flops_of(stage, module.Same(model, cases, 4, False, 64).batch, CPU)
        for cases in (1, 4)
    )
    assert four == 4 * one > 0
    assert sized.peak(CPU, "fp32", 3.0) == (3.0, "given")


def test_the_benchmark_of_generation_prints_one_table(benchmark, tiny_bundle, tmp_path, capsys):
    words = ["--device", "cpu", "--bundle", str(tiny_bundle), "--sizes", "compact", "--plain"]
    words += ["--precision", "fp32", "--slices", "4", "--repeats", "1", "--compile", "no"]
    benchmark("generation").main([*words, "--out", str(tmp_path)])
    found = rows(tmp_path / "generation.md")
    assert [(row["what"], row["steps"]) for row in found] == [
        ("as in the paper", "50"), ("few steps", "6"), ("distilled, 4", "4"), ("distilled, 2", "2"),
        ("distilled, 1", "1"),
    ]  # fmt: skip
    assert all(float(row["volume, s"]) > 0 for row in found)
    assert float(found[0]["volume, s"]) > float(found[-1]["volume, s"])
    assert "4 slices, fp32" in capsys.readouterr().out


def test_a_volume_whose_memory_sufficed_for_smaller_passes_says_so(benchmark, generator):
    """Else the table would compare passes of different sizes without a word."""
    arguments = Namespace(slices=4, repeats=0, batch_size=8)
    usual = generator.algorithm.denoiser

    def small(z_t, *more):
        if len(z_t) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(z_t, *more)

    generator.algorithm.denoiser = small
    try:
        costs = benchmark("generation")._costs(arguments, CPU, generator, "ddim", 1)
    finally:
        generator.algorithm.denoiser = usual
    assert costs[-1].endswith(" (2 slices in one pass: out of memory)")


def test_the_overlay_of_distillation_has_no_unknown_key():
    from xr2mri_core.bundle_command import check_complete, check_options

    for more in ((), ("train_regression",)):
        config = parsed("train_diffusion", "compact", "volume", "train_distillation", *more)
        check_options(config, CONFIGS)
        check_complete(config, CONFIGS)
