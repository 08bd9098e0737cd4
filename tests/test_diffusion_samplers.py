"""Samplers against a problem with a known answer, the schedule, guidance, cancelling."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from xr2mri_core.cli import main
from xr2mri_core.diffusion import SAMPLERS, build_scheduler, guided, interpolated_betas, sample
from xr2mri_core.errors import Cancelled, InputError
from xr2mri_core.networks import RadiographCode
from xr2mri_core.request import SAMPLERS as OFFERED

COSINE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": False,
}
PAPER = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
}
MEAN, STD = 0.7, 0.5


def exact_denoiser(training, mean=MEAN, std=STD):
    """The best possible prediction when z_0 ~ N(mean, std^2) in every element."""
    alpha_bars = training.alphas_cumprod.double()

    def denoise(z_t, t):
        a, s = alpha_bars[t].sqrt(), (1 - alpha_bars[t]).sqrt()
        z_0 = mean + a * std**2 / (a**2 * std**2 + s**2) * (z_t - a * mean)
        epsilon = (z_t - a * z_0) / s
        prediction = (
            epsilon if training.config.prediction_type == "epsilon" else a * epsilon - s * z_0
        )
        return prediction.to(z_t.dtype)

    return denoise


@pytest.mark.parametrize("config", [COSINE, PAPER], ids=["compact", "paper"])
@pytest.mark.parametrize(("name", "steps"), [("ddim", 50), ("unipc", 15), ("dpmsolver", 15)])
def test_samplers_reach_the_distribution(config, name, steps):
    training = DDIMScheduler(**config)
    noise = torch.randn(2000, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    z = sample(exact_denoiser(training), noise, build_scheduler(training, name), steps)
    assert float(z.mean()) == pytest.approx(MEAN, abs=0.06)
    assert float(z.std()) == pytest.approx(STD, rel=0.12)


@pytest.mark.parametrize("config", [COSINE, PAPER], ids=["compact", "paper"])
@pytest.mark.parametrize("name", list(SAMPLERS))
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 60, 100])
def test_any_number_of_steps(config, name, steps):
    training = DDIMScheduler(**{**config, "num_train_timesteps": 100})
    seen = []
    noise = torch.randn(1, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    z = sample(
        exact_denoiser(training),
        noise,
        build_scheduler(training.config, name),
        steps,
        callback=lambda done, total, z_t: seen.append((done, total)),
    )
    assert torch.isfinite(z).all() and float((z - MEAN).abs().max()) < 6 * STD
    assert seen[-1] == (len(seen), steps)


@pytest.mark.parametrize("config", [COSINE, PAPER], ids=["compact", "paper"])
@pytest.mark.parametrize(
    ("name", "enough"),
    [("unipc", {6: 0.08, 8: 0.05, 20: 0.03}), ("dpmsolver", {6: 0.12, 8: 0.06, 20: 0.03})],
)
def test_coarse_and_fine_detail_keep_mean_and_deviation_at_few_steps(config, name, enough):
    """What a model with a regression draws: of N(0.4, std^2) the mean at any number of steps, and
    the deviation within what is stated for each, where that is twice the noise's (what all of a
    picture has in common) and where it is a quarter (fine detail)."""
    training = DDIMScheduler(**config)
    seen = 0.02 if config is COSINE else 0.06  # the paper's schedule ends with a sigma of 14.6
    z_T = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64).reshape(3, 1, 1, 1)
    for std in (2.0, 1.0, 0.5, 0.25):
        for steps in range(1, 31):
            denoise = exact_denoiser(training, 0.4, std)
            drawn = sample(denoise, z_T, build_scheduler(training, name), steps).flatten()
            assert float(drawn[1]) == pytest.approx(0.4, abs=seen), (std, steps)
            deviation = float(drawn[2] - drawn[0]) / 2 / std
            assert deviation < 1.06, (std, steps)  # too few draw too little, never too much
            assert deviation == pytest.approx(1, abs=enough.get(steps, 1.0)), (std, steps)


@pytest.mark.parametrize("config", [COSINE, PAPER], ids=["compact", "paper"])
@pytest.mark.parametrize(
    ("name", "counts"),
    [("ddim", (61, 130, 334, 501, 998)), ("unipc", (61, 217)), ("dpmsolver", (61, 334))],
)
def test_coarse_and_fine_detail_keep_mean_and_deviation_at_many_steps(config, name, counts):
    """Most of these do not divide T; the first and last of DDIM's, np.arange gives one too many."""
    training = DDIMScheduler(**config)
    std = torch.tensor([2.0, 1.0, 0.5, 0.25], dtype=torch.float64).reshape(1, 4, 1, 1)
    z_T = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64).reshape(3, 1, 1, 1).expand(3, 4, 1, 1)
    for steps in counts:
        denoise = exact_denoiser(training, 0.4, std)
        low, middle, high = sample(denoise, z_T, build_scheduler(training, name), steps)[..., 0, 0]
        assert float((middle - 0.4).abs().max()) < (0.02 if config is COSINE else 0.06), steps
        deviation = (high - low) / 2 / std.flatten()
        assert float((deviation - 1).abs().max()) < (0.08 if steps < 100 else 0.04), steps


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_there_are_as_many_timesteps_as_steps_are_asked_for(name):
    """All are of the training; DDIM's are spread evenly as whole numbers can be."""
    scheduler = build_scheduler(DDIMScheduler(**COSINE), name)
    for steps in range(1, 1001, 1 if name == "ddim" else 27):
        scheduler.set_timesteps(steps)
        timesteps = scheduler.timesteps
        assert len(timesteps) == steps and timesteps[0] <= 999 and timesteps[-1] >= 0
        if name == "ddim":
            gaps = -timesteps.diff(append=torch.tensor([-1]))
            assert timesteps[0] == 999 and float((gaps - 1000 / steps).abs().max()) < 1


@pytest.mark.parametrize("config", [COSINE, PAPER], ids=["compact", "paper"])
def test_where_steps_divide_the_schedule_ddim_is_that_of_diffusers_to_the_bit(config):
    training = DDIMScheduler(**config)
    noise = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    for steps in (1, 2, 4, 50):
        theirs = DDIMScheduler(**{**config, "timestep_spacing": "trailing"})
        one, other = (
            sample(exact_denoiser(training), noise, scheduler, steps)
            for scheduler in (build_scheduler(training), theirs)
        )
        assert torch.equal(one, other)


@pytest.mark.parametrize("steps, error", [(8, 0.16), (20, 0.07), (50, 0.03)])
def test_ddim_keeps_the_deviation_of_coarse_detail_at_many_steps(steps, error):
    training = DDIMScheduler(**COSINE)
    z_T = torch.tensor([-1.0, 1.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    drawn = sample(exact_denoiser(training, 0.4, 1.0), z_T, build_scheduler(training), steps)
    assert float(drawn.mean()) == pytest.approx(0.4, abs=0.02)
    assert float(drawn[1] - drawn[0]) / 2 == pytest.approx(1, abs=error)


@pytest.mark.parametrize("config", [COSINE, PAPER], ids=["compact", "paper"])
def test_few_steps_start_from_pure_noise(config):
    training = DDIMScheduler(**config)
    for name in SAMPLERS:
        scheduler = build_scheduler(training, name)
        scheduler.set_timesteps(2)
        signal = training.alphas_cumprod[int(scheduler.timesteps[0])].sqrt()
        assert float(signal) < 0.07, name


def test_ddim_is_equation_9():
    """One round of the loop against the equation, written out."""
    training = DDIMScheduler(**PAPER)
    scheduler = build_scheduler(training)
    denoise, states, predictions = exact_denoiser(training), [], []

    def kept(z_t, t):
        states.append((int(t), z_t))
        predictions.append(denoise(z_t, t))
        return predictions[-1]

    sample(kept, torch.randn(1, 1, 4, 4), scheduler, 20)
    (t, z_t), (before, z_before) = states[3:5]
    a, b = training.alphas_cumprod[t], training.alphas_cumprod[before]
    e = predictions[3]
    expected = b.sqrt() * (z_t - (1 - a).sqrt() * e) / a.sqrt() + (1 - b).sqrt() * e
    assert t - before == 50
    torch.testing.assert_close(z_before, expected)


def test_samples_do_not_depend_on_their_batch():
    training = DDIMScheduler(**COSINE)
    noise = torch.randn(5, 1, 2, 2)
    for name in SAMPLERS:
        together = sample(exact_denoiser(training), noise, build_scheduler(training, name), 5)
        alone = sample(exact_denoiser(training), noise[2:3], build_scheduler(training, name), 5)
        assert torch.equal(together[2:3], alone)


def test_cancelling_stops_before_the_next_step():
    training, calls = DDIMScheduler(**COSINE), []

    def denoise(z_t, t):
        calls.append(t)
        return z_t

    with pytest.raises(Cancelled):
        sample(
            denoise,
            torch.zeros(1, 1, 2, 2),
            build_scheduler(training),
            10,
            cancelled=lambda: len(calls) == 3,
        )
    assert len(calls) == 3


def test_wrong_names_and_steps_are_refused():
    training = DDIMScheduler(**COSINE)
    with pytest.raises(InputError, match="ddim, unipc, dpmsolver"):
        build_scheduler(training, "euler")
    for steps in (0, 1001):
        with pytest.raises(InputError, match="1 to 1000"):
            sample(lambda z, t: z, torch.zeros(1, 1, 2, 2), build_scheduler(training), steps)


def fake_denoise(z_t, t, code, depth, features, *more):
    """Linear in every condition, so that guidance can be checked by hand."""
    conditions = code.embedding.sum(-1) + depth + features.sum(-1)
    return z_t + conditions.reshape(-1, 1, 1, 1)


def test_guidance_exaggerates_what_it_is_put_on():
    code = RadiographCode(torch.zeros(1, 1, 2, 2), torch.ones(1, 3))
    depth, features, z_t = torch.tensor([0.1, 0.2]), torch.ones(2, 4), torch.zeros(2, 1, 2, 2)

    def at(guidance):
        predict = guided(fake_denoise, code, depth, features, guidance)
        return predict(z_t, torch.tensor(5))[:, 0, 0, 0]

    torch.testing.assert_close(at(1.0), 3 + depth + 4)
    torch.testing.assert_close(at(3.0), 3 + depth + 3 * 4)
    torch.testing.assert_close(at(0.0), 3 + depth)


def test_interpolated_betas_pass_through_the_same_noise_levels():
    betas = np.array(interpolated_betas(2000))
    assert len(betas) == 2000 and (betas > 0).all() and (betas < 1).all()
    alpha_bar = DDIMScheduler(**PAPER).alphas_cumprod.double().numpy()
    np.testing.assert_allclose(np.cumprod(1 - betas)[1::2], alpha_bar, rtol=2e-5)
    scheduler = DDIMScheduler(
        **{**PAPER, "num_train_timesteps": 2000}, trained_betas=betas.tolist()
    )
    assert len(scheduler.alphas_cumprod) == 2000
    with pytest.raises(ValueError, match="beta_start"):
        interpolated_betas(beta_start=0.5, beta_end=0.1)


def test_the_command_line_offers_what_there_is(capsys):
    assert tuple(SAMPLERS) == OFFERED
    assert main(["generate", "--help"]) == 0
    assert "{ddim,unipc,dpmsolver}" in capsys.readouterr().out
    assert main(["generate", "--radiograph", "x", "--out", "y", "--sampler", "dpm"]) == 2
    assert "dpmsolver" in capsys.readouterr().err
