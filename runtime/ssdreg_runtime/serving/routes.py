"""The routes of the API: models, detection, figures."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, Optional

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import JSONResponse

from ssdreg_runtime.draw.look import Look
from ssdreg_runtime.draw.palette import class_colors
from ssdreg_runtime.serving.answers import (
    MULTIPART,
    PICTURE_TYPES,
    DetectAnswer,
    ModelAnswer,
    ModelsAnswer,
    errors,
    picture_body,
)
from ssdreg_runtime.serving.metrics import CONTENT_TYPE
from ssdreg_runtime.serving.models import LoadedModel
from ssdreg_runtime.serving.pictures import draw_upload
from ssdreg_runtime.serving.refusal import Refusal
from ssdreg_runtime.serving.service import Service
from ssdreg_runtime.serving.uploads import read_uploads

Form = Literal["json", "png", "jpeg"]
_TYPES = {"png": "image/png", "jpeg": "image/jpeg"}

Name = Annotated[str, Path(description="name of a model, as GET /models has it")]


def api_routes(service: Service) -> APIRouter:
    """Return the routes, which ask `service`."""
    router = APIRouter()
    models = service.models

    def model_answer(loaded: LoadedModel) -> dict[str, object]:
        return {**_described(loaded), "default": loaded is models.default,
                "in_browser": service.runs_in_browser(loaded)}

    @router.get("/models", response_model=ModelsAnswer, responses=errors(401))
    async def list_models() -> Response:
        """List the models, the default first."""
        return JSONResponse({"models": [model_answer(loaded) for loaded in models.all]})

    @router.get("/models/{name}", response_model=ModelAnswer, responses=errors(401, 404))
    async def show_model(name: Name) -> Response:
        """Show one model."""
        loaded = models.named(name)
        return JSONResponse(model_answer(loaded))

    @router.post("/models/{name}/detect", openapi_extra=picture_body((*PICTURE_TYPES, MULTIPART)),
                 responses={200: {"model": DetectAnswer, "content": {
                     kind: {"schema": {"type": "string", "format": "binary"}}
                     for kind in _TYPES.values()}},
                     **errors(400, 401, 404, 406, 408, 413, 415, 429, 504)})
    async def detect(
            request: Request, name: Name,
            threshold: Annotated[float, Query(
                ge=0, le=1, description="report objects from this score on")] = 0.5,
            form: Annotated[Optional[Form], Query(  # noqa: UP045
                alias="format", description="form of the answer; else the header Accept says it"
            )] = None,
            line_width: Annotated[Optional[int], Query(  # noqa: UP045
                ge=1, le=100, description="width of drawn boxes in pixels")] = None,
            font_size: Annotated[Optional[int], Query(  # noqa: UP045
                ge=6, le=400, description="size of drawn labels in pixels")] = None,
            hide_labels: Annotated[bool, Query(description="draw the boxes alone")] = False,
            hide_scores: Annotated[bool, Query(
                description="leave the scores out of drawn labels")] = False) -> Response:
        """Detect objects in one picture, or in those of a form; or draw them into one picture."""
        loaded = models.named(name)
        answer_form = form or _accepted_form(request)
        service.admission.check()
        uploads = await read_uploads(request, service.settings.queue)
        if answer_form != "json" and len(uploads) > 1:
            raise Refusal(400, f"{len(uploads)} pictures cannot be drawn into one: send them one "
                               f"by one, or ask for JSON")
        results = await service.detect(request.scope, loaded, uploads)
        if answer_form == "json":
            return JSONResponse({"model": name, "images": [
                {"image": upload.name, **detections.above(threshold).to_dict()}
                for upload, detections in zip(uploads, results)]})
        look = Look(line_width=line_width, font_size=font_size, hide_labels=hide_labels,
                    hide_scores=hide_scores)
        drawn = await service.work(request.scope, partial(
            draw_upload, uploads[0], results[0], threshold, look, answer_form))
        return Response(drawn, media_type=_TYPES[answer_form])

    @router.get("/metrics", response_class=Response, responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **errors(401)})
    async def figures() -> Response:
        """Show the server's figures, as Prometheus reads them."""
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return router


def _accepted_form(request: Request) -> Form:
    """Return the first form that the header Accept has; raise Refusal where it has none."""
    accepted = [part.partition(";")[0].strip().lower()
                for part in request.headers.get("accept", "").split(",")]
    for kind in accepted:
        if kind in ("", "*/*", "application/*", "application/json"):
            return "json"
        if kind in ("image/png", "image/*"):
            return "png"
        if kind == "image/jpeg":
            return "jpeg"
    raise Refusal(406, "the header Accept has no form that there is: ask for application/json, "
                       "image/png or image/jpeg")


def _described(loaded: LoadedModel) -> dict[str, object]:
    detector = loaded.detector
    height, width = detector.data_shape
    facts = detector.facts
    return {"name": loaded.name, "classes": list(detector.classes),
            "colors": ["#{:02x}{:02x}{:02x}".format(*color)
                       for color in class_colors(len(detector.classes))],
            "width": width, "height": height, "backbone": facts.backbone, "head": facts.head,
            "backend": detector.backend, "precision": detector.precision,
            "threshold": facts.threshold, "batch": detector.batch_size,
            "opened": loaded.model.opened.isoformat(timespec="seconds")}
