"""The pictures in a request: the body itself, or the files of a form."""

from __future__ import annotations

import re

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ssdreg_runtime.serving.answers import MULTIPART, PICTURE_TYPES
from ssdreg_runtime.serving.pictures import Upload
from ssdreg_runtime.serving.refusal import Refusal

#: The name of a body that is a picture.
ONLY = "the picture"

_LONGEST_NAME = 200
#: What a name in answers, logs and file names of downloads is better without.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def content_type(request: Request) -> str:
    """Return the type of a request's body without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_uploads(request: Request, max_pictures: int) -> list[Upload]:
    """Return the pictures of a body: of one of `PICTURE_TYPES`, or a form of at least one file.

    Raises Refusal: status 415 for another type, 400 for a form that is damaged, without files,
    or with more than `max_pictures`.
    """
    given = content_type(request)
    if given == MULTIPART:
        return await _form_files(request, max_pictures)
    check_picture_type(given, (*PICTURE_TYPES, MULTIPART))
    return [Upload(ONLY, await request.body())]


def check_picture_type(given: str, types: tuple[str, ...]) -> None:
    """Raise Refusal, status 415, for a body that is said to be something else than a picture."""
    if given and given not in types:
        raise Refusal(415, f"a body of the type {_clean(given)} is not taken: send a picture with "
                           f"one of {', '.join(types)}")


async def _form_files(request: Request, max_pictures: int) -> list[Upload]:
    try:
        form = await request.form(max_files=max_pictures, max_fields=1)
    except HTTPException as error:
        raise Refusal(400, f"the form cannot be read: {error.detail}") from error
    except FormParserError as error:
        # older releases of Starlette let it pass
        raise Refusal(400, f"the form cannot be read: {error}") from error
    try:
        files = form.multi_items()
        if not files:
            raise Refusal(400, "the form has no file: send at least one picture")
        uploads = []
        for number, (field, file) in enumerate(files, 1):
            if not isinstance(file, UploadFile):
                raise Refusal(400, f"the field {_clean(field)} of the form is no file: send "
                                   f"pictures as files, and parameters in the address")
            name = _clean(re.split(r"[/\\]", file.filename or "")[-1])
            uploads.append(Upload(name or f"picture {number}", await file.read()))
        return uploads
    finally:
        await form.close()


def _clean(name: str) -> str:
    """Return a client's text as it may stand in an answer."""
    return _CONTROL.sub("_", name)[:_LONGEST_NAME]
