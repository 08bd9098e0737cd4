"""Small networks that read a volume, trained on true ones: where are the bones, what is the grade?

Judged on generated volumes they tell what a reader could see there. What they reach on the true
test volumes is their ceiling, and is reported beside every number.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from monai.metrics import compute_average_surface_distance, compute_dice
from monai.networks.nets import UNet
from monai.transforms import KeepLargestConnectedComponent
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F

from xr2mri_core.evaluation.metrics import PIXEL_MM
from xr2mri_core.features import VARIABLES
from xr2mri_core.geometry import WINDOW_MM
from xr2mri_core.networks.model import check_state, read_safetensors, write_safetensors
from xr2mri_core.phantom.tissues import PATHOLOGY, Tissue
from xr2mri_core.training import SliceCache
from xr2mri_core.training.cache import from_bytes

logger = logging.getLogger("xr2mri")
Number = TypeVar("Number", bound=np.generic)

STRUCTURES: dict[str, tuple[Tissue, ...]] = {
    "femur": (Tissue.TRABECULAR_MARROW,),
    "tibia": (Tissue.TIBIA_MARROW,),
    "cartilage": (
        Tissue.FEMORAL_CARTILAGE,
        Tissue.TIBIAL_CARTILAGE_MEDIAL,
        Tissue.TIBIAL_CARTILAGE_LATERAL,
        Tissue.PATELLAR_CARTILAGE,
    ),
    "meniscus": (Tissue.MENISCUS_MEDIAL, Tissue.MENISCUS_LATERAL),
}
"""What the segmentation network tells apart; everything else is background."""

_BONES = [number for number, name in enumerate(STRUCTURES, 1) if name in ("femur", "tibia")]
_IN_ONE_PIECE = KeepLargestConnectedComponent(_BONES, is_onehot=False, connectivity=1)

PRESENT = {name.name: (2 if name.name == "V00XRKL" else 1) for name in VARIABLES}
"""Variable -> lowest grade that counts as present (Kellgren-Lawrence: radiographic OA, 2)."""

READERS_VERSION = 3
"""Raised when the networks are built or trained in another way: what they said before is stale."""

_AT_ONCE = 10  # slices in one pass
_SIGNS = 32  # what else the grader may look for
_CELL = 8  # pixels of a place of the grader
_SEEN = 0.04  # share of a cell's pixels from which on a finding is there
_RARE = 8.0  # weight of a cell with a finding against one without


def structures_of(labels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Label maps of the phantom (..., H, W) -> 0 (background), 1, ... of `STRUCTURES`, uint8."""
    table = np.zeros(256, np.uint8)
    for index, tissues in enumerate(STRUCTURES.values(), start=1):
        table[[int(tissue) for tissue in tissues]] = index
    return table[labels]


class Segmenter(nn.Module):
    """A 2-D U-Net of 0.2 million parameters: slice -> structure of every pixel.

    Args:
        channels: widths of its levels, each half as large as the one before.
    """

    def __init__(self, channels: Sequence[int] = (16, 32, 48, 64)) -> None:
        super().__init__()
        self.net = UNet(2, 1, 1 + len(STRUCTURES), channels, (2,) * (len(channels) - 1),
                        num_res_units=1)  # fmt: skip

    def forward(self, slices: Tensor) -> Tensor:
        """(B, 1, H, W) in [-1, 1] -> logits (B, 1 + structures, H, W)."""
        return self.net(slices)

    @torch.no_grad()
    def segment(self, slices: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Slices (n, H, W) in [0, 1] -> structures (n, H, W) uint8.

        A bone is in one piece: of what is taken for one, the largest piece is kept. Crumbs far away
        hardly change a Dice; the mean distance of surfaces consists of little else.
        """
        self.eval()
        parts = torch.from_numpy(np.asarray(slices, np.float32))[:, None].mul(2).sub(1)
        found = torch.cat([self(part).argmax(1).to(torch.uint8) for part in parts.split(_AT_ONCE)])
        return np.asarray(_IN_ONE_PIECE(found[None]))[0].astype(np.uint8)


class Grader(nn.Module):
    """Volume -> is each of the 19 features present? Slices are looked at alone; the best counts.

    A finding such as a cyst is seen in a few slices and in one place: convolutions find it, the
    largest response over slices and in each quarter of the joint (femur or tibia, medial or
    lateral) tells it. From grades of whole volumes alone that is hardly learned, so where label
    maps tell the place of `PATHOLOGY`, the network learns that, too.

    Args:
        channels: widths; each layer but the last halves the picture.
    """

    def __init__(self, channels: Sequence[int] = (24, 48, 64, 96)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise([1, *channels[:-1]]):
            layers += _layer(before, after, stride=2)
        layers += _layer(channels[-2], channels[-1])
        layers += _layer(channels[-1], channels[-1], dilation=2)
        self.look = nn.Sequential(*layers)
        self.places = nn.Conv2d(channels[-1], len(PATHOLOGY), 1)
        self.signs = nn.Conv2d(channels[-1], _SIGNS, 1)
        self.tell = nn.Linear(4 * (len(PATHOLOGY) + _SIGNS) + _SIGNS, len(VARIABLES))

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """One volume's middle rows (n, 1, H, W) of `joint_crop`, in [-1, 1].

        Returns:
            Logits (variables,), and those of each of `PATHOLOGY` at places (n, findings, h/8, w/8).
        """
        seen = self.look(slices)
        places, signs = self.places(seen), self.signs(seen)
        strongest = F.adaptive_max_pool2d(torch.cat([places, signs], 1), 2).amax(0)
        return self.tell(torch.cat([strongest.flatten(), signs.mean((0, 2, 3))])), places

    @torch.no_grad()
    def grade(self, slices: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Slices (n, H, W) in [0, 1], right-knee frame -> scores (variables,)."""
        self.eval()
        middle = torch.from_numpy(joint_crop(np.asarray(slices, np.float32)))
        return self(middle[:, None].mul(2).sub(1))[0].numpy()


def _layer(before: int, after: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, 3, stride, padding=dilation, dilation=dilation)
    return [convolution, nn.GroupNorm(8, after), nn.SiLU()]


def joint_crop(slices: NDArray[Number]) -> NDArray[Number]:
    """The middle half of the rows (..., H, W), where all features are."""
    height = slices.shape[-2]
    return slices[..., height // 4 : height - height // 4, :]


def presence(features: dict[str, Any]) -> NDArray[np.float64]:
    """Grades -> 1 (present), 0 (absent) or NaN (not read) of each variable, in Table I's order."""
    return np.array(
        [
            np.nan if variable.name not in features else
            float(features[variable.name] >= PRESENT[variable.name])
            for variable in VARIABLES
        ]
    )  # fmt: skip


# --- training -----------------------------------------------------------------------------------


def load_or_train(
    network: nn.Module, file: Path, train: Callable[[nn.Module], float], name: str
) -> nn.Module:
    """Fill a network from a safetensors file, or train it and write that file.

    Raises:
        WeightsError: the file is of another network.
    """
    if file.is_file():
        state, _ = read_safetensors(file)
        check_state(network.state_dict(), state, file)
        network.load_state_dict(state)
    else:
        loss = train(network)
        logger.info("%s: trained, loss %.3f", name, loss)
        write_safetensors(file, network.state_dict())
    return network.eval()


def train_segmenter(
    network: nn.Module, slices: SliceCache, steps: int = 600, batch: int = 8, seed: int = 0
) -> float:
    """Cross entropy and Dice loss on slices of the cache, which has labels; the last loss.

    Greys and contrast are changed at random: generated volumes are not quite as bright as true
    ones, and are to be read all the same.
    """
    rng, arrays = np.random.default_rng(seed), slices.arrays
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    loss = torch.tensor(float("nan"))
    network.train()
    for step in range(steps):
        _cool(optimizer, 3e-3, step / steps)
        rows = (
            rng.integers(len(slices), size=batch),
            rng.integers(slices.slices_per_case, size=batch),
        )
        pictures = _changed(from_bytes(arrays["slices"][rows]).unsqueeze(1), rng)
        target = torch.from_numpy(structures_of(arrays["labels"][rows])).long()
        logits = network(pictures)
        loss = F.cross_entropy(logits, target) + _soft_dice_loss(logits, target)
        _step(optimizer, loss)
    return float(loss.detach())


def train_grader(network: nn.Module, slices: SliceCache, steps: int = 1500, seed: int = 0) -> float:
    """Binary cross entropy of the features that were read, two volumes a step; the last loss.

    Where the cache has label maps, that of where `PATHOLOGY` are is added.
    """
    rng, labels = np.random.default_rng(seed), slices.arrays.get("labels")
    present = np.stack([presence(item["features"]) for item in slices.items])
    with_prior = np.vstack([present, np.full(present.shape[1], 0.5)])
    rate = np.clip(np.nan_to_num(np.nanmean(with_prior, 0)), 0.05, 0.95)
    weight = torch.from_numpy((1 - rate) / rate).float()  # rare ones count as much as their absence
    rare = torch.full((len(PATHOLOGY), 1, 1), _RARE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    losses: list[float] = []
    network.train()
    for step in range(steps):
        _cool(optimizer, 2e-3, step / steps)
        total = torch.zeros(())
        for case in rng.integers(len(slices), size=2):
            middle = joint_crop(slices.arrays["slices"][case])
            logits, places = network(_changed(from_bytes(middle).unsqueeze(1), rng))
            truth, known = torch.from_numpy(present[case]).float(), ~np.isnan(present[case])
            if known.any():
                chosen = torch.from_numpy(known)
                total = total + F.binary_cross_entropy_with_logits(
                    logits[chosen], truth[chosen], pos_weight=weight[chosen]
                )
            if labels is not None:
                where = places_of(labels[case])
                total = total + 2 * F.binary_cross_entropy_with_logits(
                    places, where, pos_weight=rare
                )
        if total.requires_grad:
            _step(optimizer, total / 2)
            losses.append(float(total.detach()) / 2)
    return float(np.mean(losses[-50:])) if losses else float("nan")


def places_of(labels: NDArray[np.integer[Any]]) -> Tensor:
    """Label maps (n, H, W) -> is each of `PATHOLOGY` there? (n, findings, h, w), 0 or 1,
    in cells of 8 pixels of the `joint_crop`."""
    middle = torch.from_numpy(joint_crop(labels))
    found = torch.stack([middle == int(tissue) for tissue in PATHOLOGY], 1).float()
    return (F.avg_pool2d(found, _CELL) > _SEEN).float()


def _changed(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    gain, shift, noise = rng.uniform(0.85, 1.15), rng.uniform(-0.1, 0.1), rng.uniform(0, 0.08)
    grain = torch.from_numpy(rng.standard_normal(pictures.shape, dtype=np.float32))
    return (pictures * float(gain) + float(shift) + float(noise) * grain).clamp(-1, 1)


def _soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    share = logits.softmax(1)[:, 1:]
    truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:].to(share)
    both = (share * truth).sum((0, 2, 3))
    return 1 - ((2 * both + 1) / (share.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1)).mean()


def _cool(optimizer: torch.optim.Optimizer, rate: float, progress: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * progress))


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


# --- what they tell -----------------------------------------------------------------------------


def structure_scores(true: NDArray[np.uint8], found: NDArray[np.uint8]) -> dict[str, float]:
    """Dice and surface distance of each structure of a volume.

    Args:
        true, found: structures (n, H, W) uint8, `structures_of` the labels and `Segmenter.segment`.

    Returns:
        ``dice_femur``, ... in [0, 1] and ``surface_femur``, ..., the mean symmetric distance of the
        surfaces in mm, in 3-D; NaN where the truth has no such structure; a structure that is not
        found at all has no distance, and a Dice of 0.
    """
    numbers = torch.arange(1, 1 + len(STRUCTURES), dtype=torch.uint8)[:, None, None, None]
    pair = [(torch.from_numpy(v) == numbers)[None] for v in (found, true)]
    dice = compute_dice(pair[0], pair[1], include_background=True, ignore_empty=True)[0].numpy()
    spacing = (WINDOW_MM / max(len(true) - 1, 1), PIXEL_MM, PIXEL_MM)
    values = {}
    for index, name in enumerate(STRUCTURES):
        own, truth = (v[:, index : index + 1] for v in pair)
        values[f"dice_{name}"] = float(dice[index])
        values[f"surface_{name}"] = (
            float(
                compute_average_surface_distance(
                    own, truth, include_background=True, symmetric=True, spacing=spacing
                )
            )
            if own.any() and truth.any()
            else float("nan")
        )
    return values


def feature_auc(scores: NDArray[np.floating[Any]], truth: NDArray[np.float64]) -> dict[str, float]:
    """Area under the ROC curve of each variable.

    Args:
        scores: (cases, variables) of `Grader.grade`.
        truth: (cases, variables) of `presence`.

    Returns:
        Variable -> AUC, 0.5 by chance; NaN where all cases that were read are alike.
    """
    values = {}
    for index, variable in enumerate(VARIABLES):
        known = ~np.isnan(truth[:, index])
        present = truth[known, index] > 0
        count, absent = int(present.sum()), int((~present).sum())
        area = float("nan")
        if count and absent:  # the share of pairs in the right order, by their ranks
            ranks = rankdata(scores[known, index])
            area = float((ranks[present].sum() - count * (count + 1) / 2) / (count * absent))
        values[variable.name] = area
    return values
