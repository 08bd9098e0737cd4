"""What training reads again and again, computed once: slices of the volumes, and their latents.

Both caches are folders of NumPy files that are mapped, not loaded. A folder's name carries the
fingerprint of everything its content depends on (the files of the datalist, the settings; for
latents also the weights of the autoencoder), so a stale cache is never found. It is filled beside
its final place, case by case, and renamed when complete: a killed run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ignite.distributed as idist
import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from xr2mri_core.demographics import demographics_of
from xr2mri_core.errors import DatalistError, TrainingError, shown
from xr2mri_core.files import alone, whole_folder
from xr2mri_core.geometry import WINDOW_MM
from xr2mri_core.localization import LocateKneed
from xr2mri_core.phantom.tissues import Tissue
from xr2mri_core.processes import each_done
from xr2mri_core.transforms import mri_transforms, radiograph_transforms
from xr2mri_core.transforms.compose import TypedCompose
from xr2mri_core.transforms.steps import MIRRORED

if TYPE_CHECKING:
    from xr2mri_core.networks import Autoencoder

logger = logging.getLogger("xr2mri")

_LOGGED_WARNINGS = 5  # kinds of warnings about cases that the log tells of
_EXTENT = 0.05  # share by which a case's depth may differ from the window's without a warning
SLICES_VERSION, LATENTS_VERSION = 3, 2  # raised when the meaning of the cached numbers changes


def to_bytes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Intensities in [-1, 1] -> uint8; one step is 1/255 of the range."""
    return np.clip(np.rint((np.asarray(image) + 1.0) * 127.5), 0, 255).astype(np.uint8)


def from_bytes(image: NDArray[np.uint8]) -> Tensor:
    """The inverse of `to_bytes`: uint8 -> float32 tensor in [-1, 1]."""
    return torch.from_numpy(np.array(image)).float().div_(127.5).sub_(1.0)


def pick_slices(available: int, wanted: int | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sorted indices of `wanted` slices, one drawn from each of `wanted` equal stretches of depth.

    All slices when `wanted` is None. Where more are wanted than there are, every slice comes and
    some come twice (the middle of each stretch): volumes of one data set may have windows of
    differing length, and a cache holds as many slices of each.
    """
    if wanted is None:
        return np.arange(available)
    if wanted >= available:
        return ((np.arange(wanted) + 0.5) * available / wanted).astype(int)
    edges = np.linspace(0, available, wanted + 1)
    return np.floor(rng.uniform(edges[:-1], edges[1:])).astype(int)


def label_values(labels: Iterable[int | str]) -> list[int]:
    """Values of a label map: numbers stay, names are those of the phantom's tissues.

    Example:
        >>> label_values(["cyst", "ACL", 7])
        [34, 24, 7]

    Raises:
        TrainingError: no tissue is called that, or it is no value of a label map.
    """
    values = []
    for label in labels:
        known = label.upper() in Tissue.__members__ if isinstance(label, str) else None
        value = Tissue[str(label).upper()] if known else label
        if known is False or not isinstance(value, int) or not 0 <= value <= 255:
            raise TrainingError(
                f"emphasis label {shown(label)}: accepted are numbers from 0 to 255 and names of "
                f"tissues ({', '.join(tissue.name.lower() for tissue in Tissue)})"
            )
        values.append(int(value))
    return values


def label_emphasis(labels: Tensor, emphasis_labels: Iterable[int | str], emphasis: float) -> Tensor:
    """Weight maps (..., H, W) float32 from label maps (..., H, W): `1 + emphasis` on the labels."""
    table = torch.ones(256)
    table[torch.as_tensor(label_values(emphasis_labels), dtype=torch.long)] += emphasis
    return table.to(labels.device)[labels.long()]


Encode = Callable[[Mapping[str, Any], Mapping[str, Any] | None], NDArray[np.float32]]
"""(features, demographics) -> r, as `Guidance.encode`."""


class _Cache:
    """A folder of mapped arrays with a JSON record; see the module's docstring."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.record: dict[str, Any] = json.loads((self.folder / "cache.json").read_text())
        self.arrays = {
            path.stem: np.load(path, mmap_mode="r") for path in sorted(self.folder.glob("*.npy"))
        }

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.items)

    @property
    def items(self) -> list[dict[str, Any]]:
        """One mapping a case: `case`, `features` and, where known, `demographics`."""
        return self.record["items"]

    @property
    def fingerprint(self) -> str:
        return self.record["fingerprint"]

    @property
    def slices_per_case(self) -> int:
        return self.arrays["depths"].shape[1]

    def features(self, encode: Encode) -> Tensor:
        """The condition r of all cases (cases, positions) float32, by `Guidance.encode`."""
        encoded = [encode(item["features"], item.get("demographics")) for item in self.items]
        return torch.from_numpy(np.stack(encoded)).float()


class SliceCache(_Cache):
    """MRI slices, label maps and radiographs of one split, as bytes.

    `arrays`: `slices` uint8 (cases, n, H, W), `depths` float32 (cases, n) in [0, 1], `radiographs`
    uint8 (cases, H, W) and, when every case has a label map, `labels` uint8 (cases, n, H, W).
    A case takes n * 64 KiB (twice that with labels) at 256x256.
    """

    @classmethod
    def build(
        cls,
        items: Sequence[Mapping[str, Any]],
        root: str | Path,
        slices_per_case: int | None = None,
        size: int = 256,
        seed: int = 0,
        processes: int = 2,
    ) -> SliceCache:
        """Find the cache of these items under `root`, or make (or finish making) it.

        Args:
            items: cases of a datalist (`load_datalist`): case, radiograph, mri, features, ...
            root: folder of all caches.
            slices_per_case: slices kept per case, spread over depth at random; None keeps all,
                of which every case must have the same number.
            size: side of slices and radiographs in pixels.
            seed: seed of the choice of slices.
            processes: workers reading volumes; 1 reads in this process.

        Raises:
            DatalistError: no items, or all slices are to be kept, and a case has more or fewer than
                the first.
            InputError: a radiograph or a volume cannot be used.
        """
        if not items:
            raise DatalistError("the split has no cases", option="datalist")
        settings = {"slices": slices_per_case, "size": size, "seed": seed}
        identity = [{**item, **_files(item), **_demographics(item)} for item in items]
        fingerprint = _digest([SLICES_VERSION, settings, identity])
        labelled = all(item.get("labels") for item in items)
        with _made_once(Path(root) / f"slices-{fingerprint}") as folder:
            if folder is not None:
                _fill_slices(folder, items, settings, labelled, processes)
                _write_record(folder, items, fingerprint)
        return cls(Path(root) / f"slices-{fingerprint}")


class _CacheOfSlices(_Cache):
    """A cache that was made from another, and needs its radiographs."""

    def __init__(self, folder: Path, slices: SliceCache) -> None:
        super().__init__(folder)
        self.slices = slices


class LatentCache(_CacheOfSlices):
    """Scaled latents of a `SliceCache` under a frozen autoencoder.

    `arrays`: `latents` float16 (cases, n, c, h, w), `depths` (cases, n), and, when the slices have
    label maps and an emphasis is asked for, `weights` float16 (cases, n, h, w): what the loss of a
    latent cell counts, 1 + emphasis where the cell holds a pixel with an emphasised label, else 1.
    (Cells of the compact autoencoder are 10 mm wide: a cyst fills a small share of one.)
    """

    @classmethod
    @torch.no_grad()
    def build(
        cls,
        slices: SliceCache,
        autoencoder: Autoencoder,
        root: str | Path,
        emphasis_labels: Sequence[int | str] = (),
        emphasis: float = 0.0,
        device: str | torch.device = "cpu",
        batch_size: int = 32,
    ) -> LatentCache:
        """Find or make the latents z_0 = mean of E_1(x), times `config.scaling_factor` (Eq. 1)."""
        settings = {"labels": sorted(label_values(emphasis_labels)), "emphasis": emphasis}
        weights = weights_digest(autoencoder)
        fingerprint = _digest([LATENTS_VERSION, settings, weights, slices.fingerprint])
        target = Path(root) / f"latents-{fingerprint}"
        with _made_once(target) as folder:
            if folder is not None:
                autoencoder = autoencoder.to(device).eval()
                emphasised = bool(emphasis_labels) and emphasis > 0 and "labels" in slices.arrays
                _fill_latents(
                    folder, slices, autoencoder, settings if emphasised else {}, device, batch_size
                )
                _write_record(folder, slices.items, fingerprint)
        return cls(target, slices)


def weights_digest(module: nn.Module | Autoencoder) -> str:
    """SHA-256 over the names, shapes and bytes of a module's state and its scaling factor."""
    digest = hashlib.sha256()
    digest.update(str(getattr(getattr(module, "config", None), "scaling_factor", None)).encode())
    for name, value in module.state_dict().items():
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _files(item: Mapping[str, Any]) -> dict[str, Any]:
    """A case's files, however their paths are spelled, with size and modification time.

    A file made anew makes a new cache; a datalist in another folder does not.
    """
    names = [key for key in ("radiograph", "mri", "labels") if item.get(key)]
    paths = {name: Path(item[name]).resolve() for name in names}
    stats = [path.stat() for path in paths.values()]
    return {
        **{name: str(path) for name, path in paths.items()},
        "files": [(stat.st_size, stat.st_mtime_ns) for stat in stats],
    }


@contextmanager
def _made_once(target: Path) -> Iterator[Path | None]:
    """Yield the folder in which to make `target`, or None when it is there already.

    The first process makes it while others wait, of this training or of another.
    """
    with idist.one_rank_first():
        if target.exists():
            yield None
            return
        with alone(target.with_name(f".{target.name}.lock")):
            if target.exists():
                yield None
                return
            with whole_folder(target, resumable=True) as folder:
                yield folder
                (folder / "done.npy").unlink(missing_ok=True)


def _write_record(folder: Path, items: Sequence[Mapping[str, Any]], fingerprint: str) -> None:
    kept = [
        {"case": item["case"], "features": dict(item.get("features") or {}), **_demographics(item)}
        for item in items
    ]
    record = {"fingerprint": fingerprint, "items": kept}
    (folder / "cache.json").write_text(json.dumps(record))


def _demographics(item: Mapping[str, Any]) -> dict[str, Any]:
    """The demographics of a datalist's item, or of a cache's."""
    known = item.get("demographics") or demographics_of(item)
    return {"demographics": known} if known else {}


def _open(folder: Path, name: str, shape: tuple[int, ...], dtype: Any) -> np.memmap[Any, Any]:
    """Map `<name>.npy` for writing, making it (filled with zeros) unless it has this shape."""
    path = folder / f"{name}.npy"
    if path.exists():
        array = open_memmap(path, mode="r+")
        if array.shape == shape and array.dtype == np.dtype(dtype):
            return array
    return open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _fill_slices(
    folder: Path,
    items: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    labelled: bool,
    processes: int,
) -> None:
    """Prepare every case that is not marked as done."""
    first, _ = _prepare_case(items[0], 0, settings, labelled)
    for name, value in first.items():
        _open(folder, name, (len(items), *value.shape), value.dtype)
    done = _open(folder, "done", (len(items),), bool)
    missing = np.flatnonzero(~done)
    logger.info("preparing the slices of %d of %d cases", len(missing), len(items))
    store = partial(_store_case, folder, dict(settings), labelled)
    jobs = [(int(index), items[int(index)]) for index in missing]
    processes = processes if len(jobs) >= 8 else 1
    warned: dict[str, list[int]] = {}
    with closing(each_done(store, jobs, processes, "prepares slices")) as stored:
        for index, notes in tqdm(stored, total=len(jobs), desc="slices", unit="case", disable=None):
            done[index] = True
            for note in notes:
                warned.setdefault(note, []).append(index)
    _log_warnings(warned, items)


def _log_warnings(warned: Mapping[str, Sequence[int]], items: Sequence[Mapping[str, Any]]) -> None:
    """Tell the commonest warnings about cases, each once, with the first case that it is of."""
    kinds = sorted(warned, key=lambda note: (-len(warned[note]), note))
    for note in kinds[:_LOGGED_WARNINGS]:
        first = items[min(warned[note])]["case"]
        logger.warning("%d case(s), such as %s: %s", len(warned[note]), first, note)
    if len(kinds) > _LOGGED_WARNINGS:
        logger.warning("%d more kinds of warnings", len(kinds) - _LOGGED_WARNINGS)


def _store_case(
    folder: Path, settings: Mapping[str, Any], labelled: bool, job: tuple[int, Mapping[str, Any]]
) -> tuple[int, list[str]]:
    index, item = job
    arrays, notes = _prepare_case(item, index, settings, labelled)
    expected = np.load(folder / "depths.npy", mmap_mode="r").shape[1]
    if len(arrays["depths"]) != expected:
        raise DatalistError(
            f"case {shown(item['case'])} has {len(arrays['depths'])} slices in its window, the "
            f"first case {expected}: all of them cannot be kept. A model with depth mixing, and a "
            "comparison of methods, need cases of one number of slices; for the training of one "
            "without, say how many are kept (cached_slices, e.g. 25)"
        )
    for name, value in arrays.items():
        open_memmap(folder / f"{name}.npy", mode="r+")[index] = value
    return index, notes


@cache
def _transforms(size: int) -> TypedCompose:
    """A case's radiograph as a generator reads it, and its volume, both in the right-knee frame."""
    located = radiograph_transforms(size=size, locate=LocateKneed("radiograph"))
    return TypedCompose([located, mri_transforms(size=size)])


def _prepare_case(
    item: Mapping[str, Any], index: int, settings: Mapping[str, Any], labelled: bool
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """One case through the MONAI transforms: the arrays of a `SliceCache`, and warnings."""
    data = _transforms(settings["size"])(dict(item))
    slices = np.asarray(data["mri"])[:, 0]
    rng = np.random.default_rng([settings["seed"], index])
    chosen = pick_slices(len(slices), settings["slices"], rng)
    arrays: dict[str, NDArray[Any]] = {
        "slices": to_bytes(slices[chosen]),
        "depths": np.asarray(data["depths"], dtype=np.float32)[chosen],
        "radiographs": to_bytes(np.asarray(data["radiograph"])[0]),
    }
    if labelled:
        labels = np.asarray(data["labels"]).reshape(slices.shape)[chosen]
        arrays["labels"] = np.rint(labels).astype(np.uint8)
    notes = [note for note in data["radiograph_info"]["warnings"] if note != MIRRORED]
    if not math.isclose(data["mri_extent"], WINDOW_MM, rel_tol=_EXTENT):
        notes.append(
            f"the slices that are kept span another depth than {WINDOW_MM} mm, for which "
            "generation states its spacing: give a 'window' that spans as much"
        )
    return arrays, notes


def _fill_latents(
    folder: Path,
    slices: SliceCache,
    autoencoder: Autoencoder,
    emphasis: Mapping[str, Any],
    device: str | torch.device,
    batch_size: int,
) -> None:
    """Encode every case that is not marked as done."""
    cases, count = slices.arrays["depths"].shape
    _open(folder, "depths", (cases, count), np.float32)[:] = slices.arrays["depths"]
    done = _open(folder, "done", (cases,), bool)
    scale = float(autoencoder.config.scaling_factor)
    missing = np.flatnonzero(~done)
    logger.info("encoding the slices of %d of %d cases", len(missing), cases)
    for case in tqdm(missing, desc="latents", unit="case", disable=None):
        images = from_bytes(slices.arrays["slices"][case]).unsqueeze(1).to(device)
        images = images.expand(-1, autoencoder.config.in_channels, -1, -1)
        batches = (autoencoder.encode(part).latent_dist.mode() for part in images.split(batch_size))
        latents = (torch.cat(list(batches)) * scale).cpu().numpy().astype(np.float16)
        _open(folder, "latents", (cases, *latents.shape), np.float16)[case] = latents
        if emphasis:
            labels = torch.from_numpy(np.array(slices.arrays["labels"][case]))
            weights = label_emphasis(labels, emphasis["labels"], emphasis["emphasis"])
            weights = F.adaptive_max_pool2d(weights, latents.shape[-2:])
            _open(folder, "weights", (cases, *weights.shape), np.float16)[case] = weights.numpy()
        done[case] = True
