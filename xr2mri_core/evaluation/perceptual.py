"""LPIPS, FID and KID, by networks trained on photographs, with weights that the user brings.

The project ships none of these weights. LPIPS takes torchvision's AlexNet and the linear layers
that its authors published (v0.1); FID and KID take torchvision's Inception v3. Numbers of other
implementations, whose Inception was converted from another one, are not comparable with these. Both
networks know photographs, not MRI: they tell two methods apart, they do not judge a knee.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from monai.metrics.fid import get_fid_score
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import alexnet, inception_v3

from xr2mri_core.errors import WeightsError
from xr2mri_core.networks.model import read_safetensors

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LPIPS_LAYERS = (1, 4, 7, 9, 11)  # what comes out of AlexNet's rectifiers
_LPIPS_WIDTHS = (64, 192, 384, 256, 256)


def read_weights(path: str | Path) -> Mapping[str, Tensor]:
    """Tensors by name of a ``.safetensors`` file or a PyTorch file, which is read as data alone.

    Raises:
        WeightsError: it is missing or neither.
    """
    path = Path(path)
    if path.suffix == ".safetensors" or not path.is_file():
        return read_safetensors(path)[0]
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can end in any of Python's errors
        raise WeightsError(f"{path}: no weights of PyTorch ({type(error).__name__})") from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path}: no weights of PyTorch by name")
    return state


def _filled(network: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> nn.Module:
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise WeightsError(f"{path}: weights of another network ({first})") from None
    return network.eval().requires_grad_(False)


class LPIPS:
    """Distance of pictures in AlexNet's features (Zhang et al., CVPR 2018).

    Args:
        backbone: torchvision's AlexNet.
        linear: the authors' ``lin0.model.1.weight`` to ``lin4.model.1.weight``.

    Raises:
        WeightsError: a file is missing or of another network.
    """

    def __init__(self, backbone: str | Path, linear: str | Path) -> None:
        network = _filled(alexnet(), read_weights(backbone), backbone)
        self.layers = list(cast(nn.Sequential, network.features))[: _LPIPS_LAYERS[-1] + 1]
        state = read_weights(linear)
        names = [f"lin{index}.model.1.weight" for index in range(len(_LPIPS_LAYERS))]
        if any(state.get(n, torch.empty(0)).numel() != w
               for n, w in zip(names, _LPIPS_WIDTHS, strict=True)):  # fmt: skip
            raise WeightsError(f"{linear}: not the five linear layers of LPIPS for AlexNet")
        self.linear = [state[name].reshape(1, -1, 1, 1).float() for name in names]
        # The authors' constants: ImageNet's, for pictures in [-1, 1].
        self.shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
        self.scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)

    @torch.no_grad()
    def __call__(self, truth: NDArray[np.float32], image: NDArray[np.float32]) -> float:
        """Mean over slices (n, H, W) in [0, 1], of at least 64 pixels."""
        values = [
            self._distance(a, b)
            for a, b in zip(_coloured(truth).split(8), _coloured(image).split(8), strict=True)
        ]
        return float(torch.cat(values).mean())

    def _distance(self, first: Tensor, second: Tensor) -> Tensor:
        total, pair = torch.zeros(len(first)), [2 * v - 1 for v in (first, second)]
        pair = [(v - self.shift) / self.scale for v in pair]
        for index, layer in enumerate(self.layers):
            pair = [layer(v) for v in pair]
            if index in _LPIPS_LAYERS:
                weight = self.linear[_LPIPS_LAYERS.index(index)]
                own, other = (v / (v.square().sum(1, keepdim=True).sqrt() + 1e-10) for v in pair)
                total = total + (weight * (own - other).square()).sum(1).mean((1, 2))
        return total


class InceptionFeatures:
    """What torchvision's Inception v3 sees in slices: 2,048 numbers each.

    Args:
        weights: torchvision's Inception v3.

    Raises:
        WeightsError: the file is missing or of another network.
    """

    def __init__(self, weights: str | Path) -> None:
        network = inception_v3(aux_logits=True, init_weights=False, transform_input=True)
        self.network = _filled(network, read_weights(weights), weights)
        self.network.fc = nn.Identity()

    @torch.no_grad()
    def __call__(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Slices (n, H, W) in [0, 1] -> features (n, 2048)."""
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (_MEAN, _STD))
        parts = []
        for part in _coloured(slices).split(8):
            wide = F.interpolate(part, (299, 299), mode="bilinear", antialias=True)
            parts.append(self.network((wide - mean) / std))
        return torch.cat(parts).numpy()


def frechet_distance(truth: NDArray[np.floating[Any]], image: NDArray[np.floating[Any]]) -> float:
    """FID of two sets of features (n, D); meaningful for n well above D."""
    pair = (torch.from_numpy(v.astype(np.float64)) for v in (image, truth))
    return float(get_fid_score(*pair))


def kernel_distance(truth: NDArray[np.floating[Any]], image: NDArray[np.floating[Any]]) -> float:
    """KID (Binkowski et al., ICLR 2018): unbiased squared MMD, cubic kernel, of features (n, D)."""

    def kernel(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        return (a.astype(np.float64) @ b.T / a.shape[1] + 1) ** 3

    within = 0.0
    for features in (truth, image):
        values, n = kernel(features, features), len(features)
        within += (values.sum() - np.trace(values)) / (n * (n - 1))
    return float(within - 2 * kernel(truth, image).mean())


def _coloured(slices: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.asarray(slices, np.float32))[:, None].expand(-1, 3, -1, -1)
