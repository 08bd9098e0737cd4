"""A tiny model's configuration and a rough radiograph, for fixtures and tests."""

import shutil
from pathlib import Path

import numpy as np

TINY = """
image_size: 64
grading: oai
autoencoder:
  _target_: xr2mri_core.networks.CompactAutoencoder
  latent_channels: 4
  encoder_channels: [16, 16]
  encoder_layers: [1, 1]
  decoder_channels: [16, 16]
  decoder_layers: [1, 1]
  encoder_patch: 8
  decoder_patch: 8
  norm_num_groups: 4
image_encoder:
  _target_: xr2mri_core.networks.CompactImageEncoder
  latent_channels: 4
  embedding_dim: 16
  channels: [8, 16, 16]
  num_heads: 2
  norm_num_groups: 4
guidance:
  _target_: xr2mri_core.networks.Guidance
  cross_attention_dim: 16
  time_embed_dim: 64
  grading: '@grading'
  tokens: per_variable
  embedding_std: 1.0
unet:
  _target_: xr2mri_core.networks.GuidedUNet
  sample_size: 4
  in_channels: 8
  out_channels: 4
  block_out_channels: [16, 32]
  layers_per_block: 1
  down_block_types: [CrossAttnDownBlock2D, DownBlock2D]
  up_block_types: [UpBlock2D, CrossAttnUpBlock2D]
  cross_attention_dim: 16
  attention_head_dim: 2
  norm_num_groups: 8
model:
  _target_: xr2mri_core.networks.XR2MRIModel
  autoencoder: '@autoencoder'
  image_encoder: '@image_encoder'
  guidance: '@guidance'
  unet: '@unet'
scheduler:
  _target_: diffusers.DDIMScheduler
  num_train_timesteps: 1000
  beta_schedule: squaredcos_cap_v2
  prediction_type: v_prediction
  timestep_spacing: trailing
  clip_sample: false
sampling:
  steps: 3
  sampler: unipc
  noise_length: 1.2
  batch_size: 8
"""

INFERENCE = """
generation:
  image_size: '@image_size'
  sampler: unipc
  steps: 3
  guidance: 1.0
  noise_length: 1.2
  batch_size: 8
"""


VOLUME = Path(__file__).parents[1] / "monai_app/model/knee_xr2mri/configs/volume.yaml"


def make_tiny_bundle(
    bundle: str | Path, demographics: bool = False, volume: bool = False, seed: int = 0
) -> Path:
    """Write a bundle folder with random weights.

    Args:
        bundle: the folder.
        demographics: the model is also guided by age, sex and BMI.
        volume: it has a regression and depth mixing, as the shipped overlay adds them.
        seed: of the weights.
    """
    import torch
    import yaml
    from monai.bundle import ConfigParser

    bundle = Path(bundle)
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs" / "compact.yaml").write_text(TINY)
    (bundle / "configs" / "inference.yaml").write_text(INFERENCE)
    overlay = yaml.safe_load(VOLUME.read_text())
    overlay["depth_mixing"]["norm_num_groups"] = 8
    (bundle / "configs" / "volume.yaml").write_text(yaml.safe_dump(overlay))
    shutil.copytree(VOLUME.with_name("baselines"), bundle / "configs" / "baselines")
    names = ["inference", "compact", *(["volume"] if volume else [])]
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.yaml") for name in names])
    torch.manual_seed(seed)
    model = parser.get_parsed_content("model")
    if demographics:
        model.add_demographics()
    for name, parameter in model.named_parameters():  # the zero-initialised ends too
        if "guidance." in name or name.startswith("depth_mixing."):
            torch.nn.init.normal_(parameter, std=0.5 if "guidance." in name else 0.1)
    if volume:
        model.regression.std.fill_(0.6)
    model.save_weights(bundle / "models" / "knee_xr2mri.safetensors")
    return bundle


def draw_knee(size: int = 96, shift: int = 0, seed: int = 0) -> np.ndarray:
    """A rough knee radiograph (size, size) uint8: two bones with a gap, fibula on image left."""
    rows, columns = np.mgrid[:size, :size] / size
    picture = 40 + 60 * np.exp(-(((columns - 0.5) / 0.4) ** 2))
    bone = (np.abs(columns - 0.5 - shift / size) < 0.22) & (np.abs(rows - 0.5) > 0.03)
    fibula = (np.abs(columns - 0.22 - shift / size) < 0.04) & (rows > 0.6)
    picture += 90.0 * (bone | fibula)
    picture += np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)
