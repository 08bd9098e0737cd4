"""What the diffusion stage starts from: nothing frozen may be random."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from torch import nn

from xr2mri_core.errors import WeightsError
from xr2mri_core.networks import XR2MRIModel
from xr2mri_core.networks.pretrained import load_parts

_REMEDIES = {
    "autoencoder": (
        "give the folder that the autoencoder stage wrote, or initial weights that hold one, of a "
        "model or of an imported Zero-123",
        "autoencoder_dir",
    ),
    "image_encoder.clip": (
        "add CLIP to a file with 'xr2mri weights import clip CLIP_FILE FILE' and give that as the "
        "initial weights",
        "initial_weights",
    ),
}
_OTHER_REMEDY = ("give initial weights that hold it", "initial_weights")


def start_model(
    model: XR2MRIModel, initial_weights: str | Path | None, autoencoder_dir: str | Path | None
) -> list[str]:
    """Fill a model, in place, with the weights that its training starts from.

    Args:
        model: a model of the size overlay.
        initial_weights: imported parts or a whole model (`load_parts`); None: random weights.
        autoencoder_dir: what `load_autoencoder` will fill the autoencoder from; None: it is to come
            with the initial weights.

    Returns:
        The parts that are filled from the initial weights.

    Raises:
        WeightsError: the file cannot be used, or a part that stays frozen would keep random
            weights; the error names the option that is missing.
    """
    filled = load_parts(model, initial_weights) if initial_weights else []
    given = [*filled, "autoencoder"] if autoencoder_dir is not None else filled
    for part in frozen_parts(model):
        if not any(part == name or part.startswith(f"{name}.") for name in given):
            remedy, option = _REMEDIES.get(part, _OTHER_REMEDY)
            raise WeightsError(
                f"the {part} is not trained in this stage and would keep random weights: {remedy}",
                option=option,
            )
    return filled


def check_start(stage: nn.Module) -> None:
    """Refuse a stage that would draw what a frozen regression leaves that nothing has trained.

    Its training ends with the measurement of its residual (`measure_residual`): where `std` is 1 to
    the bit, its weights are random, or those of a denoiser (`widened`).

    Args:
        stage: the stage as it is trained, with its `model`.

    Raises:
        WeightsError: the regression is frozen, and nothing has trained it.
    """
    regression = cast(Any, stage).model.regression
    if regression is None or any(p.requires_grad for p in regression.parameters()):
        return
    if bool((regression.std == 1).all()):
        raise WeightsError(
            "the regression is not trained in this stage, and nothing has trained it yet: train it "
            "first, with train_regression.yaml as the last configuration, and give what that "
            "writes as the initial weights",
            option="initial_weights",
        )


def frozen_parts(model: nn.Module) -> list[str]:
    """Parts of a model that its diffusion stage does not train: the autoencoder, CLIP."""
    names = (name for name, p in model.named_parameters() if not p.requires_grad)
    found = {".".join(name.split(".")[:2]) for name in names}
    kept = {"autoencoder" if name.startswith("autoencoder.") else name for name in found}
    return sorted(kept | {"autoencoder"})
