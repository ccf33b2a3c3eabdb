"""The application: routes, refusals as answers, and what requests pass through."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ssdreg_runtime._version import __version__
from ssdreg_runtime.serving.admission import UploadMemory
from ssdreg_runtime.serving.bodies import BoundedBodies
from ssdreg_runtime.serving.browser import browser_routes
from ssdreg_runtime.serving.refusal import Refusal
from ssdreg_runtime.serving.requests import RequestLog
from ssdreg_runtime.serving.routes import api_routes
from ssdreg_runtime.serving.sagemaker import (
    ERROR_TYPE,
    MODEL_ERROR,
    invocation_routes,
    ping_route,
)
from ssdreg_runtime.serving.service import Service
from ssdreg_runtime.serving.token import TokenCheck

#: Files that are answered as they are, to anybody: ``index.html`` in it is the page at ``/``.
PAGE = Path(__file__).parent / "page"

_DESCRIPTION = ("Object detection over HTTP. A refused request gets `error`, a sentence, and every "
                "answer the header `X-Request-Id`, by which the server's log has it.")


def application(service: Service) -> FastAPI:
    """Return the application that answers requests with `service`."""
    settings = service.settings
    # the pages that show the document fetch their scripts from another host
    app = FastAPI(title="ssdreg", version=__version__, description=_DESCRIPTION, docs_url=None,
                  redoc_url=None, separate_input_output_schemas=False)
    guarded = [Depends(TokenCheck(settings.token))]
    app.include_router(ping_route())
    app.include_router(api_routes(service), dependencies=guarded)
    app.include_router(invocation_routes(service), dependencies=guarded)
    if settings.browser_runtime is not None:
        app.include_router(browser_routes(service), dependencies=guarded)
        app.mount("/onnxruntime", StaticFiles(directory=settings.browser_runtime))
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    # the last that is added is the first that a request passes
    app.add_middleware(BoundedBodies, max_bytes=settings.max_bytes, timeout=settings.timeout,
                       memory=UploadMemory(settings.max_bytes_held, service.metrics))
    app.add_middleware(RequestLog, metrics=service.metrics)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _error(request, error.status, error.sentence, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _error(request, 400, f"the parameter {first['loc'][-1]} cannot be used: {first['msg']}")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = {404: "there is nothing at this address: /openapi.json says what there is",
                405: "this address is not asked in that way: /openapi.json says how"}
    return _error(request, error.status_code, sentence.get(error.status_code, str(error.detail)),
                  error.headers)


def _error(request: Request, status: int, sentence: str, headers: Mapping[str, str] | None = None
           ) -> Response:
    answer = {"error": sentence}
    if request.url.path.startswith("/endpoints/"):
        # what clients of the service read
        answer["message"] = sentence
        headers = {**(headers or {}), ERROR_TYPE: MODEL_ERROR}
    return JSONResponse(answer, status, headers)
