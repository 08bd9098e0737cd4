"""The routes of those who operate the server: what their orchestrator and their monitoring ask."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from monai_app.lib.json_text import Json
from monai_app.lib.metrics import metrics_of, text_of
from monai_app.lib.security.routes import Role, allowed
from monai_app.lib.service import GenerationService


def operations_router(service: GenerationService) -> APIRouter:
    """`GET /ready` and `GET /metrics`.

    Args:
        service: the service that is asked.
    """
    router = APIRouter(tags=["Operations"], default_response_class=Json)
    registry = cache(lambda: metrics_of(service.queue))

    @router.get(
        "/ready",
        summary="May work be sent here? 503 while it loads, without a model, and when it ends",
    )
    @allowed(Role.NOBODY)
    async def ready(response: Response) -> dict[str, str]:
        why = service.not_ready()
        response.status_code = 503 if why else 200
        return {"status": why or "ready"}

    @router.get("/metrics", summary="Numbers of jobs, devices and process, for Prometheus")
    @allowed(Role.USER)
    async def metrics() -> Response:
        return Response(text_of(registry()), media_type=CONTENT_TYPE_LATEST)

    return router
