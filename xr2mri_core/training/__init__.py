"""Training by MONAI engines: the autoencoder stage, then the diffusion stage on cached latents."""

from xr2mri_core.training.alignment import AlignedStage
from xr2mri_core.training.autoencoder import (
    AutoencoderStage,
    finish_autoencoder,
    load_autoencoder,
    measure_scaling,
    start_autoencoder,
)
from xr2mri_core.training.axes import AxisBatches
from xr2mri_core.training.batches import (
    CaseBatches,
    SliceBatches,
    StepSampler,
    training_loader,
    validation_loader,
)
from xr2mri_core.training.bones import fit_bones
from xr2mri_core.training.cache import LatentCache, SliceCache
from xr2mri_core.training.checkpoints import Checkpoints
from xr2mri_core.training.diffusion import DiffusionStage, OneStep, export_model
from xr2mri_core.training.distillation import DistillationStage, start_student
from xr2mri_core.training.ema import EMA, TrainedState
from xr2mri_core.training.engines import StageEvaluator, StageTrainer, placed, tune, unets
from xr2mri_core.training.grain import measure_grain
from xr2mri_core.training.handlers import Log, Pictures, Schedule, ValidationLog
from xr2mri_core.training.pairs import PairBatches, PairCache, drawn_by
from xr2mri_core.training.progress import ProgressBar, ProgressFile
from xr2mri_core.training.record import training_record, write_record
from xr2mri_core.training.regression import RegressionStage, measure_residual
from xr2mri_core.training.start import check_start, start_model

__all__ = [
    "EMA",
    "AlignedStage",
    "AutoencoderStage",
    "AxisBatches",
    "CaseBatches",
    "Checkpoints",
    "DiffusionStage",
    "DistillationStage",
    "LatentCache",
    "Log",
    "OneStep",
    "PairBatches",
    "PairCache",
    "Pictures",
    "ProgressBar",
    "ProgressFile",
    "RegressionStage",
    "Schedule",
    "SliceBatches",
    "SliceCache",
    "StageEvaluator",
    "StageTrainer",
    "StepSampler",
    "TrainedState",
    "ValidationLog",
    "check_start",
    "drawn_by",
    "export_model",
    "finish_autoencoder",
    "fit_bones",
    "load_autoencoder",
    "measure_grain",
    "measure_residual",
    "measure_scaling",
    "placed",
    "start_autoencoder",
    "start_model",
    "start_student",
    "training_loader",
    "training_record",
    "tune",
    "unets",
    "validation_loader",
    "write_record",
]
