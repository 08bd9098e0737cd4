"""The MONAI Label app: what `xr2mri serve` and `monailabel start_server --app monai_app` load.

Options (`--conf NAME VALUE`): see `lib.settings.Settings`, and `lib.security.settings` for who may
come in. This file only wires: what the parts do stands in `lib`.
"""

from __future__ import annotations

import atexit
import logging
import sys
from functools import partial
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore

from monai_app.lib.dicomweb import DicomWebStudies
from monai_app.lib.ending import when_asked_to_end
from monai_app.lib.greeting import greet_when_ready
from monai_app.lib.info import api_info
from monai_app.lib.jobs import JobStore
from monai_app.lib.operations import operations_router
from monai_app.lib.reading_box import Limits, ReadingBox, Turns
from monai_app.lib.routes import (
    inference_router,
    info_router,
    jobs_router,
    mount,
    session_router,
    studies_router,
    training_router,
)
from monai_app.lib.security.binding import start_of
from monai_app.lib.security.protect import protect
from monai_app.lib.security.settings import SecuritySettings
from monai_app.lib.service import GenerationService
from monai_app.lib.settings import Settings
from monai_app.lib.sources import Sources
from monai_app.lib.studies import Studies
from monai_app.lib.tasks import KneeMRITask
from monai_app.lib.training import TrainingRuns
from monai_app.lib.uploads import Sessions
from xr2mri_core import __version__
from xr2mri_core.this_process import leave_no_core
from xr2mri_core.volume import NOTICE

log = logging.getLogger("xr2mri")

_SWITCH_SECONDS = 0.001
"""How long a thread that computes in Python (a DICOM archive, say) may keep the one that answers
requests waiting each time; Python's default is five times as long."""


class XR2MRIApp(MONAILabelApp):
    """Knee MRI from radiographs, served by MONAI Label."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        sys.setswitchinterval(_SWITCH_SECONDS)
        leave_no_core()
        self.options = Settings.from_conf(conf, Path(app_dir))
        self.security = SecuritySettings.from_conf(conf)
        box = self._box()
        box.start()  # before anything secret is read
        self.service = GenerationService(
            self.options.bundles,
            self.options.device,
            self.security.max_queue,
            self.options.batch_size,
            self.options.precision,
            self.options.size,
            self.security.max_seconds,
            shared=self.security.shared,
            max_memory_mb=self.security.max_memory_mb,
            box=box,
            stores=self.security.pacs_stores,
        )
        super().__init__(
            app_dir,
            studies,
            conf,
            name="XR2MRI",
            description=f"Knee MRI from one radiograph. Research only: {NOTICE}.",
            version=__version__,
        )

    def _box(self) -> ReadingBox:
        bounds = self.security
        limits = Limits(bounds.read_seconds, bounds.read_cpu_seconds, bounds.read_memory_mb)
        at_once = bounds.read_at_once
        return ReadingBox(limits, Turns(at_once, max(1, at_once - 1), bounds.read_waiting))

    def init_datastore(self) -> Datastore:
        if self.studies.startswith(("http://", "https://")):
            return DicomWebStudies(
                self.studies,
                settings.MONAI_LABEL_DICOMWEB_USERNAME,
                settings.MONAI_LABEL_DICOMWEB_PASSWORD,
                self.security,
                self.security.quota("pacs", "images of the PACS"),
            )
        return Studies(self.studies)

    def init_infers(self) -> dict[str, Any]:
        return {name: KneeMRITask(self.service, name) for name in self.options.bundles}

    def init_strategies(self) -> dict[str, Any]:
        return {}

    def init_batch_infer(self) -> Any:
        return None

    def _load_sessions(self, load: bool = False) -> None:
        return None  # the stock ones lie on the disk; ours are in memory (`uploads.Sessions`)

    def info(self) -> dict[str, Any]:
        return {**super().info(), **api_info(self.service, self.security.max_upload_bytes)}

    def on_init_complete(self) -> None:
        """The server is about to answer: our routes instead of the stock ones, the guard before."""
        application = sys.modules["monailabel.app"].app
        studies = self.datastore()
        sources = Sources(
            self.service,
            studies,
            Sessions(60 * self.security.session_minutes, self.security.quota("sessions")),
            self.security.max_upload_bytes,
            self.security.pacs_store,
        )
        results = self.security.quota("results")
        keep, fetch = 60 * self.security.result_minutes, self.security.fetch_seconds
        store = JobStore(self.service.queue, results, keep, fetch)
        kept = self.options.train_dir or Path(self.app_dir) / "runs"
        runs = TrainingRuns(self.service, self.studies, kept)
        atexit.register(runs.stop)
        application.user_middleware.clear()  # the stock one answers pages of every origin
        routers = (
            info_router(self.info),
            inference_router(self.service, sources, store),
            jobs_router(self.service, sources, store),
            session_router(sources),
            studies_router(studies),
            training_router(runs),
            operations_router(self.service),
        )
        mount(application, *routers)
        protect(application, self.security, (self.app_dir, self.studies), routers)
        model = next(iter(self.options.bundles), "MODEL")
        greet_when_ready(start_of(application).config, self.security, studies, model)
        drain = self.security.drain_seconds
        when_asked_to_end(
            self.service.close,
            runs.stop,
            at_last=self.security.end_seconds,
            drain=partial(store.drain, drain) if drain else None,
        )
        self.service.preload()
        log.info("XR2MRI %s serves %s", __version__, ", ".join(self.options.bundles))
