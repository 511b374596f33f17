"""One trace from the request through the queue to the platform call, by OpenTelemetry.

Off until `start` finds a collector in the settings; until then nothing of it is imported here. A
span holds names of ours, numbers and types of errors. Never what an exception says or a caller
wrote: many an exception quotes the data it choked on.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any, Literal

from infra.settings import Settings

# The W3C's header as of today.
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# A collector that is away must not keep a process from its end.
EXPORT_SECONDS = 3

Kind = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
Facts = Mapping[str, str | int]


class Recorder:
    """Records spans with OpenTelemetry."""

    def __init__(self, service: str, build: str, processor: Any) -> None:
        from opentelemetry import trace  # noqa: PLC0415  # only once it is wanted
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        self._trace = trace
        self._carried = TraceContextTextMapPropagator()
        resource = Resource.create({"service.name": service, "service.version": build})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("huntaze")

    @contextmanager
    def span(self, name: str, facts: Facts, kind: Kind, parent: str) -> Iterator[None]:
        with self._tracer.start_as_current_span(
            name,
            context=self._carried.extract({"traceparent": parent}) if parent else None,
            kind=self._trace.SpanKind[kind],
            attributes=facts,
            record_exception=False,
            set_status_on_exception=False,
        ):
            try:
                yield
            except Exception as problem:
                self.tell({"error.type": type(problem).__name__}, "")
                raise

    def tell(self, facts: Facts, name: str) -> None:
        span = self._trace.get_current_span()
        span.set_attributes(facts)
        if name:
            span.update_name(name)
        if "error.type" in facts:
            span.set_status(self._trace.StatusCode.ERROR)

    def past(self, name: str, started_ns: int) -> None:
        if self._trace.get_current_span().is_recording():
            kind = self._trace.SpanKind.CLIENT
            self._tracer.start_span(name, kind=kind, start_time=started_ns).end()

    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        self._carried.inject(carrier)
        return carrier.get("traceparent", "")

    def close(self) -> None:
        # By itself it may wait for half a minute.
        ending = Thread(target=self._provider.shutdown, daemon=True, name="last-traces")
        ending.start()
        ending.join(EXPORT_SECONDS + 1)


_recorder: Recorder | None = None


def start(settings: Settings, process: str, processor: Any = None) -> None:
    """Record from now on if the settings name a collector; `processor` gets the spans instead of
    it. To be called in the process that works: a thread that exports does not outlive a fork."""
    global _recorder  # noqa: PLW0603  # like a logger's configuration, one for the process
    if settings.otel_exporter_otlp_endpoint:
        processor = processor or _exporting(settings.otel_exporter_otlp_endpoint)
        _recorder = Recorder(f"huntaze-{process}", settings.build, processor)


def stop() -> None:
    """Export what is left, and record nothing more."""
    global _recorder
    recorder, _recorder = _recorder, None
    if recorder:
        recorder.close()


def is_on() -> bool:
    return _recorder is not None


@contextmanager
def span(
    name: str, facts: Facts | None = None, *, kind: Kind = "INTERNAL", parent: str = ""
) -> Iterator[None]:
    """Around a piece of work; a part of `parent`, a traceparent, or else of the span around it."""
    recorder = _recorder  # another thread may stop it meanwhile
    if recorder is None:
        yield
        return
    with recorder.span(name, facts or {}, kind, parent):
        yield


def tell(facts: Facts, name: str = "") -> None:
    """Add to the span around us, or name it anew; `error.type` among the facts makes it failed."""
    if recorder := _recorder:
        recorder.tell(facts, name)


def past(name: str, started_ns: int) -> None:
    """A call that just ended, as a part of the span around us; without one it is left out."""
    if recorder := _recorder:
        recorder.past(name, started_ns)


def traceparent() -> str:
    """What carries the span around us to another process; empty while there is none."""
    recorder = _recorder
    return recorder.traceparent() if recorder else ""


def known_traceparent(value: Any) -> str:
    """The value, if it is a traceparent as we write it, and otherwise nothing."""
    return value if isinstance(value, str) and TRACEPARENT.fullmatch(value) else ""


def _exporting(endpoint: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
    return BatchSpanProcessor(exporter)
