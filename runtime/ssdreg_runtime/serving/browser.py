"""What the page needs to detect inside the browser: onnxruntime-web, and the model's file."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

from ssdreg_runtime.errors import DataError
from ssdreg_runtime.serving.answers import errors
from ssdreg_runtime.serving.refusal import Refusal
from ssdreg_runtime.serving.routes import Name
from ssdreg_runtime.serving.service import Service

#: What the page imports of the folder; the rest it loads by itself.
MODULE = "ort.wasm.min.mjs"


def check_browser_runtime(folder: Path) -> Path:
    """Return a folder of onnxruntime-web's files; raise DataError for another."""
    if not (folder / MODULE).is_file():
        raise DataError(f"{folder} has no {MODULE}: run `npm install onnxruntime-web` and give "
                        f"--browser-runtime node_modules/onnxruntime-web/dist")
    return folder


def browser_routes(service: Service) -> APIRouter:
    """Return the route of the models' files."""
    router = APIRouter()

    @router.get("/models/{name}/file", response_class=FileResponse, responses={
        200: {"content": {"application/octet-stream": {
            "schema": {"type": "string", "format": "binary"}}}}, **errors(401, 404)})
    async def model_file(name: Name) -> FileResponse:
        """Send a model's ONNX file, for the page to detect inside the browser."""
        loaded = service.models.named(name)
        file = loaded.model.source.file
        if not service.runs_in_browser(loaded) or not file.is_file():
            raise Refusal(404, "the page cannot run this model: serve an ONNX file of `ssdreg "
                               "export --input image`")
        return FileResponse(file, media_type="application/octet-stream")

    return router
