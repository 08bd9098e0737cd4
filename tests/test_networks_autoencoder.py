"""The compact autoencoder: shapes, latent distribution, configuration, saving."""

import pytest
import torch

from xr2mri_core.networks.autoencoder import CompactAutoencoder

TINY = {
    "latent_channels": 4,
    "encoder_channels": (8, 16),
    "encoder_layers": (1, 1),
    "decoder_channels": (16, 8, 8),
    "decoder_layers": (1, 1, 1),
    "refine_channels": 2,
    "norm_num_groups": 4,
}


def test_default_size_maps_256_to_16x16x16():
    with torch.device("meta"):
        net = CompactAutoencoder()
        z = net.encode(torch.zeros(2, 1, 256, 256)).latent_dist.mode()
        x = net.decode(z).sample
    assert z.shape == (2, 16, 16, 16)
    assert x.shape == (2, 1, 256, 256)


@pytest.mark.parametrize("channels", [1, 3])
def test_forward_and_gradients(channels):
    net = CompactAutoencoder(in_channels=channels, **TINY)
    x = torch.randn(2, channels, 64, 64)
    y = net(x, sample_posterior=True, generator=torch.Generator().manual_seed(0)).sample
    assert y.shape == x.shape
    y.square().mean().backward()
    missing = [n for n, p in net.named_parameters() if p.grad is None]
    assert not missing


def test_posterior_sampling_is_seeded():
    net = CompactAutoencoder(**TINY)
    dist = net.encode(torch.randn(1, 1, 64, 64)).latent_dist
    draw = [dist.sample(torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])


def test_saves_and_loads(tmp_path):
    net = CompactAutoencoder(scaling_factor=0.7, **TINY).eval()
    net.save_pretrained(tmp_path)
    again = CompactAutoencoder.from_pretrained(tmp_path).eval()
    x = torch.randn(1, 1, 64, 64)
    assert again.config.scaling_factor == 0.7
    assert torch.equal(net(x).sample, again(x).sample)


def test_mismatched_sides_are_refused():
    with pytest.raises(ValueError, match="divides the side by 16"):
        CompactAutoencoder(decoder_patch=8)
    with pytest.raises(ValueError, match="one number of layers per width"):
        CompactAutoencoder(encoder_layers=(1,))
