"""The compared methods: each trains by a bundle command and generates through the one generator."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run
from samples import TINY, draw_knee

from xr2mri_core.baselines import (
    METHODS,
    ConditionGate,
    SwitchableSpade,
    XDiffusionGuidance,
    method_called,
    nearest,
    thumbnail,
)
from xr2mri_core.baselines.medm2g import MedM2GInspired, TextGuidance
from xr2mri_core.baselines.x_diffusion import AXES, coronal, placed, resliced
from xr2mri_core.bundle import configured, load_bundle
from xr2mri_core.comparison.measure import cross_sectional
from xr2mri_core.condition import Condition
from xr2mri_core.datalist import load_datalist
from xr2mri_core.errors import InputError, WeightsError
from xr2mri_core.evaluation import evaluate as evaluation
from xr2mri_core.evaluation.robustness import robustness
from xr2mri_core.features import encode_features
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.geometry import slices_to_volume
from xr2mri_core.networks import pretrained
from xr2mri_core.networks.model import draws_nothing, method_of, write_safetensors
from xr2mri_core.networks.pretrained import PARTS_FORMAT
from xr2mri_core.phantom.tissues import Tissue
from xr2mri_core.shipped import bundle_folder
from xr2mri_core.training import SliceCache, fit_bones, start_model
from xr2mri_core.training.bones import projected_bones

BUNDLE = Path(__file__).resolve().parents[1] / "monai_app" / "model" / "knee_xr2mri"
CONFIGS = BUNDLE / "configs"
OVERLAYS = [name for name in METHODS if name != "ours"]
SHORT = {
    "steps": 2,
    "epoch_length": 2,
    "cached_slices": "$None",
    "cache_processes": 1,
    "validation_steps": 1,
    "log_every": 1,
    "cases_per_batch": 2,
    "slices_per_case": 4,
    "picture_steps": 1,
    "learning_rate": 5e-2,
    "warmup": 1,
    "augmentation": "$None",
}


@pytest.fixture(scope="module")
def overlay(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("size") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """The caches of all methods."""
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="module")
def autoencoder_dir(tiny_bundle, tmp_path_factory) -> Path:
    """The autoencoder that all methods have in common."""
    folder = tmp_path_factory.mktemp("common") / "autoencoder"
    load_bundle(tiny_bundle).model.autoencoder.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def start(overlay, tmp_path_factory) -> Path:
    """The U-Net of a denoiser that knows the depth alone, from which all start."""
    parser = ConfigParser()
    files = [CONFIGS / f"{name}.yaml" for name in ("training", "train_diffusion")]
    parser.read_config([*map(str, files), str(overlay), str(CONFIGS / "baselines/ldm.yaml")])
    state = parser.get_parsed_content("model").state_dict()
    path = tmp_path_factory.mktemp("start") / "unet.safetensors"
    unet = {name: value for name, value in state.items() if name.startswith("unet.")}
    write_safetensors(path, unet, {"format": PARTS_FORMAT})
    return path


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_method_trains_by_the_bundle_and_generates_by_the_one_generator(
    name, overlay, shared, tiny_bundle, autoencoder_dir, labelled_datalist, start, tmp_path
):
    (stage,) = METHODS[name].stages
    run(
        config_file=[
            *(str(CONFIGS / f"{name}.yaml") for name in ("training", "train_diffusion")),
            str(overlay),
            *(str(CONFIGS / f"{part}.yaml") for part in stage),
        ],
        bundle_root=str(BUNDLE),
        datalist=str(labelled_datalist),
        cache_dir=str(shared),
        autoencoder_dir=str(autoencoder_dir),
        output_dir=str(tmp_path / "run"),
        initial_weights=str(start),
        **SHORT,
        **({"bones_steps": 5} if name == "cola_diff" else {}),
    )
    weights = tmp_path / "run" / "knee_xr2mri.safetensors"
    assert method_of(weights) == name
    assert json.loads((tmp_path / "run" / "model_card.json").read_text())["steps"] == 2

    generator = KneeMRIGenerator.from_bundle(tiny_bundle, "cpu", weights=weights)
    method = METHODS[name]

    def volume(knee: np.ndarray, **features: int) -> np.ndarray:
        made = generator.generate(knee, features, laterality="R", num_slices=3, box=(0, 0, 96, 96))
        assert made.record["model"]["weights"] == weights.name
        assert made.kind == method.kind and draws_nothing(weights) is not generator.draws
        return made.volume

    knee, other = draw_knee(96), draw_knee(96, shift=14, seed=5)
    with torch.no_grad():  # the zero-initialised ends too: two steps move them by little
        for part in generator.model.modules():
            if isinstance(part, (SwitchableSpade, TextGuidance)):
                for parameter in part.parameters():
                    parameter.normal_(std=0.3)
    plain = volume(knee, V00XRKL=0)
    assert plain.shape == (64, 3, 64) and np.ptp(plain) > 0
    assert np.array_equal(plain, volume(knee, V00XRKL=0))
    assert np.array_equal(plain[:, 0], plain[:, 2]) is False  # the depth is known
    assert np.array_equal(plain, volume(knee, V00XRKL=4)) is not method.features
    assert np.array_equal(plain, volume(other, V00XRKL=0)) is (name == "ldm")


@pytest.fixture
def undrawn(tiny_bundle, tmp_path) -> KneeMRIGenerator:
    """A generator whose regression is all that was trained."""
    parser = configured(tiny_bundle, ["compact", "baselines/direct_regression"])
    weights = tmp_path / "direct.safetensors"
    model = parser.get_parsed_content("model")
    model.save_weights(weights, metadata={"method": "direct_regression"})
    return KneeMRIGenerator.from_bundle(tiny_bundle, "cpu", weights=weights)


def test_a_model_that_draws_nothing_gives_the_mean_and_refuses_samples(undrawn, tmp_path):
    weights = tmp_path / "direct.safetensors"
    assert draws_nothing(weights) and not undrawn.draws
    made = undrawn.generate(draw_knee(96), num_slices=2, box=(0, 0, 96, 96))
    assert made.kind == "mean" and made.record["mean_by"] == "regression"
    for asked in ({"kind": "sample"}, {"samples": 2}):
        with pytest.raises(InputError, match=r"draws nothing.*accepted is"):
            undrawn.generate(draw_knee(96), num_slices=2, box=(0, 0, 96, 96), **asked)


def test_a_model_that_draws_nothing_is_measured_without_samples(
    undrawn, labelled_datalist, tmp_path, monkeypatch
):
    monkeypatch.setattr(evaluation, "SPACINGS", (3,))
    evaluation.evaluate(labelled_datalist, undrawn, tmp_path / "e", spacing_cases=1)
    told = json.loads((tmp_path / "e" / "summary.json").read_text())
    assert "model" in told["methods"] and "model, sample" not in told["methods"]
    assert list(told["spacing"]) == ["truth", "3 no noise"]
    with pytest.raises(InputError, match="draws nothing"):
        evaluation.evaluate(labelled_datalist, undrawn, tmp_path / "s", samples=2)
    robustness(labelled_datalist, undrawn, tmp_path / "r", cases=2)
    rows = json.loads((tmp_path / "r" / "robustness.json").read_text())
    assert "other patient" in rows and "other noise" not in rows


@pytest.fixture
def one_process(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


FROZEN_ENCODER = {
    "clip": "$torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),"
    " torch.nn.Linear(3, 16))",
    "image_encoder": {
        "_target_": "xr2mri_core.networks.Zero123ImageEncoder",
        "autoencoder": "@autoencoder",
        "clip": "@clip",
        "image_size": 32,
    },
}
"""The paper's E_2, whose autoencoder and CLIP are shared and frozen."""


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        *(pytest.param(name, {}, id=name) for name in METHODS),
        *(
            pytest.param(name, FROZEN_ENCODER, id=f"{name}, frozen encoder")
            for name in ("ours", "direct_regression")
        ),
    ],
)
def test_a_method_trains_in_several_processes(name, encoder, overlay, one_process, monkeypatch):
    """Which wait for the gradient of every parameter that they have not been told is unused."""
    monkeypatch.setenv("LOCAL_RANK", "0")
    for stage in METHODS[name].stages:
        parser = ConfigParser()
        parser.read_config([
            *(CONFIGS / f"{part}.yaml" for part in ("training", "train_diffusion")), overlay,
            *(CONFIGS / f"{part}.yaml" for part in stage), CONFIGS / "multi_gpu.yaml",
        ])  # fmt: skip
        parser.update(encoder)
        if "depth_mixing" in parser:
            parser["depth_mixing#norm_num_groups"] = 8
        model = parser.get_parsed_content("model")
        if name == "cola_diff":
            model.bones.requires_grad_(False)  # as `fit_bones` leaves it
        slab = 2 if parser["slabs"] else 1
        batch = {
            "radiograph": torch.rand(2, 1, 64, 64),
            "features": torch.zeros(2, model.guidance.num_positions),
            "latent": torch.randn(4, 4, 4, 4),
            "depth": torch.tensor([0.40, 0.42, 0.60, 0.62]),
            "seed": 1,
        } | ({"slab": slab} if slab > 1 else {})  # fmt: skip
        network = parser.get_parsed_content("network")
        for _ in range(2):
            network(batch)["loss"].backward()
        unreached = [p for p in network.parameters() if p.requires_grad and p.grad is None]
        assert bool(unreached) is parser["unused_parameters"]
        trained = {n for n, p in model.named_parameters() if p.requires_grad}
        frozen = ("autoencoder.", *(["image_encoder."] if encoder else []))
        assert trained and not any(name.startswith(frozen) for name in trained)


@pytest.fixture(scope="module")
def imported() -> dict[str, torch.Tensor]:
    """What an import of Zero-123 and CLIP writes, by its names and shapes alone."""
    parts = ("unet.", "autoencoder.", "guidance.down_token.", "guidance.up_token.")
    state = pretrained.paper_model().state_dict()
    return {n: v for n, v in state.items() if n.startswith((*parts, "image_encoder.clip."))}


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlays_fit_the_paper_s_size_and_its_start(name, imported, monkeypatch):
    """Without memory: the paper's networks would take a minute each."""
    parser = ConfigParser()
    stage = METHODS[name].stages[0]
    files = [f"{part}.yaml" for part in ("training", "train_diffusion", "paper", *stage)]
    parser.read_config([str(CONFIGS / file) for file in files])
    parser["cache_dir"] = "none"
    with torch.device("meta"):
        model = parser.get_parsed_content("model")
    channels = parser.get_parsed_content("autoencoder#latent_channels")
    denoiser = model.unet.config
    assert denoiser.out_channels == channels and denoiser.in_channels >= 2 * channels
    assert model.guidance.time_embed_dim == 4 * denoiser.block_out_channels[0]
    assert parser["method"] == name
    file = (dict(imported), {"format": PARTS_FORMAT})
    monkeypatch.setattr(pretrained, "read_safetensors", lambda path: file)
    filled = start_model(model, "pretrained.safetensors", None)
    assert {"autoencoder", "image_encoder.clip", "unet"} <= set(filled)


def test_every_overlay_is_a_method_and_every_method_has_one():
    files = {path.stem for path in (CONFIGS / "baselines").glob("*.yaml")}
    assert files == set(OVERLAYS)
    for method in METHODS.values():
        for stage in method.stages:
            assert all((CONFIGS / f"{part}.yaml").is_file() for part in stage)
    with pytest.raises(InputError, match="'gan': accepted are ours, ours_paper, ldm"):
        method_called("gan")


def test_weights_that_name_no_overlay_are_refused(tiny_bundle, tmp_path):
    bundle = load_bundle(tiny_bundle)
    path = tmp_path / "weights.safetensors"
    bundle.model.save_weights(path, metadata={"method": "../../etc/passwd"})
    with pytest.raises(WeightsError, match="no name of an overlay"):
        load_bundle(tiny_bundle, weights=path)
    bundle.model.save_weights(path, metadata={"method": "unheard_of"})
    with pytest.raises(WeightsError, match=r"configs/unheard_of\.yaml is missing"):
        load_bundle(tiny_bundle, weights=path)


# --- what makes each different ----------------------------------------------------------------


def test_x_diffusion_starts_as_the_embedding_and_then_knows_the_depth():
    guidance = XDiffusionGuidance(cross_attention_dim=8, time_embed_dim=16)
    embedding, depth = torch.randn(2, 8), torch.tensor([0.0, 1.0])
    features = torch.zeros(2, guidance.num_positions)
    signals = guidance(embedding, depth, features)
    assert torch.equal(signals.down_context[:, 0], embedding)
    assert signals.up_context is signals.down_context and not signals.up_time.any()
    with torch.no_grad():
        guidance.cc_projection.weight[:, -1] = 1.0  # the depth, in [-1, 1]
    moved = guidance(embedding, depth, features).down_context[:, 0] - embedding
    torch.testing.assert_close(moved, torch.tensor([[-1.0], [1.0]]).expand(2, 8))


def test_x_diffusion_knows_the_axis_by_the_place():
    guidance = XDiffusionGuidance(cross_attention_dim=8, time_embed_dim=16)
    with torch.no_grad():
        guidance.cc_projection.weight[:3, -4:-1] = torch.eye(3)  # the axis, in the first three
        guidance.cc_projection.weight[3, -1] = 1.0  # the depth, in [-1, 1]
    depth, features = torch.tensor([0.0, 0.25, 1.0]), torch.zeros(3, guidance.num_positions)
    for number, axis in enumerate(AXES):
        by_place = guidance.token(torch.zeros(3, 8), placed(depth, axis), features)[:, 0]
        with guidance.along(axis):
            by_axis = guidance.token(torch.zeros(3, 8), depth, features)[:, 0]
        assert torch.equal(by_place, by_axis)
        assert by_place[:, :3].argmax(1).tolist() == [number] * 3
        torch.testing.assert_close(by_place[:, 3], torch.tensor([-1.0, -0.5, 1.0]))


def test_volumes_are_cut_along_an_axis_and_put_together_again():
    depth, rows, columns = np.meshgrid(*(np.linspace(0, 1, n) for n in (9, 16, 16)), indexing="ij")
    for axis, across, along in (("sagittal", columns, depth), ("axial", rows, depth)):
        picture = resliced(across, axis)
        assert picture.shape == (9, 16, 16) and np.ptp(picture, axis=(1, 2)).max() < 1e-9
        np.testing.assert_allclose(picture[:, 0, 0], across.max(axis=(0, 1, 2)) *
                                   np.linspace(0, 15, 9).round() / 15)  # fmt: skip
        stretched = resliced(along, axis)
        assert np.ptp(stretched[0], axis=0 if axis == "sagittal" else 1).max() < 1e-9
    smooth = depth + 2 * rows + 3 * columns
    for axis in AXES:
        np.testing.assert_allclose(coronal(resliced(smooth, axis), axis, 9), smooth, atol=0.11)
    bytes_ = (255 * rows).round().astype(np.uint8)
    assert resliced(bytes_, "sagittal").dtype == np.uint8
    labels = (rows > 0.5).astype(np.uint8) * 7
    assert set(np.unique(resliced(labels, "sagittal", 0))) == {0, 7}


def test_a_volume_of_three_axes_is_the_mean_of_its_volumes():
    """The generator draws what the guidance says: a ramp along its own slices."""

    class Ramp:
        def __init__(self):
            guidance = XDiffusionGuidance(cross_attention_dim=8, time_embed_dim=16)
            self.model = SimpleNamespace(guidance=guidance)

        def __reduce__(self):  # each process loads its own
            return Ramp, ()

        def condition_of(self, item):
            return Condition()

        def generate(self, radiograph, condition, request):
            axis = AXES.index(self.model.guidance.axis)
            slices = np.linspace(0, 10.0**axis, request.count)[:, None, None] * np.ones((1, 16, 16))
            return SimpleNamespace(volume=slices_to_volume(slices), record={"laterality": "L"})

    item = {"radiograph": "knee.png", "laterality": "L"}
    predict = cloudpickle.loads(cloudpickle.dumps(cross_sectional(Ramp(), AXES)))
    volume = predict(item, 0, 9)
    assert volume.shape == (9, 16, 16)
    assert volume[-1, 0, 0] == pytest.approx(1 / 3) and volume[0, 0, 0] == 0
    assert volume[0, -1, 0] == pytest.approx(100 / 3)
    assert {volume[0, 0, -1].round(4), volume[0, 0, 0]} == {np.float32(10 / 3).round(4), 0}


def test_gates_start_alike_and_follow_the_size_of_a_condition():
    gate = ConditionGate(2)
    weak, strong = torch.full((1, 2, 4, 4), 0.1), torch.full((1, 1, 4, 4), 2.0)
    same = gate([weak, strong])
    torch.testing.assert_close(same[0], 1.5 * weak)
    torch.testing.assert_close(same[1], 1.5 * strong)
    with torch.no_grad():
        gate.gamma.fill_(3.0)
    first, second = gate([weak, strong])
    assert 1.5 < float(first[0, 0, 0, 0] / 0.1) < float(second[0, 0, 0, 0] / 2) < 2


def test_spade_modulates_by_the_target_class_alone():
    spade = SwitchableSpade(4, classes=3)
    z = torch.randn(2, 4, 8, 8)
    plain = spade(z, torch.tensor([0, 2]))
    torch.testing.assert_close(plain, torch.nn.functional.instance_norm(z))
    with torch.no_grad():
        spade.modulation.bias[2 * 8 + 4 : 3 * 8] = 1.0  # the shift of class 2
    changed = spade(z, torch.tensor([0, 2])) - plain
    assert not changed[0].any()
    torch.testing.assert_close(changed[1], torch.ones(4, 8, 8))


def test_aldm_takes_the_grade_as_class_and_one_more_for_unread(tiny_bundle):
    parser = ConfigParser()
    names = ("inference", "compact", "baselines/aldm")
    parser.read_config([str(tiny_bundle / "configs" / f"{name}.yaml") for name in names])
    model = parser.get_parsed_content("model")
    rows = [encode_features(f) for f in ({"V00XRKL": 0}, {"V00XRKL": 4}, {"V00XRJSM": 2})]
    assert model.target_class(torch.from_numpy(np.stack(rows))).tolist() == [0, 4, 5]


def test_unread_features_are_no_words():
    torch.manual_seed(0)
    guidance = TextGuidance(cross_attention_dim=8, time_embed_dim=16, heads=2).eval()
    some = torch.from_numpy(encode_features({"V00XRKL": 3}))[None]
    whole = guidance.text(some)[:, 0]
    with torch.no_grad():
        guidance.words[some[0] == 0] += torch.randn(8)  # grades that nobody read
    torch.testing.assert_close(guidance.text(some)[:, 0], whole)
    with torch.no_grad():
        guidance.words[some[0] == 1] += torch.randn(8)
    assert not torch.allclose(guidance.text(some)[:, 0], whole)


def test_contrast_is_least_where_pairs_agree():
    model = MedM2GInspired.__new__(MedM2GInspired)
    torch.nn.Module.__init__(model)
    model.log_scale = torch.nn.Parameter(torch.tensor(3.0))
    text = torch.eye(4)
    right, wrong = model._contrast(text, text), model._contrast(text, text.roll(1, 0))
    assert float(right) < 1e-6 + 3 * np.exp(-np.exp(3)) and float(wrong) > 10
    chance = model._contrast(text, torch.ones(4, 4))
    assert float(chance) == pytest.approx(np.log(4), rel=1e-5)


# --- bones ------------------------------------------------------------------------------------


def test_labels_are_projected_along_depth():
    labels = np.zeros((3, 4, 4), np.uint8)
    labels[0, 0, 0], labels[2, 1, 1] = Tissue.CORTICAL_BONE, Tissue.OSTEOPHYTE
    labels[1, 2, 2] = Tissue.MUSCLE
    assert np.argwhere(projected_bones(labels)).tolist() == [[0, 0], [1, 1]]


def test_the_mask_is_learned_kept_and_needs_labels(
    labelled_datalist, small_datalist, shared, tiny_bundle, tmp_path
):
    def model():
        parser = ConfigParser()
        names = ("inference", "compact", "baselines/cola_diff")
        parser.read_config([str(tiny_bundle / "configs" / f"{name}.yaml") for name in names])
        torch.manual_seed(0)
        return parser.get_parsed_content("model")

    cpu = torch.device("cpu")
    cache = SliceCache.build(load_datalist(labelled_datalist, "training"), shared, None, 64, 0, 1)
    own = model()
    fit_bones(own, cache, tmp_path / "bones.safetensors", cpu, steps=40)
    assert not any(parameter.requires_grad for parameter in own.bones.parameters())
    picture = torch.from_numpy(np.array(cache.arrays["radiographs"][:1])).float() / 127.5 - 1
    mask = torch.sigmoid(own.bone_logits(picture[None], (4, 4)))[0, 0]
    true = torch.from_numpy(projected_bones(cache.arrays["labels"][0])).float()
    true = torch.nn.functional.adaptive_avg_pool2d(true[None, None], (4, 4))[0, 0]
    assert (mask - true).abs().mean() < 0.15
    again = model()
    fit_bones(again, cache, tmp_path / "bones.safetensors", cpu, steps=0)
    assert torch.equal(torch.sigmoid(again.bone_logits(picture[None], (4, 4)))[0, 0], mask)

    bare = SliceCache.build(load_datalist(small_datalist, "training"), shared, None, 64, 0, 1)
    with pytest.raises(WeightsError, match="no label maps to learn it from"):
        fit_bones(model(), bare, tmp_path / "none.safetensors", cpu)


# --- without a generator ----------------------------------------------------------------------


def test_nearest_radiograph_is_told_by_its_structure_not_its_exposure():
    knees = [draw_knee(96, shift=shift, seed=shift).astype(float) for shift in (0, 8, 16)]
    table = np.stack([thumbnail(knee) for knee in knees])
    for index, knee in enumerate(knees):
        darker = 0.4 * knee + 10 + np.random.default_rng(9).normal(0, 2, knee.shape)
        assert nearest(darker, table) == index
    assert np.isfinite(thumbnail(np.zeros((96, 96)))).all()


OVERLAYS = sorted(path.stem for path in (bundle_folder() / "configs/baselines").glob("*.yaml"))


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_shipped_inference_takes_every_overlay(name):
    parser = configured(bundle_folder(), ["compact", f"baselines/{name}"])
    assert parser["method"] == name
    assert str(parser["initialize"]) == "$begin()"  # what training prepares is not generation's
