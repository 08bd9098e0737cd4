"""Shared fixtures: a bundle whose networks are tiny and untrained, pictures and volumes to match.

The tiny bundle has every part of the shipped one (inference configuration, size overlay, weights),
so what is tested on it in seconds is the code that generates with the trained model.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("xr2mri", deadline=None)  # a busy machine is no failure
settings.load_profile("xr2mri")

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


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory) -> Path:
    """A bundle folder with random weights."""
    import torch
    from monai.bundle import ConfigParser

    bundle = tmp_path_factory.mktemp("bundle") / "knee_xr2mri"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs" / "compact.yaml").write_text(TINY)
    (bundle / "configs" / "inference.yaml").write_text(INFERENCE)
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{n}.yaml") for n in ("inference", "compact")])
    torch.manual_seed(0)
    model = parser.get_parsed_content("model")
    for parameter in model.guidance.parameters():  # the zero-initialised ends too
        torch.nn.init.normal_(parameter, std=0.5)
    model.save_weights(bundle / "models" / "knee_xr2mri.safetensors")
    return bundle


@pytest.fixture(scope="session")
def generator(tiny_bundle):
    """A generator with the tiny bundle's model on the CPU."""
    from xr2mri_core.generation import KneeMRIGenerator

    return KneeMRIGenerator.from_bundle(tiny_bundle, "cpu")


def draw_knee(size: int = 96, shift: int = 0, seed: int = 0) -> np.ndarray:
    """A rough knee radiograph (size, size) uint8: two bones with a gap, fibula on image left."""
    rows, columns = np.mgrid[:size, :size] / size
    picture = 40 + 60 * np.exp(-(((columns - 0.5) / 0.4) ** 2))
    bone = (np.abs(columns - 0.5 - shift / size) < 0.22) & (np.abs(rows - 0.5) > 0.03)
    fibula = (np.abs(columns - 0.22 - shift / size) < 0.04) & (rows > 0.6)
    picture += 90.0 * (bone | fibula)
    picture += np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture
def radiograph(tmp_path) -> Path:
    """A radiograph as a PNG file."""
    from PIL import Image

    path = tmp_path / "knee.png"
    Image.fromarray(draw_knee()).save(path)
    return path


@pytest.fixture(scope="session")
def small_datalist(tmp_path_factory) -> Path:
    """Five patients with small volumes: two for training, one for validation, two for test."""
    import nibabel as nib
    from PIL import Image

    from xr2mri_core.datalist import save_datalist
    from xr2mri_core.geometry import centred_affine

    folder = tmp_path_factory.mktemp("patients")
    items = []
    for index in range(5):
        random = np.random.default_rng(index)
        knee = draw_knee(64, shift=index, seed=index)
        volume = np.repeat(knee[::-1, ::-1].T[:, None], 80, 1).astype(np.int16)
        volume[:, :, :] += random.integers(0, 8, volume.shape, np.int16)
        nib.save(
            nib.Nifti1Image(volume, centred_affine(volume.shape, (2.5, 1.5, 2.5))),
            folder / f"{index}.nii.gz",
        )
        Image.fromarray(knee).save(folder / f"{index}.png")
        items.append(
            {
                "case": f"case-{index}",
                "participant": f"person-{index}",
                "radiograph": str(folder / f"{index}.png"),
                "mri": str(folder / f"{index}.nii.gz"),
                "laterality": "L" if index == 4 else "R",
                "features": {"V00XRKL": index % 5},
            }
        )
    splits = {"training": items[:2], "validation": items[2:3], "test": items[3:]}
    return save_datalist(folder / "datalist.json", splits, "small", synthetic=True)


@pytest.fixture
def form(tmp_path) -> Path:
    """A feature form as a JSON file."""
    path = tmp_path / "features.json"
    path.write_text(json.dumps({"V00XRKL": 2, "V00XRJSM": 1}))
    return path
