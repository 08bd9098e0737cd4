"""Everything that the server serves, found without starting one."""

from functools import cache

from fastapi import APIRouter

from monai_app.lib import routes
from monai_app.lib.operations import operations_router
from monai_app.lib.security.auth import Authenticator
from monai_app.lib.security.description import description_router
from monai_app.lib.security.login import login_router
from monai_app.lib.security.routes import Served
from monai_app.lib.security.settings import SecuritySettings


def routers() -> list[APIRouter]:
    nothing = None
    return [
        login_router(Authenticator(SecuritySettings())),
        description_router(dict),
        routes.info_router(dict),
        routes.inference_router(nothing, nothing, nothing),
        routes.jobs_router(nothing, nothing, nothing),
        routes.session_router(nothing),
        routes.studies_router(nothing),
        routes.training_router(nothing),
        operations_router(nothing),
    ]


@cache
def everything() -> Served:
    return Served.by(*routers())
