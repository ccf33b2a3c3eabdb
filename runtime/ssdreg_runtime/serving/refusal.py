"""Refusals: requests that get an error as their answer."""

from __future__ import annotations

from collections.abc import Mapping


class Refusal(Exception):  # noqa: N818 - the client's error, not the server's
    """A request cannot be answered: the status, a sentence, and headers of the answer."""

    def __init__(self, status: int, sentence: str,
                 headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})
