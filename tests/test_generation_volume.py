"""Generation with regression and depth mixing: windows, mean and sample, spread, cancelling."""

import numpy as np
import pytest

from xr2mri_core.diffusion import windows
from xr2mri_core.errors import Cancelled, InputError
from xr2mri_core.progress import Callbacks
from xr2mri_core.request import GenerationRequest


def volume(generator, radiograph, **request):
    return generator.generate(radiograph, {"kl_grade": 2}, **request)


def test_the_windows_change_rounding_only(volume_generator, radiograph):
    whole, cut, small = (
        volume(volume_generator, radiograph, num_slices=30, batch_size=size).volume
        for size in (64, 17, 2)
    )
    np.testing.assert_allclose(cut, whole, atol=1e-4)
    np.testing.assert_allclose(small, whole, atol=1e-4)
    again = volume(volume_generator, radiograph, num_slices=30, batch_size=17).volume
    np.testing.assert_array_equal(again, cut)


@pytest.mark.parametrize(("count", "size", "reach"), [
    (1, 4, 0), (10, 4, 0), (10, 6, 1), (30, 17, 5), (11, 11, 5), (12, 2, 5), (500, 64, 7),
])  # fmt: skip
def test_windows_cover_everything_once_with_their_surroundings(count, size, reach):
    cut = list(windows(count, size, reach))
    assert [core.start for _, core in cut[1:]] == [core.stop for _, core in cut[:-1]]
    assert cut[0][1].start == 0 and cut[-1][1].stop == count
    assert len({window.stop - window.start for window, _ in cut}) == 1
    for window, core in cut:
        assert window.start <= max(core.start - reach, 0) and core.start < core.stop
        assert window.stop >= min(core.stop + reach, count)


def test_the_mean_is_one_pass_and_the_seed_has_no_say_in_it(volume_generator, radiograph):
    one, other = (
        volume(volume_generator, radiograph, num_slices=5, kind="mean", seed=s) for s in (0, 1)
    )
    np.testing.assert_array_equal(one.volume, other.volume)
    assert one.record["kind"] == one.kind == "mean" and one.record["mean_by"] == "regression"
    assert one.mean is None and one.std is None
    sample = volume(volume_generator, radiograph, num_slices=5)
    assert sample.record["kind"] == "sample" and sample.record["mean_by"] is None
    assert np.abs(sample.volume - one.volume).max() > 1e-3


def test_the_mean_of_a_model_without_regression_is_that_of_its_samples(generator, radiograph):
    mean = volume(generator, radiograph, num_slices=3, kind="mean", seed=4)
    samples = volume(generator, radiograph, num_slices=3, samples=8, seed=4)
    np.testing.assert_array_equal(mean.volume, samples.mean)
    assert mean.record["mean_by"] == "8 samples"
    assert generator.plan(GenerationRequest(kind="mean")).mean_of == 8


def test_the_mean_comes_with_the_spread_of_samples_where_asked(volume_generator, radiograph):
    made = volume(volume_generator, radiograph, num_slices=4, kind="mean", samples=3)
    drawn = volume(volume_generator, radiograph, num_slices=4, samples=3)
    np.testing.assert_array_equal(made.std, drawn.std)
    assert made.mean is None and drawn.mean is not None


def test_progress_rises_with_the_steps_and_ends_at_all_slices(volume_generator, radiograph):
    calls, came = [], []
    made = volume(
        volume_generator, radiograph, num_slices=20, samples=2, batch_size=16,
        callbacks=Callbacks(
            progress=lambda done, total, stage: calls.append((done, total)),
            arrived=lambda index, part: came.append((index, part.copy())),
        ),
    )  # fmt: skip
    done = [number for number, _ in calls]
    assert done[0] == 0 and done == sorted(done) and calls[-1] == (40, 40)
    assert len(set(done)) > 6
    assert [index for index, _ in came] == [0, 16]
    np.testing.assert_array_equal(np.concatenate([p for _, p in came], 1), made.volume)


def test_guidance_works_on_the_mean_too(volume_generator, radiograph):
    def mean(features, guidance):
        return volume_generator.generate(
            radiograph, features, num_slices=3, kind="mean", guidance=guidance
        ).volume

    grades = {"V00XRKL": 4, "V00XRCYFM": 1}
    np.testing.assert_allclose(mean(grades, 0), mean({}, 1), atol=1e-5)
    assert np.abs(mean(grades, 3) - mean(grades, 1)).max() > 1e-4


@pytest.mark.parametrize("index", [0, 3, 20, 49])
def test_a_single_slice_is_drawn_among_its_neighbours(
    volume_generator, radiograph, monkeypatch, index
):
    """Which reach no further than the window; in one step it is that of the usual volume."""
    fifty = volume(volume_generator, radiograph, steps=1, batch_size=64).volume
    passes, denoise = [], volume_generator.algorithm.denoiser

    def counted(z, *more):
        passes.append(len(z))
        return denoise(z, *more)

    monkeypatch.setattr(volume_generator.algorithm, "denoiser", counted)
    alone = volume(volume_generator, radiograph, depths=[index / 49], steps=1, batch_size=64)
    np.testing.assert_allclose(alone.volume[:, 0], fifty[:, index], atol=1e-5)
    reach = volume_generator.model.depth_mixing.reach
    assert passes == [min(index, reach) + 1 + min(49 - index, reach)]


def test_cancelling_takes_one_window(volume_generator, radiograph, monkeypatch):
    passes = 0
    denoise = volume_generator.algorithm.denoiser

    def counted(*arguments):
        nonlocal passes
        passes += 1
        return denoise(*arguments)

    monkeypatch.setattr(volume_generator.algorithm, "denoiser", counted)
    with pytest.raises(Cancelled):
        volume(
            volume_generator,
            radiograph,
            num_slices=60,
            batch_size=16,
            callbacks=Callbacks(cancelled=lambda: passes >= 3),
        )
    assert passes == 3


@pytest.mark.parametrize("wrong", [
    {"kind": "median"}, {"noise_length": -1}, {"noise_length": float("nan")},
    {"noise_length": "long"}, {"kind": None, "samples": 1.5},
])  # fmt: skip
def test_wrong_kinds_and_lengths_are_refused(volume_generator, radiograph, wrong):
    with pytest.raises(InputError, match="accepted"):
        volume(volume_generator, radiograph, num_slices=2, **wrong)


def test_a_request_keeps_what_it_says_and_takes_the_rest_from_the_model():
    settings = {"steps": 8, "sampler": "unipc", "noise_length": 1.2, "guidance": 1.0,
                "batch_size": 64, "image_size": 256}  # fmt: skip
    request = GenerationRequest(steps=3, noise_length=0).filled(settings)
    assert (request.steps, request.noise_length) == (3, 0)
    assert (request.sampler, request.batch_size, request.seed) == ("unipc", 64, 0)
    assert GenerationRequest(depths=[0.0, 0.5]).count == 2


@pytest.mark.parametrize(
    ("asked", "passes"),
    [
        ({}, 30 * (1 + 4)),
        ({"samples": 2}, 30 * (1 + 2 * 4)),
        ({"guidance": 2.0}, 30 * (2 + 7)),
        ({"kind": "mean"}, 30 * (1 + 1)),
        ({"kind": "mean", "samples": 2}, 30 * (1 + 1 + 2 * 4)),
        ({"batch_size": 17}, 30 * (1 + 1) + 3 * 17 * 3),  # windows overlap by twice the reach
        ({"num_slices": 5}, 5 + 29 * (1 + 3)),  # and six between each two
        ({"num_slices": 1}, 1 + 11 * (1 + 3)),  # and as many around it as it knows of
        ({"num_slices": 1, "kind": "mean"}, 1 + 1),
        ({"num_slices": 5, "kind": "mean"}, 5 * (1 + 1)),
    ],
)
def test_what_a_request_costs_is_told_before(volume_generator, asked, passes):
    """By slices: a regression, the steps of each sample, and each one's decoding."""
    request = GenerationRequest(**{"num_slices": 30, "steps": 3, "batch_size": 64, **asked})
    assert volume_generator.plan(request).passes == passes


def test_few_slices_are_those_depths_of_a_volume_with_spacings_that_were_learnt(
    volume_generator, radiograph
):
    few = volume(volume_generator, radiograph, num_slices=5, samples=2)
    fine = volume(volume_generator, radiograph, num_slices=29, samples=2)
    np.testing.assert_allclose(few.volume, fine.volume[:, ::7], atol=1e-5)
    np.testing.assert_allclose(few.std, fine.std[:, ::7], atol=1e-5)
    np.testing.assert_allclose(few.affine[:, 1] / 7, fine.affine[:, 1])
    mixing = volume_generator.model.depth_mixing
    for count in (1, 2, 25, 26, 50, 500):
        depths = np.linspace(0, 1, count) if count > 1 else np.array([0.5])
        finer, asked = mixing.among(depths)
        np.testing.assert_allclose(finer[asked], depths)
        every = {1: len(finer), 2: 25, 25: 2}.get(count, 1)
        assert len(finer) == max(count - 1, 1) * every + (count > 1)
        assert (finer[1] - finer[0]) * 73.5 <= 3.0


def test_a_model_of_single_slices_fills_its_last_batch_up(generator):
    asked = GenerationRequest(num_slices=5, steps=3, batch_size=4, kind="mean")
    assert generator.plan(asked).passes == 8 * 8 * 4, "eight samples make its mean"
