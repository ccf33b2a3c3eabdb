"""The figures of a server, as Prometheus reads them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PICTURES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "ssdreg_requests", "Requests answered", ("route", "status"), registry=registry)
        self.seconds = Histogram(
            "ssdreg_request_seconds", "From a request's head to the end of its answer",
            ("route",), buckets=_SECONDS, registry=registry)
        self.pictures = Counter(
            "ssdreg_pictures", "Pictures detected in", ("model",), registry=registry)
        self.unreadable = Counter(
            "ssdreg_pictures_unreadable", "Pictures that could not be read", registry=registry)
        self.refused = Counter(
            "ssdreg_requests_refused", "Requests refused with 429: the queue or the memory of "
            "bodies was full", ("reason",), registry=registry)
        self.waiting = Gauge(
            "ssdreg_pictures_waiting", "Pictures taken and not yet answered", registry=registry)
        self.body_bytes = Gauge(
            "ssdreg_body_bytes", "Bytes of all bodies that are held", registry=registry)
        self.batches = Histogram(
            "ssdreg_batch_pictures", "Pictures that ran together", ("model",), buckets=_PICTURES,
            registry=registry)
        self.engine_seconds = Counter(
            "ssdreg_engine_seconds", "Time that the network ran", ("model",), registry=registry)
        self.reloads = Counter(
            "ssdreg_model_reloads", "Replaced model files, by whether they could be opened",
            ("model", "result"), registry=registry)

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)
