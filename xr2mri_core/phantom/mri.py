"""The phantom's scanner: a 3-D FLASH with water excitation, as OAI's `COR_T1_3D_FLASH_RIGHT`.

TE/TR 7.57/20 ms, flip angle 12 degrees, 0.625 x 1.5 x 0.625 mm after reconstruction.

What differs from scan to scan, and the coil's sensitivity, is set by eye beside a real volume of
this series (`benchmarks/phantom_look.py` compares the two); noise and ghosts follow figures that
were measured on it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import ive

from .tissues import PROPERTIES, Properties, Tissue

ECHO_TIME_MS = 7.57
REPETITION_TIME_MS = 20.0
FLIP_ANGLE_DEG = 12.0
WATER_EXCITATION = 0.955
"""Selectivity of the binomial pulse: the share of fat's signal that it suppresses."""
FAT_T1_MS = 371.0
FAT_T2STAR_MS = 28.0
VOXEL_MM = (0.625, 1.5, 0.625)
WHITE = 4095
"""Largest pixel value that is stored: 12 bits."""
_STREAM, _CONTRAST_STREAM = 31, 32  # of the scanner's random numbers, within those of a seed

_TRABECULAR_DEPHASING = 2.5
"""T2* of fat over the tissue's, at most: trabeculae dephase fat as well."""
_WATER_EXCITATION_SPREAD, _MUSCLE_SPREAD, _MENISCUS_SPREAD, _FLUID_SPREAD = 0.005, 0.04, 0.15, 0.05
_MOST_DEVIATIONS = 2
"""Standard deviations of a patient's contrast, and how many of them at most."""
_TILT_SPREAD_DEG, _MOST_TILT_DEG = (0.6, 0.7, 0.6), 1.3
_GAIN, _NOISE, _SHADING = (240, 380), (0.047, 0.071), (0.05, 0.14)
_COIL_Z_SPREAD, _BLUR, _GHOST, _GHOST_SHIFT = 0.10, (0, 0.04), (0.02, 0.16), (28, 64)
"""Ranges and standard deviations from which a scan is drawn; see `Scan`."""
_COIL_LATTICE = (7, 5, 7)
_COIL_DEPTH, _COIL_ENDS, _COIL_END_POWER, _COIL_RANDOM = 0.7, 1.8, 4, 0.25
"""Sensitivity: share of its rise towards the skin along axis 1, how fast and how suddenly it falls
off at the ends, share of its random part."""
_GHOSTS, _GHOST_FADES = 3, 0.5
"""Ghosts on each side, and each one's signal over the one before."""


def _spoiled_echo(t1: float, t2star: float, te: float, tr: float, flip_deg: float) -> float:
    """The FLASH equation at unit density: sin a (1 - E1) / (1 - cos a E1) exp(-TE / T2*)."""
    angle, e1 = math.radians(flip_deg), math.exp(-tr / t1)
    steady_state = math.sin(angle) * (1 - e1) / (1 - math.cos(angle) * e1)
    return steady_state * math.exp(-te / t2star)


def flash_signal(
    properties: Properties,
    te: float = ECHO_TIME_MS,
    tr: float = REPETITION_TIME_MS,
    flip_deg: float = FLIP_ANGLE_DEG,
    water_excitation: float = WATER_EXCITATION,
) -> float:
    """Signal of one tissue in a spoiled gradient echo, in units of fully relaxed water.

    Water and fat are separate pools. The binomial pulse excites water fully and leaves a share
    `1 - water_excitation` of fat's signal. Times in milliseconds, angle in degrees.

    Raises:
        ValueError: for times or angles that are not positive, or a selectivity outside [0, 1].
    """
    if min(te, tr, flip_deg) <= 0 or not 0 <= water_excitation <= 1:
        raise ValueError(
            f"te={te}, tr={tr} and flip_deg={flip_deg} must be positive and "
            f"water_excitation={water_excitation} within [0, 1]"
        )
    water = 1 - properties.fat_fraction
    fat = properties.fat_fraction * (1 - water_excitation)
    fat_t2star = min(FAT_T2STAR_MS, _TRABECULAR_DEPHASING * properties.t2star_ms)
    return properties.proton_density * (
        water * _spoiled_echo(properties.t1_ms, properties.t2star_ms, te, tr, flip_deg)
        + fat * _spoiled_echo(FAT_T1_MS, fat_t2star, te, tr, flip_deg)
    )


@dataclass(frozen=True, slots=True)
class Contrast:
    """What differs in contrast from patient to patient, within one protocol.

    Attributes:
        water_excitation: selectivity of the binomial pulse, which follows the shim.
        muscle, meniscus, fluid: factors on the signals of these; age, training, degeneration and
            proteins move their relaxation times.
    """

    water_excitation: float = WATER_EXCITATION
    muscle: float = 1.0
    meniscus: float = 1.0
    fluid: float = 1.0


def sample_contrast(seed: int) -> Contrast:
    """The contrast of a patient: factors of 4 to 15 %, as relaxation times scatter (Gold 2004)."""
    rng = np.random.default_rng([seed, _CONTRAST_STREAM])
    draw = np.clip(rng.standard_normal(4), -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
    return Contrast(
        water_excitation=float(WATER_EXCITATION + _WATER_EXCITATION_SPREAD * draw[0]),
        muscle=float(1 + _MUSCLE_SPREAD * draw[1]),
        meniscus=float(1 + _MENISCUS_SPREAD * draw[2]),
        fluid=float(1 + _FLUID_SPREAD * draw[3]),
    )


@cache
def signal_of(tissue: Tissue, contrast: Contrast = Contrast()) -> float:
    """Signal of a tissue relative to cartilage (= 1) in the phantom's protocol."""
    cartilage = flash_signal(PROPERTIES[Tissue.FEMORAL_CARTILAGE])
    signal = flash_signal(PROPERTIES[tissue], water_excitation=contrast.water_excitation)
    factor = {
        Tissue.MUSCLE: contrast.muscle,
        Tissue.MENISCUS_MEDIAL: contrast.meniscus,
        Tissue.MENISCUS_LATERAL: contrast.meniscus,
        Tissue.JOINT_FLUID: contrast.fluid,
    }.get(tissue, 1.0)
    return signal / cartilage * factor


@dataclass(frozen=True, slots=True)
class Scan:
    """What differs from scan to scan.

    Attributes:
        gain: pixel value of cartilage in the middle of the coil.
        noise: standard deviation of the complex noise at the acquired 512 x 512, cartilage = 1.
        shading: how much the coil's sensitivity varies, relative.
        coil_z: middle of the coil along axis 2, as a share of the half field of view.
        tilt_deg: angles by which the gradient-corrected field of view lies askew on the voxel
            grid, about axes 0, 1 and 2.
        blur: share of a voxel's signal that unrest spreads to each neighbour along axis 0, the
            phase-encoding direction.
        ghost: signal of the pulsating vessels' first ghost, relative to the vessels'.
        ghost_shift: voxels between the ghosts, along axis 0.
    """

    gain: float = 300.0
    noise: float = 0.058
    shading: float = 0.10
    coil_z: float = 0.0
    tilt_deg: tuple[float, float, float] = (0.5, 0.8, 0.5)
    blur: float = 0.0
    ghost: float = 0.0
    ghost_shift: int = 40


def sample_scan(rng: np.random.Generator) -> Scan:
    """Draws a scan.

    The noise lies around what a real volume of this series shows, relative to its top grey: air
    .083 +- .027. Its popliteal artery throws ghosts of about .1 to both sides.
    """
    tilt = np.clip(rng.normal(0, _TILT_SPREAD_DEG), -_MOST_TILT_DEG, _MOST_TILT_DEG)
    return Scan(
        gain=float(rng.uniform(*_GAIN)),
        noise=float(rng.uniform(*_NOISE)),
        shading=float(rng.uniform(*_SHADING)),
        coil_z=float(rng.normal(0, _COIL_Z_SPREAD)),
        tilt_deg=(float(tilt[0]), float(tilt[1]), float(tilt[2])),
        blur=float(rng.uniform(*_BLUR)),
        ghost=float(rng.uniform(*_GHOST)),
        ghost_shift=int(rng.integers(*_GHOST_SHIFT)),
    )


def acquire(
    signal: NDArray[np.float32] | torch.Tensor,
    seed: int,
    scan: Scan | None = None,
    vessels: NDArray[np.bool_] | torch.Tensor | None = None,
) -> NDArray[np.int16]:
    """From the noiseless signal to what the scanner stores.

    Args:
        signal: float (W, n, H) in RAS order, cartilage = 1.
        seed: draws the scan, the coil and the noise.
        scan: a given scan instead of a drawn one.
        vessels: bool (W, n, H), where blood pulsates and throws ghosts; none where left out.

    Returns:
        int16 (W, n, H), never negative, at most 4095; zero beyond the tilted field of view.
    """
    rng = np.random.default_rng([seed, _STREAM])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    scan = scan or sample_scan(rng)
    received = torch.as_tensor(signal, dtype=torch.float32)
    received = received * coil_sensitivity(received.shape, scan, generator)
    if vessels is not None and scan.ghost > 0:
        received += ghosts(received * torch.as_tensor(vessels), scan)
    if scan.blur > 0:
        received = _spread(received, scan.blur / (1 - 2 * scan.blur), (0,))
    stored = add_noise(received, scan.noise, generator).mul_(scan.gain).clamp_(0, WHITE)
    return stored.mul_(field_of_view(stored.shape, scan.tilt_deg)).round_().to(torch.int16).numpy()


def coil_sensitivity(
    shape: Sequence[int], scan: Scan, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Sensitivity of a birdcage-like knee coil: Tensor (W, n, H), about 1 in the middle.

    Higher towards the skin, falling off at both ends of the leg, with a smooth random part.
    """
    axes = (torch.linspace(-1, 1, count) for count in _COIL_LATTICE)
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    surface = 1 + scan.shading * (x * x + _COIL_DEPTH * y * y)
    beyond = (z - scan.coil_z).abs() ** _COIL_END_POWER
    ends = torch.exp(-_COIL_ENDS * scan.shading * beyond)
    random = torch.randn(_COIL_LATTICE, generator=generator)
    coarse = surface * ends * (1 + _COIL_RANDOM * scan.shading * random)
    return F.interpolate(coarse[None, None], tuple(shape), mode="trilinear", align_corners=True)[
        0, 0
    ]


def ghosts(pulsating: torch.Tensor, scan: Scan) -> torch.Tensor:
    """Copies of the pulsating signal (W, n, H) to both sides along axis 0, each a half fainter."""
    done = torch.zeros_like(pulsating)
    for order in range(1, _GHOSTS + 1):
        for shift in (-order * scan.ghost_shift, order * scan.ghost_shift):
            done += torch.roll(pulsating, shift, 0) * (scan.ghost * _GHOST_FADES ** (order - 1))
    return done


def _spread(volume: torch.Tensor, neighbour: float, axes: Sequence[int]) -> torch.Tensor:
    """The volume after the kernel (a, 1, a) / (1 + 2 a) along each of the axes."""
    for axis in axes:
        wide = volume.clone()
        count = volume.shape[axis]
        wide.narrow(axis, 1, count - 1).add_(volume.narrow(axis, 0, count - 1), alpha=neighbour)
        wide.narrow(axis, 0, count - 1).add_(volume.narrow(axis, 1, count - 1), alpha=neighbour)
        for end in (0, count - 1):  # the volume goes on beyond its edge
            wide.narrow(axis, end, 1).add_(volume.narrow(axis, end, 1), alpha=neighbour)
        volume = wide.div_(1 + 2 * neighbour)
    return volume


NOISE_NEIGHBOUR = 0.17
"""Kernel (a, 1, a) that colours the noise in plane: a real volume's air has a correlation of .33
at one pixel and 0 to .1 at two, in both directions, and none between slices."""


def _coloured_noise(shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Unit noise (W, n, H) that is white along axis 1 and coloured in plane."""
    a = NOISE_NEIGHBOUR
    noise = _spread(torch.randn(tuple(shape), generator=generator), a, (0, 2))
    return noise.mul_((1 + 2 * a) ** 2 / (1 + 2 * a * a))


def add_noise(signal: torch.Tensor, sigma: float, generator: torch.Generator) -> torch.Tensor:
    """The mean of four Rician magnitudes: what remains of 512 x 512 pixels reduced to 256 x 256.

    A mean of four is close to normal, so it is drawn as such, with the exact Rician mean (air is
    not black: 1.25 sigma) and half the Rician standard deviation (Gudbjartsson and Patz, Magn
    Reson Med 1995;34:910), both read from a table over signal / sigma.
    """
    mean, deviation = _rician_table()
    position = (signal * (_TABLE_STEPS / sigma)).clamp_(0, len(mean) - 2)
    index = position.int()
    share = position.sub_(index)
    noise = _coloured_noise(signal.shape, generator).mul_(deviation[index])
    floor = torch.lerp(mean[index], mean[index + 1], share)
    far = signal - (len(mean) - 2) / _TABLE_STEPS * sigma
    return floor.add_(noise).mul_(sigma).add_(far.clamp_min_(0))


_TABLE_STEPS, _TABLE_TOP = 8, 32  # entries per sigma, and sigmas


@cache
def _rician_table() -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and half the standard deviation of a Rician of sigma 1, for signals 0, 1/8, ... 32."""
    signal = np.arange(_TABLE_TOP * _TABLE_STEPS + 1) / _TABLE_STEPS
    q = signal**2 / 4
    mean = np.sqrt(np.pi / 2) * ((1 + 2 * q) * ive(0, q) + 2 * q * ive(1, q))
    deviation = np.sqrt(np.maximum(signal**2 + 2 - mean**2, 0)) / 2
    return torch.from_numpy(mean).float(), torch.from_numpy(deviation).float()


def field_of_view(shape: Sequence[int], tilt_deg: Sequence[float]) -> torch.Tensor:
    """1 inside the acquired box, 0 beyond: Tensor (W, n, H) bool, the box turned by `tilt_deg`."""
    a, b, c = (math.tan(math.radians(angle)) for angle in tilt_deg)
    half = [count * step / 2 for count, step in zip(shape, VOXEL_MM, strict=True)]
    axes = [
        (torch.arange(count) - (count - 1) / 2) * step
        for count, step in zip(shape, VOXEL_MM, strict=True)
    ]
    x, y, z = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    inside_x = (x + b * z - c * y).abs() < half[0]
    inside_z = (z - b * x + a * y).abs() < half[2]
    return inside_x & inside_z
