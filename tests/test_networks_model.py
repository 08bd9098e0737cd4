"""The whole model: the two sizes of the bundle, latents, saving, wrong weights."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from monai.bundle import ConfigParser
from safetensors.torch import save_file

from xr2mri_core.bundle import configured
from xr2mri_core.errors import OutputError, WeightsError
from xr2mri_core.networks import (
    CompactAutoencoder,
    CompactImageEncoder,
    Guidance,
    GuidedUNet,
    XR2MRIModel,
    Zero123ImageEncoder,
    clip_image_tower,
)
from xr2mri_core.networks.model import read_safetensors, write_safetensors

CONFIGS = Path(__file__).parents[1] / "monai_app" / "model" / "knee_xr2mri" / "configs"


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def parsed(size, *names):
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / f"{size}.yaml"))
    with torch.device("meta"):
        return [parser.get_parsed_content(name) for name in names]


def tiny(seed=0, width=16, paper_like=False, scaling_factor=0.5):
    torch.manual_seed(seed)
    if paper_like:
        autoencoder = AutoencoderKL(
            in_channels=3,
            out_channels=3,
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            scaling_factor=scaling_factor,
        )
        clip = clip_image_tower(width=64, layers=1, patch_size=16, image_size=32, output_dim=width)
        encoder = Zero123ImageEncoder(autoencoder, clip, image_size=32)
    else:
        autoencoder = CompactAutoencoder(
            latent_channels=4,
            encoder_channels=(8, 16),
            encoder_layers=(1, 1),
            decoder_channels=(16, 8, 8),
            decoder_layers=(1, 1, 1),
            norm_num_groups=4,
            scaling_factor=scaling_factor,
        )
        encoder = CompactImageEncoder(
            latent_channels=4,
            embedding_dim=width,
            channels=(8, 8, 16),
            num_heads=2,
            norm_num_groups=4,
        )
    unet = GuidedUNet(
        sample_size=8,
        in_channels=8,
        out_channels=4,
        block_out_channels=(8, width),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    return XR2MRIModel(autoencoder, encoder, Guidance(width, 32), unet).eval()


def test_the_paper_size_has_the_papers_numbers():
    unet, autoencoder, model = parsed("paper", "unet", "autoencoder", "model")
    assert count(unet) == 859_532_484
    assert count(autoencoder) == 83_653_863
    assert autoencoder.config.scaling_factor == 0.2
    with torch.device("meta"):
        prediction = model(
            torch.zeros(1, 4, 32, 32),
            torch.zeros(1, dtype=torch.long),
            torch.zeros(1, 1, 256, 256),
            torch.zeros(1),
            torch.zeros(1, 61),
        )
    assert prediction.shape == (1, 4, 32, 32)
    assert count(model.image_encoder.clip) == pytest.approx(304e6, rel=0.01)
    assert not any(p.requires_grad for p in model.image_encoder.parameters())


def test_the_compact_size_fits_its_shipped_file():
    (model,) = parsed("compact", "model")
    assert 2 * count(model) < 60e6  # bytes in 16-bit floats
    with torch.device("meta"):
        code = model.encode_radiograph(torch.zeros(2, 1, 256, 256))
        prediction = model.denoise(
            torch.zeros(2, 16, 16, 16), torch.zeros(2), code, torch.zeros(2), torch.zeros(2, 65)
        )
    assert code.latent.shape == (2, 16, 16, 16) and code.embedding.shape == (2, 256)
    assert prediction.shape == (2, 16, 16, 16)


@pytest.mark.parametrize("paper_like", [False, True])
def test_latents_and_images(paper_like):
    model = tiny(paper_like=paper_like)
    x = torch.rand(2, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        z = model.to_latent(x)
        one, same = (model.to_latent(x, torch.Generator().manual_seed(3)) for _ in range(2))
        image = model.to_image(z)
        channels = x.expand(-1, model.autoencoder.config.in_channels, -1, -1)
        unscaled = model.autoencoder.encode(channels).latent_dist.mode()
    assert image.shape == x.shape
    assert torch.equal(z, unscaled * 0.5)
    assert torch.equal(one, same) and not torch.equal(one, z)


def test_zero123_encoder_gives_the_unscaled_latent_and_stays_frozen():
    model = tiny(paper_like=True).train()
    assert not model.image_encoder.training
    radiograph = torch.rand(1, 1, 64, 64) * 2 - 1
    code = model.encode_radiograph(radiograph)
    expected = model.autoencoder.encode(radiograph.expand(-1, 3, -1, -1)).latent_dist.mode()
    assert torch.equal(code.latent, expected)
    assert code.embedding.shape == (1, 16)
    assert not code.latent.requires_grad


def test_one_code_serves_all_depths():
    model = tiny()
    z_t, depth, features = torch.randn(3, 4, 4, 4), torch.rand(3), torch.zeros(3, 65)
    with torch.no_grad():
        code = model.encode_radiograph(torch.randn(1, 1, 64, 64))
        together = model.denoise(z_t, 7, code, depth, features)
        alone = [
            model.denoise(z_t[i : i + 1], 7, code, depth[i : i + 1], features[:1]) for i in range(3)
        ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_timestep_scale_keeps_the_clock_of_pretrained_weights():
    model = tiny()
    arguments = (torch.randn(1, 1, 64, 64), torch.rand(1), torch.zeros(1, 65))
    z_t = torch.randn(1, 4, 4, 4)
    with torch.no_grad():
        expected = model(z_t, torch.tensor([100]), *arguments)
        model.timestep_scale = 0.5
        assert torch.equal(model(z_t, torch.tensor([200]), *arguments), expected)


@pytest.mark.parametrize("paper_like", [False, True])
def test_weights_come_back_with_the_scaling_factor(tmp_path, paper_like):
    path = tmp_path / "deep" / "model.safetensors"
    model = tiny(1, paper_like=paper_like, scaling_factor=0.7)
    other = tiny(2, paper_like=paper_like)
    model.save_weights(path, metadata={"note": "kept"})
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]
    assert other.load_weights(path)["note"] == "kept"
    assert other.scaling_factor == 0.7
    for (name, value), same in zip(
        model.state_dict().items(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(value, same), name


def test_half_precision_on_disk_becomes_float_again(tmp_path):
    model, other = tiny(1), tiny(2)
    model.save_weights(tmp_path / "full.safetensors")
    model.save_weights(tmp_path / "half.safetensors", dtype=torch.float16)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0] + 20_000
    other.load_weights(tmp_path / "half.safetensors")
    assert other.unet.conv_in.weight.dtype == torch.float32
    torch.testing.assert_close(
        other.unet.conv_in.weight, model.unet.conv_in.weight, atol=1e-3, rtol=1e-2
    )


def test_wrong_weights_are_told_apart(tmp_path):
    model = tiny()
    with pytest.raises(WeightsError, match="no such weights file"):
        model.load_weights(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(WeightsError, match="damaged or no safetensors"):
        model.load_weights(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="weights import"):
        model.load_weights(tmp_path / "foreign.safetensors")
    tiny(width=32).save_weights(tmp_path / "other.safetensors")
    before = model.unet.conv_in.weight.clone()
    with pytest.raises(WeightsError, match=r"another model.*size overlay"):
        model.load_weights(tmp_path / "other.safetensors")
    assert torch.equal(model.unet.conv_in.weight, before)
    model.save_weights(tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="damaged"):
        model.load_weights(tmp_path / "cut.safetensors")


def test_the_same_weights_give_the_same_bytes(tmp_path):
    state = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(1, dtype=torch.float16)}
    text = {
        "format": "x",
        "scaling_factor": "0.9",
        "method": 'Kniegelenk, \u00fc \u03b1\n"',
        "n": "",
    }
    files = [tmp_path / f"{n}.safetensors" for n in range(8)]
    for n, file in enumerate(files):
        write_safetensors(file, state, dict(sorted(text.items(), reverse=bool(n % 2))))
    assert len({file.read_bytes() for file in files}) == 1
    tensors, metadata = read_safetensors(files[0])
    assert metadata == text
    assert all(torch.equal(tensors[name], value) for name, value in state.items())


def test_unwritable_place_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the weights"):
        tiny().save_weights(tmp_path / "file" / "model.safetensors")


def test_zoom_lays_the_radiograph_on_the_grid_of_the_slice():
    """A bright square 40 px wide and 32 px off the centre becomes 0.75 of both."""
    encoder = CompactImageEncoder(channels=(8, 8, 16), num_heads=2, norm_num_groups=4, zoom=0.75)
    radiograph = -torch.ones(1, 1, 128, 128)
    radiograph[..., 64 - 20 : 64 + 20, 96 - 20 : 96 + 20] = 1.0
    bright = encoder._zoomed(radiograph)[0, 0] > 0
    rows, columns = bright.nonzero().float().add(0.5).T
    assert rows.mean() == pytest.approx(64, abs=0.6)
    assert columns.mean() == pytest.approx(64 + 0.75 * 32, abs=0.6)
    assert bright.sum().sqrt() == pytest.approx(0.75 * 40, abs=1.5)


def test_zoom_repeats_the_edge_and_refuses_nonsense():
    encoder = CompactImageEncoder(channels=(8, 8, 16), num_heads=2, norm_num_groups=4, zoom=0.8)
    assert torch.allclose(encoder._zoomed(torch.full((1, 1, 64, 64), 0.3)), torch.tensor(0.3))
    with pytest.raises(ValueError, match="zoom"):
        CompactImageEncoder(zoom=0.0)


def test_the_regression_s_clock_is_the_denoiser_s(tiny_bundle):
    def clocks(**given):
        parser = configured(tiny_bundle, ["compact", "volume"])
        for name, value in given.items():
            parser[name.replace("__", "#")] = value
        model = parser.get_parsed_content("model")
        return model.regression.timestep, model.timestep(
            parser["scheduler#num_train_timesteps"] - 1
        )

    assert clocks() == (999.0, 999)
    paper = clocks(scheduler__num_train_timesteps=2000, model__timestep_scale=0.5)
    assert paper == (999.5, 999.5)
