"""Training by MONAI engines: the autoencoder stage, then the diffusion stage on cached latents."""

from xr2mri_core.training.autoencoder import (
    AutoencoderStage,
    finish_autoencoder,
    load_autoencoder,
    measure_scaling,
    start_autoencoder,
)
from xr2mri_core.training.batches import (
    CaseBatches,
    SliceBatches,
    StepSampler,
    training_loader,
    validation_loader,
)
from xr2mri_core.training.cache import LatentCache, SliceCache
from xr2mri_core.training.diffusion import DiffusionStage, OneStep, export_model
from xr2mri_core.training.ema import EMA, TrainedState
from xr2mri_core.training.engines import StageEvaluator, StageTrainer, placed
from xr2mri_core.training.handlers import (
    Checkpoints,
    Log,
    Pictures,
    ProgressFile,
    Schedule,
    ValidationLog,
)
from xr2mri_core.training.record import training_record, write_record
from xr2mri_core.training.regression import RegressionStage, measure_residual

__all__ = [
    "EMA",
    "AutoencoderStage",
    "CaseBatches",
    "Checkpoints",
    "DiffusionStage",
    "LatentCache",
    "Log",
    "OneStep",
    "Pictures",
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
    "export_model",
    "finish_autoencoder",
    "load_autoencoder",
    "measure_residual",
    "measure_scaling",
    "placed",
    "start_autoencoder",
    "training_loader",
    "training_record",
    "validation_loader",
    "write_record",
]
