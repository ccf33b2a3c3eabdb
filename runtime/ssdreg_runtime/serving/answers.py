"""The forms of answers, for the API's document, with examples."""

from __future__ import annotations

# pydantic reads the annotations, and those of Python 3.9 are written so
from typing import Any

from pydantic import BaseModel, Field

#: What the API's document says of a picture in a body.
_BINARY = {"type": "string", "format": "binary"}

#: The content types of a body that is one picture; what it is, its bytes say.
PICTURE_TYPES = ("image/jpeg", "image/png", "image/bmp", "image/gif", "image/tiff", "image/webp",
                 "application/x-image", "application/octet-stream")
MULTIPART = "multipart/form-data"


class FoundObject(BaseModel):
    """An object in a picture."""

    name: str = Field(alias="class", description="name of its class")
    score: float = Field(description="0 to 1")
    box: list[float] = Field(min_length=4, max_length=4,
                             description="left, top, right, bottom in pixels")


class PictureAnswer(BaseModel):
    """A picture and its objects, as `ssdreg-detect --json` prints them."""

    image: str = Field(description="its name")
    width: int = Field(description="in pixels; 0 where it could not be read")
    height: int
    objects: list[FoundObject] = Field(description="best first")
    error: str = Field("", description="why it could not be read; only then there")


class DetectAnswer(BaseModel):
    """The pictures of a request, in its order."""

    model: str
    images: list[PictureAnswer]

    model_config = {"json_schema_extra": {"examples": [{
        "model": "cells", "images": [{
            "image": "photo.jpg", "width": 640, "height": 480, "objects": [
                {"class": "RBC", "score": 0.9871, "box": [12.5, 40.0, 101.2, 133.9]}]}]}]}}


class ModelAnswer(BaseModel):
    """A model of the server."""

    name: str
    default: bool = Field(description="whether /invocations asks this one")
    classes: list[str] = Field(description="in the order of their numbers")
    colors: list[str] = Field(description="of each class in drawn pictures, #rrggbb")
    width: int = Field(description="of the network's input; pictures of any size are resized to it")
    height: int
    backbone: str
    head: str
    backend: str
    precision: str
    in_browser: bool = Field(description="whether GET /models/NAME/file gives it to the page")
    threshold: float = Field(description="the least score that it gives")
    batch: int = Field(description="pictures that run together at most")
    opened: str = Field(description="when its file was read")


class ModelsAnswer(BaseModel):
    """All models of the server, the default first."""

    models: list[ModelAnswer]

    model_config = {"json_schema_extra": {"examples": [{"models": [{
        "name": "cells", "default": True, "classes": ["Platelets", "RBC", "WBC"],
        "colors": ["#e69f00", "#56b4e9", "#009e73"], "width": 300,
        "height": 300, "backbone": "resnet50", "head": "ssd", "backend": "openvino",
        "precision": "float32", "in_browser": False, "threshold": 0.01, "batch": 8,
        "opened": "2026-01-01T12:00:00+00:00"}]}]}}


class InvocationAnswer(BaseModel):
    """The objects of a picture, best first, as the built-in algorithm of SageMaker answers."""

    prediction: list[list[float]] = Field(
        description="class number, score, xmin, ymin, xmax, ymax; coordinates as shares of the "
                    "picture, 0 to 1")

    model_config = {"json_schema_extra": {"examples": [
        {"prediction": [[1.0, 0.9871, 0.0195, 0.0833, 0.1581, 0.279]]}]}}


class ErrorAnswer(BaseModel):
    """Why a request was refused, in a sentence."""

    error: str

    model_config = {"json_schema_extra": {"examples": [
        {"error": "there is no model of that name: choose one of cells"}]}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer with these errors."""
    descriptions = {
        400: "a picture is damaged, or a parameter is wrong", 401: "the token is missing",
        404: "there is no such model", 406: "no such form of answer",
        408: "the body did not arrive in time", 413: "too many bytes, pixels or pictures",
        415: "the content is of no type that is taken",
        429: "busy: ask again after as many seconds as Retry-After says",
        504: "not answered in time"}
    return {**{status: {"model": ErrorAnswer, "description": descriptions[status]}
               for status in statuses},
            "4XX": {"model": ErrorAnswer, "description": "not understood"}}


def picture_body(types: tuple[str, ...]) -> dict[str, Any]:
    """Return the `openapi_extra` of a route whose body is a picture of these types."""
    content: dict[str, Any] = {each: {"schema": _BINARY} for each in types if each != MULTIPART}
    if MULTIPART in types:
        content[MULTIPART] = {"schema": {
            "type": "object", "required": ["image"],
            "properties": {"image": {"type": "array", "minItems": 1, "items": _BINARY}}}}
    return {"requestBody": {"required": True, "content": content}}
