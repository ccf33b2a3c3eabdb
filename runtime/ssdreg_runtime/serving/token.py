"""The bearer token: read where the server starts, and checked in each request."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ssdreg_runtime.errors import DataError
from ssdreg_runtime.serving.refusal import Refusal

#: The environment variable that holds the token where no file is named.
VARIABLE = "SSDREG_SERVE_TOKEN"

_bearer = HTTPBearer(auto_error=False, description="Needed where the server was given a token.")


def read_token(file: Path | None, environ: Mapping[str, str]) -> str:
    """Return the token in a file, or in the environment; empty where there is neither.

    Raises DataError for a file that cannot be read, and for a token that no header can hold.
    """
    where = str(file) if file else VARIABLE
    try:
        token = (file.read_text("utf-8") if file else environ.get(VARIABLE, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as a token: {error}") from error
    if file and not token:
        raise DataError(f"{file} is empty: write the token into it")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise DataError(f"the token in {where} cannot be sent in a header: take ASCII letters and "
                        f"digits, without spaces")
    return token


class TokenCheck:
    """A dependency of routes: raises Refusal, status 401, for requests without the token."""

    def __init__(self, token: str) -> None:
        self._expected = token.encode()

    # a coroutine, because FastAPI calls plain functions in a thread
    async def __call__(
            self, sent: Optional[HTTPAuthorizationCredentials] = Depends(_bearer)  # noqa: B008, UP045
    ) -> None:
        """Check the token that a request has sent."""
        given = sent.credentials.encode() if sent else b""
        # takes the same time wherever they differ
        if self._expected and not hmac.compare_digest(given, self._expected):
            raise Refusal(401, "the token is missing or wrong: send the header Authorization: "
                               "Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
