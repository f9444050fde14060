"""What a server counts, in the form that Prometheus reads. Labels have few values, whatever clients send."""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from headstart.serving.limits import Admission

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16)


class Metrics:
    """The counters of one server.

    Attributes:
        requests: by route, method and status.
        seconds: from the first byte to the last, by route.
        pictures: by model and what became of them: `answered`, `unlike`, `abstained`, `undecodable`.
        batches: how many pictures were computed at once, by model.
        reloads: by model and outcome.
    """

    def __init__(self, admission: Admission):
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("headstart_requests", "Requests.", ("route", "method", "status"), registry=registry)
        self.seconds = Histogram(
            "headstart_request_seconds", "Time of requests.", ("route",), registry=registry, buckets=_SECONDS
        )
        self.pictures = Counter(
            "headstart_pictures", "Pictures, by what became of them.", ("model", "outcome"), registry=registry
        )
        self.batches = Histogram(
            "headstart_batch_pictures", "Pictures computed at once.", ("model",), registry=registry, buckets=_SIZES
        )
        self.reloads = Counter("headstart_reloads", "Models opened anew.", ("model", "outcome"), registry=registry)
        working = Gauge("headstart_requests_under_way", "Requests that are read or computed.", registry=registry)
        working.set_function(lambda: admission.requests)
        waiting = Gauge("headstart_pictures_under_way", "Pictures that wait or are computed.", registry=registry)
        waiting.set_function(lambda: admission.pictures)
        about = Gauge("headstart_info", "Which headstart this is.", ("version",), registry=registry)
        about.labels(version("headstart")).set(1)
        ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """All of them, for Prometheus to read."""
        return generate_latest(self._registry)
