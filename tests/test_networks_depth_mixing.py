"""Depth mixing and regression: what they change, what they leave, and how far they reach."""

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from samples import VOLUME, make_tiny_bundle

from xr2mri_core.bundle import configured
from xr2mri_core.errors import WeightsError
from xr2mri_core.networks import DepthMixing
from xr2mri_core.networks.model import is_volumetric
from xr2mri_core.networks.pretrained import load_parts


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """A bundle of the paper's form: each slice alone."""
    return make_tiny_bundle(tmp_path_factory.mktemp("flat") / "knee_xr2mri")


def model_of(bundle, *overlays):
    torch.manual_seed(1)
    return configured(bundle, ["compact", *overlays]).get_parsed_content("model").eval()


@pytest.fixture(scope="module")
def pair(flat):
    """The 2-D model and a volume model that starts from its weights."""
    weights = flat / "models" / "knee_xr2mri.safetensors"
    plain, wide = model_of(flat), model_of(flat, "volume")
    plain.load_weights(weights)
    load_parts(wide, weights)
    return plain, wide


def inputs(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z_t = torch.randn(count, 4, 4, 4, generator=generator)
    y = torch.randn(1, 1, 64, 64, generator=generator)
    r = torch.zeros(count, 65)
    r[:, 7] = 1
    return z_t, y, torch.linspace(0.3, 0.5, count), r


@torch.no_grad()
def test_new_parts_change_nothing_before_they_are_trained(pair):
    plain, wide = pair
    z_t, y, d, r = inputs(6)
    mean = wide.regression(wide.regression.encode_radiograph(y), d, r)
    expected = plain.denoise(z_t, 300, plain.encode_radiograph(y), d, r)
    code = wide.encode_radiograph(y)
    assert torch.equal(wide.denoise(z_t, 300, code, d, r, mean, slab=6), expected)
    assert torch.equal(wide.denoise(z_t, 300, code, d, r, mean), expected)
    one_step = plain.denoise(torch.zeros_like(z_t), 999.0, plain.encode_radiograph(y), d, r)
    assert torch.equal(mean, -one_step)


@torch.no_grad()
def test_a_residual_comes_back_as_the_latent(volume_generator):
    model = volume_generator.model
    z_0, mean = torch.randn(2, 3, 4, 4, 4)
    residual = model.to_residual(z_0, mean)
    torch.testing.assert_close(residual, (z_0 - mean) / 0.6)
    torch.testing.assert_close(model.from_residual(residual, mean), z_0)


@torch.no_grad()
def test_a_slice_depends_on_its_neighbours_as_far_as_the_layers_reach(volume_generator):
    model = volume_generator.model
    assert model.depth_mixing.reach == 5  # two levels down, the middle, two up
    z_t, y, d, r = inputs(15)
    code = model.encode_radiograph(y)
    mean = torch.zeros_like(z_t)
    before = model.denoise(z_t, 300, code, d, r, mean, slab=15)
    z_t[7] += 1
    changed = (model.denoise(z_t, 300, code, d, r, mean, slab=15) - before).abs().amax((1, 2, 3))
    assert (changed[2:13] > 0).all() and not changed[:2].any() and not changed[13:].any()
    alone = model.denoise(z_t, 300, code, d, r, mean)
    assert (alone - model.denoise(z_t, 300, code, d, r, mean, slab=15)).abs().max() > 1e-3


@torch.no_grad()
def test_slabs_of_a_batch_do_not_know_of_one_another(volume_generator):
    model = volume_generator.model
    z_t, y, d, r = inputs(8)
    d = torch.cat([d[:4], d[:4] + 0.3])
    code, mean = model.encode_radiograph(y), torch.zeros_like(z_t)
    together = model.denoise(z_t, 300, code, d, r, mean, slab=4)
    apart = [
        model.denoise(z_t[s], 300, code, d[s], r[s], mean[s], slab=4)
        for s in (slice(0, 4), slice(4, 8))
    ]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_spacing_of_the_slices_matters(volume_generator):
    mixing = volume_generator.model.depth_mixing
    hidden, time = torch.ones(8, 16, 4, 4), torch.zeros(8, 64)
    hidden += torch.arange(8.0)[:, None, None, None] * torch.linspace(-1, 1, 16)[:, None, None]
    near, far = (
        mixing.over(0.5 + step * torch.arange(8.0), 8)(0, hidden, time) for step in (0.002, 0.04)
    )
    assert (near - far).abs().max() > 1e-4


@pytest.mark.parametrize("slab", [1, 3])
def test_batches_that_are_no_slabs_are_refused(slab):
    with pytest.raises(ValueError, match="slabs"):
        DepthMixing([32], 16).over(torch.linspace(0, 1, 8), slab)


def test_weights_tell_what_they_have_and_load_again(flat, tmp_path, pair):
    _, wide = pair
    path = tmp_path / "wide.safetensors"
    wide.save_weights(path)
    assert is_volumetric(path) and not is_volumetric(flat / "models" / "knee_xr2mri.safetensors")
    other = model_of(flat, "volume")
    other.load_weights(path)
    for name, value in wide.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    with pytest.raises(WeightsError, match="no such weights"):
        is_volumetric(tmp_path / "none.safetensors")


def test_a_volume_model_does_not_take_2d_weights_for_its_own(flat):
    with pytest.raises(WeightsError, match="of another model"):
        model_of(flat, "volume").load_weights(flat / "models" / "knee_xr2mri.safetensors")


def test_the_overlay_fits_both_sizes():
    for size, channels, layers in (("compact", 48, 7), ("paper", 12, 9)):
        parser = ConfigParser()
        parser.read_config([str(VOLUME.with_name(f"{size}.yaml")), str(VOLUME)])
        with torch.device("meta"):
            model = parser.get_parsed_content("model")
        assert model.unet.config.in_channels == channels
        assert len(model.depth_mixing.layers) == layers
        assert model.regression.unet.config.in_channels == channels
        assert model.regression.unet is not model.unet
        assert model.regression.timestep == 999
        if size == "paper":  # the frozen parts are shared, not doubled
            assert model.regression.image_encoder.autoencoder is model.autoencoder


def test_noise_of_training_is_the_noise_of_sampling():
    from xr2mri_core.diffusion import DepthNoise

    depths = np.linspace(0.2, 0.2 + 5 / 49, 6)
    noise = DepthNoise((64, 8, 8), length=1.2)
    drawn = noise.drawn(depths, torch.Generator().manual_seed(0)).flatten(1)
    made = noise(depths).flatten(1)
    for lag in range(4):
        expected = np.exp(-(lag**2) / (2 * 1.2**2))
        for kind in (drawn, made):
            assert float((kind[0] * kind[lag]).mean()) == pytest.approx(expected, abs=0.05)
    independent = DepthNoise((64, 8, 8), length=0).drawn(depths, torch.Generator().manual_seed(0))
    assert float((independent[0] * independent[1]).mean()) == pytest.approx(0, abs=0.05)
