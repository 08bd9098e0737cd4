"""The generator: shapes, space, the seed, batching, samples, cancelling, wrong requests."""

import json
import shutil
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image
from samples import draw_knee

from xr2mri_core.bundle import describe_bundle
from xr2mri_core.condition import Condition
from xr2mri_core.diffusion import sample_seed
from xr2mri_core.errors import Cancelled, InputError, VolumeError, WeightsError
from xr2mri_core.generation import KneeMRIGenerator
from xr2mri_core.geometry import volume_affine, volume_to_slices
from xr2mri_core.progress import Callbacks
from xr2mri_core.request import GenerationRequest


def slices_of(generated):
    return volume_to_slices(generated.volume)


def test_a_volume_has_its_shape_range_and_place(generator, radiograph):
    made = generator.generate(radiograph, {"kl_grade": 2}, num_slices=5)
    assert made.volume.shape == (64, 5, 64) and made.volume.dtype == np.float32
    assert made.volume.min() >= 0 and made.volume.max() <= 1 and made.volume.std() > 0
    np.testing.assert_allclose(made.affine, volume_affine(5, in_plane=2.5, size=64))
    assert made.mean is None and made.std is None
    assert made.radiograph.shape == (64, 64)


def test_the_record_tells_everything_and_is_json(generator, radiograph):
    record = generator.generate(radiograph, {"V00XRKL": 2}, num_slices=3, seed=7).record
    record = json.loads(json.dumps(record))
    assert record["notice"] == "synthetic, not for diagnosis"
    assert record["features"] == {"V00XRKL": 2}
    assert len(record["features_missing"]) == 18 and "V00XRKL" not in record["features_missing"]
    assert record["seed"] == 7 and record["slices"] == 3
    assert record["spacing_mm"] == pytest.approx([2.5, 49 * 1.5 / 2, 2.5])
    assert len(record["box"]) == 4
    assert any("spacing unknown" in warning for warning in record["warnings"])
    assert record["model"]["weights"] == "knee_xr2mri.safetensors"
    assert len(record["model"]["sha256"]) == 64
    assert {"torch", "xr2mri"} <= set(record["versions"])
    assert set(record["seconds"]) == {"prepare", "generate"}


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("ID;SIDE;V00XRKL\n9000099;2: Left;2: 2", True),
        ("ID;SIDE;V00XRKL\n9000099;1: Right;2: 2", False),
        ('{"laterality": "L", "features": {"V00XRKL": 2}}', True),
        ('{"laterality": "R", "features": {"V00XRKL": 2}}', False),
        ('{"laterality": "none", "features": {"V00XRKL": 2}}', False),
        ({"V00XRKL": 2}, False),
    ],
)
def test_a_form_of_the_other_knee_is_told(generator, radiograph, form, told):
    record = generator.generate(radiograph, form, laterality="R", num_slices=1).record
    assert record["features"] == {"V00XRKL": 2}
    assert any("the form is of side L" in note for note in record["warnings"]) is told


def test_the_seed_alone_decides(generator, radiograph):
    one, same, other = (generator.generate(radiograph, num_slices=4, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.volume, same.volume)
    assert np.abs(one.volume - other.volume).max() > 1e-3


def test_global_random_state_is_neither_read_nor_changed(generator, radiograph):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = generator.generate(radiograph, num_slices=3)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    np.testing.assert_array_equal(one.volume, generator.generate(radiograph, num_slices=3).volume)


@pytest.mark.parametrize("sampler", ["ddim", "unipc"])
def test_the_batch_size_changes_rounding_only(generator, radiograph, sampler):
    volumes = [
        generator.generate(radiograph, num_slices=18, batch_size=size, sampler=sampler).volume
        for size in (4, 8, 16)
    ]
    for volume in volumes[1:]:
        np.testing.assert_allclose(volume, volumes[0], atol=1e-4)


def test_a_slice_does_not_depend_on_how_many_there_are(generator, radiograph):
    everything = slices_of(generator.generate(radiograph, num_slices=11, batch_size=4))
    depths = np.linspace(0, 1, 11)
    for part in (slice(0, 3), slice(5, 6), slice(2, 9)):
        some = slices_of(generator.generate(radiograph, depths=depths[part], batch_size=4))
        np.testing.assert_array_equal(some, everything[part])


def test_radiograph_features_and_depth_all_matter(generator, radiograph, tmp_path):
    other = tmp_path / "other.png"
    Image.fromarray(draw_knee(shift=9, seed=4)).save(other)
    base = slices_of(generator.generate(radiograph, {"kl_grade": 0}, num_slices=3))
    graded = slices_of(generator.generate(radiograph, {"kl_grade": 4}, num_slices=3))
    moved = slices_of(generator.generate(other, {"kl_grade": 0}, num_slices=3))
    blank = slices_of(generator.generate(radiograph, {}, num_slices=3))
    for changed in (graded, moved, blank):
        assert np.abs(changed - base).max() > 1e-4
    assert np.abs(base[0] - base[2]).max() > 1e-3


def test_knobs_by_name_are_a_request_and_grades_a_condition(generator, radiograph):
    request = GenerationRequest(num_slices=3, seed=7, laterality="left", box=(4, 4, 60, 60))
    whole = generator.generate(radiograph, Condition.parse({"kl_grade": 2}), request)
    short = generator.generate(
        radiograph, {"V00XRKL": 2}, num_slices=3, seed=7, laterality="L", box=(4, 4, 60, 60)
    )
    np.testing.assert_array_equal(whole.volume, short.volume)
    assert whole.record["laterality"] == "L" and whole.record["seed"] == 7
    changed = generator.generate(radiograph, {"V00XRKL": 2}, request, seed=8)
    assert changed.record["seed"] == 8 and changed.volume.shape[1] == 3


def test_guidance_of_one_is_the_model_and_of_zero_knows_no_features(generator, radiograph):
    def volume(**request):
        return generator.generate(radiograph, num_slices=4, **request).volume

    grades = {"V00XRKL": 4, "V00XRCYFM": 1}
    none = volume(condition={})
    np.testing.assert_allclose(volume(condition=grades, guidance=0), none, atol=1e-4)
    plain, strong = volume(condition=grades), volume(condition=grades, guidance=3)
    assert np.abs(strong - plain).max() > 1e-4


def test_samples_give_mean_and_spread(generator, radiograph):
    made = generator.generate(radiograph, num_slices=3, samples=3, seed=5)
    singles = [
        generator.generate(radiograph, num_slices=3, seed=sample_seed(5, k)).volume
        for k in range(3)
    ]
    np.testing.assert_array_equal(made.volume, singles[0])
    np.testing.assert_allclose(made.mean, np.mean(singles, 0), atol=1e-6)
    np.testing.assert_allclose(made.std, np.std(singles, 0, ddof=1), atol=1e-5)


def test_a_left_knee_comes_back_on_its_own_side(generator, radiograph, tmp_path):
    mirrored = tmp_path / "left.png"
    Image.fromarray(draw_knee()[:, ::-1]).save(mirrored)
    box = (4, 4, 92, 92)  # the detector sees a knee and its mirror image not quite alike
    right = generator.generate(radiograph, num_slices=3, laterality="R", box=box)
    left = generator.generate(mirrored, num_slices=3, laterality="L", box=box)
    np.testing.assert_allclose(left.volume, right.volume[::-1], atol=1e-5)
    np.testing.assert_allclose(left.radiograph, right.radiograph[:, ::-1], atol=1e-6)
    assert (left.record["laterality"], right.record["laterality"]) == ("L", "R")


def test_progress_counts_every_slice_once(generator, radiograph):
    calls = []
    generator.generate(
        radiograph, num_slices=10, samples=2, batch_size=4,
        callbacks=Callbacks(progress=lambda *told: calls.append(told)),
    )  # fmt: skip
    assert calls[0] == (0, 20, "radiograph")
    assert [done for done, _, stage in calls if stage == "slices"] == [4, 8, 10, 14, 18, 20]
    assert {total for _, total, _ in calls} == {20}


def test_slices_arrive_as_they_are_in_the_result(generator, radiograph):
    came = {}
    made = generator.generate(
        radiograph,
        num_slices=5,
        samples=2,
        batch_size=2,
        laterality="L",
        callbacks=Callbacks(arrived=lambda index, volume: came.update({index: volume.copy()})),
    )
    assert list(came) == [0, 2, 4] and [part.shape[1] for part in came.values()] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(list(came.values()), axis=1), made.volume)


def test_a_radiograph_can_be_read_before_and_its_file_be_gone(generator, radiograph, tmp_path):
    copy = shutil.copy(radiograph, tmp_path / "copy.png")
    box = (4, 4, 60, 60)
    prepared = generator.read(copy, "L", box)
    (tmp_path / "copy.png").unlink()
    one = generator.generate(prepared, num_slices=3)
    other = generator.generate(radiograph, num_slices=3, laterality="L", box=box)
    np.testing.assert_array_equal(one.volume, other.volume)
    assert one.record["laterality"] == "L" and one.record["radiograph"] == "copy.png"


def test_cancelling_takes_one_denoising_step(generator, radiograph, monkeypatch):
    passes = 0
    denoise = generator.algorithm.denoiser

    def counted(*arguments):
        nonlocal passes
        passes += 1
        return denoise(*arguments)

    monkeypatch.setattr(generator.algorithm, "denoiser", counted)
    with pytest.raises(Cancelled):
        enough = Callbacks(cancelled=lambda: passes >= 3)
        generator.generate(radiograph, steps=50, sampler="ddim", callbacks=enough)
    assert passes == 3


def test_the_radiograph_is_encoded_once(generator, radiograph, monkeypatch):
    calls = []
    encode = generator.model.encode_radiograph
    monkeypatch.setattr(
        generator.model, "encode_radiograph", lambda y: calls.append(len(y)) or encode(y)
    )
    generator.generate(radiograph, num_slices=20, samples=2, batch_size=4)
    assert calls == [1]


def test_memory_is_bounded_by_the_batch(generator, radiograph, monkeypatch):
    sizes = set()
    denoise, to_image = generator.algorithm.denoiser, generator.model.to_image
    monkeypatch.setattr(
        generator.algorithm, "denoiser", lambda z, *rest: sizes.add(len(z)) or denoise(z, *rest)
    )
    monkeypatch.setattr(generator.model, "to_image", lambda z: sizes.add(len(z)) or to_image(z))
    generator.generate(radiograph, num_slices=21, batch_size=4)
    assert sizes == {4}
    tracemalloc.start()
    volume = generator.generate(radiograph, num_slices=60, samples=3, batch_size=4).volume
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * volume.nbytes  # first, mean, spread and their updates: not every sample


def test_bfloat16_is_close(tiny_bundle, generator, radiograph):
    half = KneeMRIGenerator.from_bundle(tiny_bundle, "cpu", precision="bf16")
    exact = generator.generate(radiograph, num_slices=3).volume
    assert np.abs(half.generate(radiograph, num_slices=3).volume - exact).mean() < 0.05


@pytest.mark.parametrize(
    "request_",
    [
        {"num_slices": 0}, {"num_slices": 10**6}, {"num_slices": 2.5}, {"steps": 0},
        {"steps": True}, {"sampler": "euler-of-nowhere"}, {"seed": -1}, {"samples": 0},
        {"guidance": float("nan")}, {"guidance": -1}, {"batch_size": 0},
        {"depths": [0.0, 1.5]}, {"depths": [-0.1]}, {"depths": [0, 0.1, 0.5]}, {"depths": []},
        {"depths": [float("nan")]}, {"laterality": "middle"}, {"box": (0, 0, 0, 0)},
        {"box": (1, 2, 3)}, {"condition": {"V00XRKL": 9}}, {"condition": {"nonsense": 1}},
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_with_what_is_accepted(generator, radiograph, request_):
    with pytest.raises(InputError) as caught:
        generator.generate(radiograph, **request_)
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 20


def test_unevenly_spaced_depths_have_no_affine(generator, radiograph):
    with pytest.raises(VolumeError, match="spac"):
        generator.generate(radiograph, depths=[0.0, 0.1, 0.5])


def test_missing_and_wrong_weights_are_named(tiny_bundle, tmp_path):
    with pytest.raises(WeightsError, match="no bundle") as refused:
        KneeMRIGenerator.from_bundle(tmp_path)
    assert refused.value.option == "bundle"
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    weights = bundle / "models" / "knee_xr2mri.safetensors"
    with pytest.raises(WeightsError, match="size"):
        KneeMRIGenerator.from_bundle(bundle, size="enormous")
    with pytest.raises(WeightsError, match=r"size 'volume': .* has compact$"):
        KneeMRIGenerator.from_bundle(bundle, size="volume")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"knee_xr2mri\.safetensors"):
        KneeMRIGenerator.from_bundle(bundle)
    weights.unlink()
    for look in (KneeMRIGenerator.from_bundle, describe_bundle):
        with pytest.raises(WeightsError, match="no weights"):
            look(bundle)


def test_unusable_device_and_precision(tiny_bundle):
    with pytest.raises(InputError, match="try cpu"):
        KneeMRIGenerator.from_bundle(tiny_bundle, "abacus")
    with pytest.raises(InputError, match="bf16"):
        KneeMRIGenerator.from_bundle(tiny_bundle, "cpu", precision="fp8")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_generates_the_same_knee(tiny_bundle, generator, radiograph):
    gpu = KneeMRIGenerator.from_bundle(tiny_bundle, "cuda")
    one, two = (gpu.generate(radiograph, num_slices=10).volume for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one, generator.generate(radiograph, num_slices=10).volume, atol=0.02)


def test_too_little_memory_halves_the_batch_and_the_record_says_so(generator, monkeypatch):
    usual, passes = generator.algorithm.denoiser, []

    def small(z, *arguments):
        passes.append(len(z))
        if len(z) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(z, *arguments)

    counted = []
    expected = generator.generate(draw_knee(), num_slices=5, batch_size=2).volume
    monkeypatch.setattr(generator.algorithm, "denoiser", small)
    generated = generator.generate(
        draw_knee(),
        num_slices=5,
        callbacks=Callbacks(progress=lambda done, total, stage: counted.append(done)),
    )
    assert passes[:3] == [8, 2, 2] and np.array_equal(generated.volume, expected)
    assert counted == sorted(counted) and counted[-1] == 5
    assert generated.record["batch_size"] == 2
    assert "sufficed for 2 slices in one pass, not for 8" in generated.record["warnings"][-1]
    monkeypatch.setattr(
        generator.algorithm, "denoiser", lambda *arguments: exec("raise MemoryError")
    )
    with pytest.raises(MemoryError):
        generator.generate(draw_knee(), num_slices=2)
