"""Distillation: a student that makes in few steps what its teacher makes in many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from xr2mri_core.bundle import Bundle
from xr2mri_core.diffusion import Scheduler, build_scheduler, guided, sample
from xr2mri_core.errors import TrainingError, WeightsError
from xr2mri_core.networks import XR2MRIModel
from xr2mri_core.networks.model import unique_state
from xr2mri_core.networks.pretrained import load_parts
from xr2mri_core.training.autoencoder import load_autoencoder
from xr2mri_core.training.batches import Batch
from xr2mri_core.training.conditions import Kept, encoded, features_of, like, side_by_side
from xr2mri_core.training.diffusion import DiffusionStage, clean_latent
from xr2mri_core.training.pairs import alike
from xr2mri_core.training.regression import predicted_mean

STUDENT_SAMPLER = "ddim"
_OF_THE_LATENTS = ("regression", "grain")
"""Parts that no step of a distillation trains and another autoencoder makes wrong."""


class DistillationStage(DiffusionStage):
    """The student's loss on pairs (z_T, z_0), in which z_0 is what the teacher draws from z_T.

    The usual loss of diffusion (Eq. 10) couples each slice with any noise, and its minimum has
    curved paths from noise to slice, which few steps cut short. Coupled with the noise that a
    deterministic sampler turned into it, the same loss has a minimum with straight paths: one step
    arrives where the teacher's many did, and more steps only mend what is not yet learned (Liu et
    al., "Flow straight and fast: learning to generate and transfer data with rectified flow", ICLR
    2023; Liu et al., "InstaFlow", ICLR 2024). At t = T it is progressive distillation from any
    number of steps to one (Luhman & Luhman, 2021; Salimans & Ho, ICLR 2022). So one student
    serves one, two and four steps; the noise stays the teacher's, correlated along depth as it is;
    and pairs are drawn once and used many times.

        z_t = sqrt(alpha-bar_t) z_0 + sqrt(1 - alpha-bar_t) z_T,
        || z_0(z_t) - z_0 ||^2 / (1 - alpha-bar_t)

    which for "v_prediction" is the distance between velocities and keeps its meaning for "epsilon"
    where t is near T. Only the timesteps at which DDIM evaluates the student are trained.

    Args:
        model: the student, filled by `start_student`.
        scheduler: scheduler of its training.
        steps: numbers of steps to be good at, e.g. (1, 2, 4); none: the student has latents of its
            own and learns the teacher's volumes from noise of its own, at all timesteps.
        noisy_share: see `DiffusionStage`; for a student without `steps`.
        noise_length: see `DiffusionStage`; for a student without `steps`.
    """

    def __init__(
        self,
        model: XR2MRIModel,
        scheduler: Scheduler,
        steps: Sequence[int] = (1, 2, 4),
        noisy_share: float = 0.5,
        noise_length: float = 0.0,
    ) -> None:
        super().__init__(
            model, scheduler, noisy_share, 0.0, 0.0, 0.0, picture_steps=8, noise_length=noise_length
        )
        self.steps = [int(count) for count in steps]
        if any(not 1 <= count <= self.timesteps for count in self.steps):
            raise TrainingError(
                f"student_steps {list(steps)}: accepted are numbers from 1 to {self.timesteps}"
            )
        self.nodes = [self._evaluated(count) for count in self.steps]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch of `PairBatches`, whose forms are incomplete already."""
        generator = torch.Generator(batch["latent"].device).manual_seed(batch["seed"])
        slab = batch.get("slab", 1)
        t = self._random_timesteps(len(batch["latent"]) // slab, generator)
        return self._losses(batch, None, t.repeat_interleave(slab), generator)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Losses, and `reached_k`: how near k steps come to where the teacher arrives.

        That is 1 - |student - teacher|^2 / |teacher - mu|^2: 1 is the teacher's map, 0 is not to
        draw at all.
        """
        if not self.steps:
            return super().validate(batch)
        generator = torch.Generator(batch["latent"].device).manual_seed(batch["seed"])
        slab = batch["slab"]
        every = torch.cat(self.nodes).to(generator.device)
        count = len(batch["latent"]) // slab
        t = every[torch.arange(count, device=generator.device) % len(every)]
        losses = self._losses(batch, None, t.repeat_interleave(slab), generator)
        return losses | self._reached(batch)

    @torch.no_grad()
    def picture(self, batch: Batch, columns: int = 8) -> Tensor:
        """The teacher's slices of one slab, and the student's from the same noise below them."""
        if not self.steps:
            return super().picture(batch, columns)
        slab = batch["slab"]
        per_slice = {"latent", "noise", "mean", "depth"}
        one = {key: value[:slab] for key, value in batch.items() if key in per_slice}
        one |= {key: batch[key][:1] for key in ("radiograph", "features")} | {"slab": slab}
        mean = self._mean(one)
        drawn = [self.model.from_residual(self._drawn(one, count), mean) for count in self.steps]
        return side_by_side(self.model, [row[:columns] for row in (one["latent"], *drawn)])

    def _reached(self, batch: Batch) -> dict[str, Tensor]:
        target = self.model.to_residual(batch["latent"], self._mean(batch))
        power = target.square().mean()
        errors = {count: (self._drawn(batch, count) - target).square() for count in self.steps}
        return {f"reached_{count}": 1 - error.mean() / power for count, error in errors.items()}

    def _drawn(self, batch: Batch, steps: int) -> Tensor:
        """What the student draws from the batch's noise, as a residual."""
        code = encoded(self.model.encode_radiograph, batch)
        denoise = guided(
            self.model.denoise, code, batch["depth"], features_of(batch),
            mean=self._mean(batch), slab=batch["slab"],
        )  # fmt: skip
        scheduler = build_scheduler(self.scheduler, STUDENT_SAMPLER)
        return sample(denoise, batch["noise"], scheduler, steps).float()

    def _evaluated(self, steps: int) -> Tensor:
        scheduler = build_scheduler(self.scheduler, STUDENT_SAMPLER)
        scheduler.set_timesteps(steps)
        return scheduler.timesteps.clamp(max=self.timesteps - 1).long()

    def _random_timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        """One of the numbers of steps, each as often, then one of its timesteps."""
        if not self.steps:
            return super()._random_timesteps(count, generator)
        u = torch.rand(2, count, generator=generator, device=generator.device).cpu()
        drawn = []
        for which, where in u.T.tolist():
            nodes = self.nodes[min(int(which * len(self.nodes)), len(self.nodes) - 1)]
            drawn.append(nodes[min(int(where * len(nodes)), len(nodes) - 1)])
        return torch.stack(drawn).to(generator.device)

    @torch.no_grad()
    def _mean(self, batch: Batch, kept: Kept | None = None) -> Tensor | None:
        if self.model.regression is None:
            return None
        return batch["mean"] if "mean" in batch else predicted_mean(self.model, batch).float()

    def _epsilon(self, batch: Batch, target: Tensor, generator: torch.Generator) -> Tensor:
        if not self.steps:
            return super()._epsilon(batch, target, generator)
        if "noise" not in batch:
            raise TrainingError(
                "the student's latents are not the teacher's, whose noise they cannot share: give "
                "student_steps [] to learn the teacher's volumes first, then distil that student",
                option="student_steps",
            )
        return batch["noise"]

    def _error(
        self, prediction: Tensor, target: Tensor, epsilon: Tensor, z_t: Tensor, t: Tensor
    ) -> Tensor:
        clean = clean_latent(self.scheduler, z_t, prediction, t)
        sigma = like((1 - self.scheduler.alphas_cumprod.to(t.device)[t]).sqrt(), z_t)
        return ((clean - target) / sigma).square()


def start_student(
    model: XR2MRIModel,
    teacher: Bundle,
    initial_weights: str | None = None,
    autoencoder_dir: str | None = None,
) -> list[str]:
    """Fill a student, in place, with what it begins with.

    Each part whose tensors have the same names and shapes in both is the teacher's; of a smaller
    student the other parts are new. So are regression and grain where the autoencoder is another:
    the one is a mean of its latents and stays frozen, the other what it loses of a slice.

    Args:
        model: the student.
        teacher: the teacher with its weights.
        initial_weights: a file whose parts go before the teacher's (`load_parts`).
        autoencoder_dir: folder of an autoencoder that goes before either's.

    Returns:
        The parts that are the teacher's.

    Raises:
        WeightsError: the autoencoder would keep random weights.
    """
    given = load_parts(model, initial_weights) if initial_weights else []
    if autoencoder_dir:
        load_autoencoder(model.autoencoder, autoencoder_dir)
        given.append("autoencoder")
    if teacher.model.guidance.demographics is not None:
        model.add_demographics()
    taken = []
    for name, part in model.named_children():
        twin = getattr(teacher.model, name, None)
        if twin is None or any(n == name or n.startswith(f"{name}.") for n in given):
            continue
        if name in _OF_THE_LATENTS and not alike(model.autoencoder, teacher.model.autoencoder):
            continue
        shapes = [{n: v.shape for n, v in unique_state(m).items()} for m in (part, twin)]
        if shapes[0] == shapes[1]:
            part.load_state_dict(twin.state_dict())
            taken.append(name)
    if "autoencoder" in taken:
        autoencoder = cast(Any, model.autoencoder)
        autoencoder.register_to_config(scaling_factor=teacher.model.scaling_factor)
    elif "autoencoder" not in given:
        raise WeightsError(
            "the student's autoencoder is not the teacher's and is not trained in this stage: give "
            "the folder that the autoencoder stage wrote, or initial weights that hold one",
            option="autoencoder_dir",
        )
    return taken
