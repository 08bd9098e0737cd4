"""Import of pre-trained weights that a user brings: Zero-123 (ldm format) and CLIP.

    xr2mri weights import zero123 105000.ckpt pretrained.safetensors
    xr2mri weights import clip ViT-L-14.pt pretrained.safetensors

writes a safetensors file of *parts*, named as in `XR2MRIModel` of the paper's size; the second
line adds to the parts of the first. `load_parts` fills a model with them before training. The
project ships no such weights; Zero-123's come probably under the CreativeML OpenRAIL-M licence,
OpenAI's under MIT.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from xr2mri_core.errors import OutputError, WeightsError, shown
from xr2mri_core.networks.checkpoint_file import State, read_checkpoint
from xr2mri_core.networks.model import (
    FORMAT,
    XR2MRIModel,
    check_state,
    read_safetensors,
    unique_state,
    widened,
    write_safetensors,
)
from xr2mri_core.shipped import bundle_folder

PARTS_FORMAT = "xr2mri-parts-1"

_UNET, _AUTOENCODER = "model.diffusion_model.", "first_stage_model."
_PROJECTION, _CLIP = "cc_projection.", "cond_stage_model.model.visual."
_COS_AZIMUTH = 2  # of Zero-123's pose [polar, sin azimuth, cos azimuth, radius]


@dataclass(frozen=True)
class ImportReport:
    """What an import has found.

    Attributes:
        kind: "zero123" or "clip".
        source: the file read.
        out: the file written.
        matched: part of the model -> tensors filled, every one of that part.
        parameters: numbers in them.
        ignored: name prefix -> tensors of the source that the model has no place for.
        notes: remarks for the reader.
    """

    kind: str
    source: str
    out: str
    matched: dict[str, int]
    parameters: int
    ignored: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        matched = ", ".join(f"{part} {count}" for part, count in self.matched.items())
        ignored = ", ".join(f"{name} {count}" for name, count in self.ignored.items()) or "none"
        lines = [
            f"{self.kind}: {self.source} -> {self.out}",
            f"  matched: {matched} tensors, {self.parameters / 1e6:.1f} million parameters",
            f"  not needed: {ignored}",
            *(f"  note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def import_weights(
    kind: str, source: str | Path, out: str | Path, model: XR2MRIModel | None = None
) -> ImportReport:
    """Turn a pre-trained checkpoint into a file of parts.

    Args:
        kind: "zero123" or "clip".
        source: the checkpoint: .ckpt, .pt, .bin or .safetensors.
        out: the safetensors file to write; if it holds parts already, those that are not imported
            now are kept.
        model: the model that the weights are for, on any device, also "meta"; None: the paper's
            size as the project's bundle states it.

    Raises:
        WeightsError: unknown kind, or the file is not what `kind` says.
        OutputError: `out` cannot be written.
    """
    if kind not in _IMPORTERS:
        raise WeightsError(f"weights of kind {shown(kind)}: accepted are {', '.join(_IMPORTERS)}")
    earlier = _earlier_parts(Path(out))
    parts, ignored, notes = _IMPORTERS[kind](Path(source), model or paper_model())
    replaced = {_part(name) for name in parts}
    kept = {name: value for name, value in earlier.items() if _part(name) not in replaced}
    report = ImportReport(
        kind=kind,
        source=str(source),
        out=str(out),
        matched=dict(Counter(_part(name) for name in parts)),
        parameters=sum(value.numel() for value in parts.values()),
        ignored=ignored,
        notes=notes,
    )
    write_safetensors(out, kept | parts, {"format": PARTS_FORMAT})
    return report


def _earlier_parts(out: Path) -> State:
    if not out.exists():
        return {}
    state, metadata = read_safetensors(out)
    if metadata.get("format") != PARTS_FORMAT:
        raise OutputError(f"{out} exists and holds no imported parts: give another name")
    return state


def load_parts(model: XR2MRIModel, path: str | Path) -> list[str]:
    """Fill parts of a model, in place, with a file of `import_weights`; the rest stays.

    A file of `XR2MRIModel.save_weights` is accepted too and fills all parts. A model with
    regression or depth mixing starts from the weights of one without; see `networks.model.widened`.
    Of imported tokens each guidance takes what it has a place for; see `Guidance.imported`.

    Returns:
        The parts filled, e.g. ["autoencoder", "guidance", "unet"].

    Raises:
        WeightsError: the file is missing, damaged, of another format or of a model of another size.
    """
    state, metadata = read_safetensors(path)
    if metadata.get("format") == FORMAT:
        model.load_weights(path, widen=True)
        return sorted({_part(name) for name in state})
    if metadata.get("format") != PARTS_FORMAT:
        raise WeightsError(
            f"{path}: neither imported parts nor an XR2MRI model (format "
            f"{shown(metadata.get('format'))}); 'xr2mri weights import' makes the former"
        )
    state = widened(_guided(state, model), model)
    parts = {_part(name) for name in state}
    check_state(_expected(model, parts), state, path)
    model.load_state_dict(state, strict=False)
    return sorted(parts)


def paper_model() -> XR2MRIModel:
    """The paper's size as `paper.yaml` of the project's bundle has it, without memory ("meta")."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(bundle_folder() / "configs" / "paper.yaml"))
    with torch.device("meta"):
        return cast(XR2MRIModel, parser.get_parsed_content("model"))


# --- the two kinds -------------------------------------------------------------------------------

Imported = tuple[State, dict[str, int], tuple[str, ...]]


def import_zero123(path: Path, model: XR2MRIModel) -> Imported:
    """Zero-123 in ldm format: U-Net, autoencoder, projection, and CLIP where it is inside.

    Names are translated by diffusers' own converters. Zero-123's `cc_projection`, a linear map of
    [CLIP embedding, pose] to the context token, becomes that of both halves of `Guidance`: its
    CLIP columns as they are, its pose at "no rotation" as part of the bias, and zeros for depth
    and features. The weights are those of the last step, not their moving average, as befits
    further training.

    Returns:
        parts by the model's names, ignored tensors by prefix, notes.

    Raises:
        WeightsError: the file cannot be read, or is not what the kind says.
    """
    from diffusers.loaders.single_file_utils import (
        convert_ldm_unet_checkpoint,
        convert_ldm_vae_checkpoint,
    )

    checkpoint = read_checkpoint(path)
    _check_zero123(checkpoint, path)
    parts: State = {}
    unet, autoencoder = cast(Any, model.unet), cast(Any, model.autoencoder)
    kept = {n: v for n, v in checkpoint.items() if n.startswith((_UNET, _AUTOENCODER))}
    try:
        parts |= _prefixed("unet.", convert_ldm_unet_checkpoint(kept, config=unet.config))
        vae = convert_ldm_vae_checkpoint(kept, config=autoencoder.config)
        parts |= _prefixed("autoencoder.", vae)
    except (KeyError, AttributeError, IndexError) as error:
        raise WeightsError(
            f"{path}: a latent diffusion model of another shape than the paper's ({error!r})"
        ) from None
    parts |= _projections(checkpoint, model, path)
    clip = {n.removeprefix(_CLIP): v for n, v in checkpoint.items() if n.startswith(_CLIP)}
    parts |= _prefixed("image_encoder.clip.", clip)
    check_state(_expected(model, {_part(name) for name in parts}), parts, path)

    used = (_UNET, _AUTOENCODER, _PROJECTION, _CLIP)
    notes: tuple[str, ...] = (
        "T = 1000 with betas 0.00085 to 0.012, scaled linear: as in paper.yaml",
    )
    if not clip:
        notes += ("CLIP is not inside: import it from a file of its own",)
    return parts, _ignored(n for n in checkpoint if not n.startswith(used)), notes


def _check_zero123(checkpoint: State, path: Path) -> None:
    for prefix, what in (
        (_UNET, "no U-Net in ldm format"),
        (_AUTOENCODER, "no autoencoder in ldm format"),
        (_PROJECTION, "no pose projection, so this is another latent diffusion model"),
    ):
        if not any(name.startswith(prefix) for name in checkpoint):
            raise WeightsError(
                f"{path}: not a Zero-123 checkpoint: nothing is called '{prefix}...' ({what}); "
                f"it begins with {shown(list(checkpoint)[:2])}"
            )


def import_clip(path: Path, model: XR2MRIModel) -> Imported:
    """The image tower of CLIP ViT-L/14 as OpenAI (TorchScript) or open_clip names it.

    Returns:
        parts by the model's names, ignored tensors by prefix, notes.

    Raises:
        WeightsError: the file cannot be read, or is not what the kind says.
    """
    checkpoint = read_checkpoint(path)
    prefix = next(
        (
            p
            for p in ("visual.", "module.visual.", _CLIP)
            if any(n.startswith(p) for n in checkpoint)
        ),
        "",
    )
    tower = {n.removeprefix(prefix): v for n, v in checkpoint.items() if n.startswith(prefix)}
    if "conv1.weight" not in tower or "proj" not in tower:
        raise WeightsError(
            f"{path}: no CLIP image tower as OpenAI or open_clip name it ('visual.conv1.weight', "
            f"...); it begins with {shown(list(checkpoint)[:2])}. From the Hugging Face hub take "
            f"the file open_clip_model.safetensors, not model.safetensors"
        )
    parts = _prefixed("image_encoder.clip.", tower)
    check_state(_expected(model, {"image_encoder.clip"}), parts, path)
    ignored = _ignored(n for n in checkpoint if not n.startswith(prefix))
    note = "computed with the quick GELU, as OpenAI's weights were trained: see clip in paper.yaml"
    return parts, ignored, (note,)


_IMPORTERS: dict[str, Callable[[Path, XR2MRIModel], Imported]] = {
    "zero123": import_zero123,
    "clip": import_clip,
}


def _projections(checkpoint: Mapping[str, Tensor], model: XR2MRIModel, path: Path) -> State:
    """`cc_projection` (768, 768 + 4) as the token projections of both halves."""
    try:
        weight, bias = checkpoint[f"{_PROJECTION}weight"], checkpoint[f"{_PROJECTION}bias"]
    except KeyError as error:
        raise WeightsError(f"{path}: {error.args[0]} is missing; fetch the file again") from None
    width, guidance = model.guidance.embedding_dim, model.guidance
    if weight.ndim != 2 or weight.shape[1] != width + 4 or bias.ndim != 1:
        raise WeightsError(
            f"{path}: cc_projection.weight of shape {tuple(weight.shape)}, expected "
            f"({guidance.down_token.out_features}, {width + 4}): not a Zero-123 checkpoint"
        )
    weight, bias = weight.float(), bias.float()
    at_no_rotation = bias + weight[:, width + _COS_AZIMUTH]
    state = {}
    for name, linear in (("down_token", guidance.down_token), ("up_token", guidance.up_token)):
        zeros = torch.zeros(len(weight), linear.in_features - width)
        state[f"guidance.{name}.weight"] = torch.cat([weight[:, :width], zeros], 1)
        state[f"guidance.{name}.bias"] = at_no_rotation.clone()
    return state


def _guided(state: State, model: XR2MRIModel) -> State:
    """Parts with the tokens of `Guidance` as the model's own guidance takes them."""
    prefix = "guidance."
    tokens = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
    others = {n: v for n, v in state.items() if not n.startswith(prefix)}
    return others | {prefix + n: v for n, v in model.guidance.imported(tokens).items()}


def _expected(model: nn.Module, parts: Iterable[str]) -> State:
    """The model's own tensors in the given parts."""
    parts = set(parts)
    return {n: v for n, v in unique_state(model).items() if _part(n) in parts}


def _part(name: str) -> str:
    """The part of the model that a tensor is in; of a guidance only tokens are pre-trained."""
    first, _, rest = name.partition(".")
    if first == "regression" and "." in rest:
        return f"{first}.{_part(rest)}"
    return f"{first}.{rest.split('.')[0]}" if first in ("image_encoder", "guidance") else first


def _prefixed(prefix: str, state: Mapping[str, Tensor]) -> State:
    return {prefix + name: value.float() for name, value in state.items()}


def _ignored(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(name.split(".")[0] for name in names))
