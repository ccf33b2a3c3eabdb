"""The contract of SageMaker's endpoints, as its built-in object detection answers.

A picture in, ``{"prediction": [[class, score, xmin, ymin, xmax, ymax], ...]}`` out: the class by
its number, all numbers as fractions, coordinates as shares of the picture.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.responses import JSONResponse

from ssdreg_runtime.serving.answers import InvocationAnswer, errors, picture_body
from ssdreg_runtime.serving.models import LoadedModel
from ssdreg_runtime.serving.pictures import Upload
from ssdreg_runtime.serving.service import Service
from ssdreg_runtime.serving.uploads import ONLY, check_picture_type, content_type

#: The content types of the built-in algorithm's endpoints.
TYPES = ("image/jpeg", "image/png", "application/x-image")

#: Where a client of the service itself sends pictures; the name is the endpoint's.
ENDPOINT = "/endpoints/{name}/invocations"

#: The header by which clients of the service tell errors apart, and that of a model.
ERROR_TYPE, MODEL_ERROR = "x-amzn-ErrorType", "ModelError"

_ERRORS = errors(400, 401, 408, 413, 415, 429, 504)


def ping_route() -> APIRouter:
    """Return the route that says whether the server lives; it needs no token."""
    router = APIRouter()

    @router.get("/ping", response_class=Response)
    async def ping() -> Response:
        """Say that the server lives: its models are opened before it listens."""
        return Response()

    return router


def invocation_routes(service: Service) -> APIRouter:
    """Return the routes that detect, which ask `service`."""
    router = APIRouter()

    @router.post("/invocations", response_model=InvocationAnswer, responses=_ERRORS,
                 openapi_extra=picture_body(TYPES))
    async def invoke(request: Request) -> Response:
        """Detect objects in a picture with the default model."""
        return await _invoke(service, request, service.models.default)

    @router.post(ENDPOINT, response_model=InvocationAnswer, responses=_ERRORS,
                 openapi_extra=picture_body(TYPES))
    async def invoke_endpoint(request: Request, name: Annotated[str, Path(
            description="name of a model; any other name means the default")]) -> Response:
        """Detect objects in a picture, at the path that clients of SageMaker ask."""
        return await _invoke(service, request, service.models.named_or_default(name))

    return router


async def _invoke(service: Service, request: Request, loaded: LoadedModel) -> Response:
    check_picture_type(content_type(request), TYPES)
    service.admission.check()
    upload = Upload(ONLY, await request.body())
    [detections] = await service.detect(request.scope, loaded, [upload])
    return JSONResponse({"prediction": detections.rows.astype(float).tolist()})
