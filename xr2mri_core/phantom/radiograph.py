"""The phantom's X-ray room: a posteroanterior fixed-flexion radiograph of the painted knee.

The chain is the physical one: `project` integrates attenuation along diverging rays,
`trabecular_texture` adds the bone architecture that is finer than a voxel, `expose`
turns path integrals into a 12-bit image "for presentation". `take_radiograph` runs it.

In a fixed-flexion view the patella touches the detector and the beam comes from behind, 10 degrees
caudal, while the tibia leans forward by about 15 degrees: seen from the tibia the beam *rises*
towards the front, about parallel to the posteriorly sloping plateau, which is what opens the joint
space (Peterfy et al., Skeletal Radiol 2003;32:128). The phantom's knee stands upright, so the beam
takes that angle.

The distance of the source is OAI's. What exposures are drawn from, the trabeculae, scatter and the
presentation are set by eye until the picture looks like a plain radiograph of a knee; they are no
measurements.
"""

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xr2mri_core.geometry import FIELD_OF_VIEW_MM

from .tissues import TRABECULAR

SLABS = 36
"""Planes that the knee is collapsed to before they are magnified one by one."""
WHITE = 4095
"""Largest pixel value of the 12-bit image."""
_STREAM = 32  # of the X-ray unit's random numbers, within those of a seed

Range = tuple[float, float]

_SHUTTER_CHANCE, _SHUTTER_PIXELS = 0.3, (4, 26)
"""How often collimation hides an edge of the field, and how many pixels of it."""
_PIXEL_MM: Range = (0.29, 0.325)
_SKIN_TO_DETECTOR_MM: Range = (4, 14)
_BEAM_UNDER_PLATEAU_DEG, _BEAM_SPREAD_DEG, _MOST_DEVIATIONS = 1, 2.5, 2
"""The beam is aligned to this much less than the plateau's slope, and misses it by that."""
_CENTRE_SPREAD_MM: Range = (1.2, 1.5)
_FOCAL_SPOT_MM: Range = (0.9, 1.4)
_DETECTOR_BLUR_MM: Range = (0.12, 0.22)
_SCATTER: Range = (0.25, 0.55)
_QUANTA: Range = (12000, 45000)
_KVP, _MAS = (60, 76), (5, 16)
_BRIGHTNESS_SPREAD, _CONTRAST_SPREAD = 0.12, 0.10
_EQUALISATION: Range = (0.2, 0.5)
"""Ranges and standard deviations from which an exposure is drawn."""

_STRUT_PITCH, _STRUT_SHARPNESS = 0.35, 0.18
"""Preferred frequency across the struts, in units of 1 / `across_mm`, and its width."""
_ODD_STRUTS, _ODD_FINER = 0.5, 1.6
"""Share of struts at any distance, and how much finer these are at most."""
_STRIPES, _STRIPE_LEANS_DEG = (9.0, 0.62), (5.0, -6.0)
"""Trabeculae along load: (along, across) in mm; two layers that lean, blended in patches."""
_PATCHES, _PATCH_STEEP = 6, 2
"""Patches along the picture, and how sharply one goes over into the next."""
_WEB, _WEB_LEAN_DEG, _WEB_SHARE = (0.9, 0.55), 90.0, 0.45
"""The web between them, and its strength over theirs."""
_TRABECULAR_DEPTH = 0.0043
"""Path integral a square root of a mm of trabecular bone."""

_OPAQUE = 0.5
"""Path integral above which a ray has passed the leg."""
_EVERY = 97
"""Every so many rays are looked at for the middle of the leg."""
_SCATTER_MM = 28.0
"""How far scatter spreads behind the leg."""
_JOINT_TO_DETECTOR_MM = 65
"""From the middle of the joint, where the penumbra of the focal spot is taken."""
_NOISE_BLUR = 0.45
"""Pixels that the detector blurs the noise over."""
_EQUALISED_MM = 16.0
"""Structures wider than this are made fainter by the processing."""
_WINDOW_STEEP, _WINDOW_LEVEL = 2.0, 0.34
"""Presentation curve at contrast 1: slope and middle, in units of path integral."""
_TRABECULAR_SLABS = 8
_WIDE = 8
"""Factor of the resolution at which wide blurs are made."""
_SHARP = 0.05
"""Pixels of blur that are none."""


@dataclass(frozen=True, slots=True)
class Beam:
    """One exposure of the X-ray unit. Lengths in mm, angles in degrees.

    Attributes:
        size: rows and columns of the square detector field.
        spacing_mm: pixel size at the detector (DICOM's ImagerPixelSpacing).
        source_to_detector_mm: 72 inches in the OAI protocol.
        skin_to_detector_mm: air and cassette between the patella and the detector.
        tilt_deg: how much the beam rises from back to front in the frame of the tibia.
        centre_mm: where the central ray passes, (medial, superior) of the middle of the volume.
        focal_spot_mm: size of the focal spot.
        detector_blur_mm: standard deviation of the detector's point spread.
        scatter_ratio: scatter over primary behind the middle of the knee.
        quanta: detected quanta per square millimetre behind soft tissue.
        kvp: tube voltage.
        mas: tube charge.
        brightness, contrast: offset and slope of the presentation curve, in units of path integral
            and per such unit.
        equalisation: share of the low frequencies that the processing takes away, in [0, 1).
        shutters: pixels hidden by collimation at the top, left, bottom and right.
        magnification: magnification of the middle of the joint on the detector; follows from the
            size of the leg.
    """

    size: int = 512
    spacing_mm: float = 0.31
    source_to_detector_mm: float = 1830.0
    skin_to_detector_mm: float = 8.0
    tilt_deg: float = 5.0
    centre_mm: tuple[float, float] = (0.0, 0.0)
    focal_spot_mm: float = 1.2
    detector_blur_mm: float = 0.16
    scatter_ratio: float = 0.35
    quanta: float = 22000.0
    kvp: float = 70.0
    mas: float = 10.0
    brightness: float = 0.0
    contrast: float = 1.0
    equalisation: float = 0.35
    shutters: tuple[int, int, int, int] = (0, 0, 0, 0)
    magnification: float = 1.035

    def to_dict(self) -> dict[str, object]:
        """The parameters as JSON-ready values."""
        return {
            name: [*value] if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def sample_beam(rng: np.random.Generator, plateau_slope: float = 6.0) -> Beam:
    """Draws an exposure; the technician aligns it to the plateau within about 2.5 degrees."""
    hidden = rng.random(4) < _SHUTTER_CHANCE
    shutters = np.where(hidden, rng.integers(*_SHUTTER_PIXELS, 4), 0)
    return Beam(
        spacing_mm=round(float(rng.uniform(*_PIXEL_MM)), 4),
        skin_to_detector_mm=float(rng.uniform(*_SKIN_TO_DETECTOR_MM)),
        tilt_deg=_sample_tilt(rng, plateau_slope),
        centre_mm=(
            float(rng.normal(0, _CENTRE_SPREAD_MM[0])),
            float(rng.normal(0, _CENTRE_SPREAD_MM[1])),
        ),
        focal_spot_mm=float(rng.uniform(*_FOCAL_SPOT_MM)),
        detector_blur_mm=float(rng.uniform(*_DETECTOR_BLUR_MM)),
        scatter_ratio=float(rng.uniform(*_SCATTER)),
        quanta=float(np.exp(rng.uniform(*(np.log(quanta) for quanta in _QUANTA)))),
        kvp=float(rng.integers(*_KVP)),
        mas=round(float(rng.uniform(*_MAS)), 1),
        brightness=float(rng.normal(0, _BRIGHTNESS_SPREAD)),
        contrast=float(np.exp(rng.normal(0, _CONTRAST_SPREAD))),
        equalisation=float(rng.uniform(*_EQUALISATION)),
        shutters=(int(shutters[0]), int(shutters[1]), int(shutters[2]), int(shutters[3])),
    )


def _sample_tilt(rng: np.random.Generator, plateau_slope: float) -> float:
    deviations = np.clip(rng.standard_normal(), -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
    return float(plateau_slope - _BEAM_UNDER_PLATEAU_DEG + _BEAM_SPREAD_DEG * deviations)


def collapse(volume: Tensor, slices_y: Tensor, slabs: int) -> tuple[Tensor, Tensor]:
    """Sums neighbouring slices into slabs, each slice times its thickness.

    Args:
        volume: Tensor (n, H, W), any quantity per mm.
        slices_y: Tensor (n,), y of the slices in mm, ascending; the spacing may vary.
        slabs: how many to make, of about equal extent along y.

    Returns:
        Integrals Tensor (m, H, W) with m <= slabs, and their y in mm, Tensor (m,).
    """
    thickness = torch.gradient(slices_y)[0]
    extent = thickness.sum() / slabs
    middle = thickness.cumsum(0) - thickness / 2
    _, group = torch.unique_consecutive((middle / extent).long(), return_inverse=True)
    weight = F.one_hot(group).T.float() * thickness  # (m, n)
    integrals = (weight @ volume.flatten(1)).view(-1, *volume.shape[1:])
    return integrals, (weight @ slices_y) / weight.sum(1)


def project(
    volume: Tensor,
    slices_y: Tensor,
    beam: Beam,
    detector_y: float,
    slabs: int = SLABS,
    width_mm: float = FIELD_OF_VIEW_MM,
) -> Tensor:
    """Line integrals of a volume on the detector, by magnifying and shifting one slab at a time.

    Args:
        volume: Tensor (n, rows, columns), a quantity per mm, as pictures of a right knee from
            posterior to anterior, at any resolution. Beyond it the edge goes on.
        slices_y: Tensor (n,), y of the slices in mm, ascending; y = 0 is the middle of the joint.
        beam: geometry of the exposure.
        detector_y: y of the detector in mm.
        slabs: how finely magnification and tilt follow the depth.
        width_mm: how wide the pictures are.

    Returns:
        Tensor (size, size), the integral in units of the quantity times mm.
    """
    planes, y = collapse(volume.float(), slices_y, slabs)
    voxel_mm = width_mm / volume.shape[-1]
    rise = math.tan(math.radians(beam.tilt_deg))
    magnification = beam.source_to_detector_mm / (beam.source_to_detector_mm - (detector_y - y))
    # A detector point shows, on the plane at y, the point at `u / magnification` from the central
    # ray; the tilted central ray is lower behind the joint (y < 0) and higher before it.
    u = (torch.arange(beam.size) - (beam.size - 1) / 2) * beam.spacing_mm
    across = u / magnification[:, None] + beam.centre_mm[0]
    down = u / magnification[:, None] - beam.centre_mm[1] - rise * y[:, None]
    rows = _interpolation(down / voxel_mm, planes.shape[1])  # (m, size, H)
    columns = _interpolation(across / voxel_mm, planes.shape[2])  # (m, size, W)
    partial = torch.bmm(rows, planes).transpose(0, 1).flatten(1)  # (size, m * W)
    return partial @ columns.transpose(0, 1).flatten(1).T / math.cos(math.radians(beam.tilt_deg))


def _interpolation(offset: Tensor, count: int) -> Tensor:
    """Linear interpolation as matrices: voxels from the centre (m, n) -> Tensor (m, n, count)."""
    position = (offset + (count - 1) / 2).clamp(0, count - 1)
    return (1 - (position[..., None] - torch.arange(count)).abs()).clamp_min_(0)


def trabecular_texture(thickness: Tensor, spacing_mm: float, generator: torch.Generator) -> Tensor:
    """Trabeculae, finer than a voxel, as a change of the path integral.

    Mostly vertical plates and struts, as load has drawn them in femur and tibia, with a weaker
    isotropic web between. Independent layers add up like noise, so the amplitude grows with the
    square root of the bone passed.

    Args:
        thickness: Tensor (H, W), projected length in trabecular bone, mm.
        spacing_mm: pixel size.
        generator: draws the pattern.

    Returns:
        Tensor (H, W), zero on average, about 0.03 in 40 mm of bone.
    """
    height, width = thickness.shape
    fy = torch.fft.fftfreq(height, spacing_mm)[:, None]
    fx = torch.fft.rfftfreq(width, spacing_mm)[None]

    def pattern(along_mm: float, across_mm: float, lean_deg: float) -> Tensor:
        lean = math.radians(lean_deg)
        along = math.cos(lean) * fy + math.sin(lean) * fx
        across = -math.sin(lean) * fy + math.cos(lean) * fx
        ring = (across.abs() * across_mm - _STRUT_PITCH) / _STRUT_SHARPNESS
        odd = torch.exp(-((across * across_mm * _ODD_FINER) ** 2))
        gain = torch.exp(-((along * along_mm) ** 2)) * (torch.exp(-(ring**2)) + _ODD_STRUTS * odd)
        white = torch.randn(height, width, generator=generator)
        field = torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(height, width))
        return field / field.std()

    mix = torch.randn((1, 1, _PATCHES, _PATCHES), generator=generator)
    mix = torch.sigmoid(_PATCH_STEEP * F.interpolate(mix, (height, width), mode="bicubic")[0, 0])
    one, other = (pattern(*_STRIPES, lean) for lean in _STRIPE_LEANS_DEG)
    striping = mix * one + (1 - mix) * other
    web = pattern(*_WEB, _WEB_LEAN_DEG)
    passed = torch.sqrt(thickness.clamp_min(0))
    return _TRABECULAR_DEPTH * passed * (striping + _WEB_SHARE * web)


def expose(path_integral: Tensor, beam: Beam, generator: torch.Generator) -> NDArray[np.uint16]:
    """From path integrals to the picture: Beer-Lambert, scatter, blur, noise, presentation curve.

    Args:
        path_integral: Tensor (H, W), the integral of mu along each ray.
        beam: dose, blur, scatter and processing.
        generator: draws the noise.

    Returns:
        uint16 (H, W), 12 bits, bone bright.
    """
    primary = torch.exp(-path_integral)  # I / I0
    tissue = torch.quantile(path_integral[path_integral > _OPAQUE][::_EVERY], 0.5).item()
    # singly scattered quanta: born in proportion to what is passed, attenuated like the primary
    scatter = _wide_blur(path_integral * primary, _SCATTER_MM / beam.spacing_mm) / tissue
    intensity = primary + beam.scatter_ratio * scatter

    penumbra = beam.focal_spot_mm * _JOINT_TO_DETECTOR_MM / beam.source_to_detector_mm
    penumbra = penumbra / math.sqrt(12)  # standard deviation of a uniform spot
    blur = math.hypot(penumbra, beam.detector_blur_mm) / beam.spacing_mm
    quanta = intensity * beam.quanta * beam.spacing_mm**2 * math.exp(tissue)
    quanta = _blur(quanta, blur)
    noise = torch.randn(quanta.shape, generator=generator)
    quanta = (quanta + quanta.sqrt() * _blur(noise, _NOISE_BLUR)).clamp_min(1)

    density = math.log(beam.quanta * beam.spacing_mm**2) - quanta.log()  # 0 in soft tissue
    processed = density - beam.equalisation * _wide_blur(density, _EQUALISED_MM / beam.spacing_mm)
    level = processed - _WINDOW_LEVEL + beam.brightness
    shown = torch.sigmoid(_WINDOW_STEEP * beam.contrast * level)
    picture = (shown * WHITE).round_().clamp_(0, WHITE)
    top, left, bottom, right = beam.shutters
    height, width = picture.shape
    window = torch.zeros_like(picture)
    window[top : height - bottom, left : width - right] = 1
    return (picture * window).to(torch.int32).numpy().astype(np.uint16)


def take_radiograph(
    mu: Tensor,
    labels: Tensor,
    slices_y: Tensor,
    seed: int,
    plateau_slope: float = 6.0,
    beam: Beam | None = None,
) -> tuple[NDArray[np.uint16], Beam]:
    """A radiograph of a painted knee.

    Args:
        mu: Tensor (n, rows, columns), linear attenuation in 1/mm, pictures of a right knee, 160 mm
            wide, from posterior to anterior. The whole leg, not only the imaged slab.
        labels: Tensor (n, rows, columns), the label map, uint8.
        slices_y: Tensor (n,), y of the slices in mm, ascending; the spacing may vary.
        seed: draws the exposure, the trabeculae and the noise.
        plateau_slope: posterior slope of the tibial plateau in degrees, which the beam follows.
        beam: a given exposure instead of a drawn one.

    Returns:
        uint16 (H, W), 12 bits, bone bright; and the exposure, with its pixel spacing.
    """
    rng = np.random.default_rng([seed, _STREAM])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    beam = beam or sample_beam(rng, plateau_slope)
    slices_y = torch.as_tensor(slices_y, dtype=torch.float32)
    body = slices_y[mu.flatten(1).amax(1) > 0]
    detector_y = float(body[-1] if len(body) else slices_y[-1]) + beam.skin_to_detector_mm
    trabecular = torch.isin(labels[:, ::2, ::2], torch.tensor(TRABECULAR, dtype=labels.dtype))
    thickness = project(trabecular, slices_y, beam, detector_y, slabs=_TRABECULAR_SLABS)
    path = project(mu, slices_y, beam, detector_y)
    path = path + trabecular_texture(thickness, beam.spacing_mm, generator)
    distance = beam.source_to_detector_mm
    beam = replace(beam, magnification=round(distance / (distance - detector_y), 4))
    return expose(path.clamp_min(0), beam, generator), beam


def _blur(picture: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of a picture (H, W), sigma in pixels, with the edge continued."""
    if sigma < _SHARP:
        return picture
    radius = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(picture[None, None], [radius] * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[0, 0]


def _wide_blur(picture: Tensor, sigma: float) -> Tensor:
    """The same for a large sigma, at an eighth of the resolution."""
    small = F.avg_pool2d(picture[None, None], _WIDE, ceil_mode=True)[0, 0]
    wide = _blur(small, sigma / _WIDE)
    return F.interpolate(wide[None, None], picture.shape, mode="bilinear")[0, 0]
