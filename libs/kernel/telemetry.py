"""Traces by OpenTelemetry, metrics by prometheus_client (a sixth of the cost of OpenTelemetry's), logs by structlog."""

import logging
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import orjson
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Gauge, Histogram

from kernel.logs import structlog

CALL_SECONDS = Histogram(
    "modelog_rpc_server_call_duration_seconds",
    "Time from the request's arrival to its answer.",
    ["method", "code"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
POSITION = Gauge("modelog_projection_position", "Revision up to which the views are folded.")
HALTED = Gauge("modelog_projection_halted", "1 when the projector stopped for good.")
QUARANTINED = Gauge("modelog_quarantined_resources", "Resources frozen at a fact that cannot be read.")
DIFFERENT = Gauge(
    "modelog_views_findings", "Rows of the views that differed from the log when they were compared last; 0 is well."
)
COMPARED = Gauge("modelog_views_compared_seconds", "When the views were compared last, in seconds since 1970.")
LIMITED = Counter("modelog_rpc_limited_total", "Calls refused because a limit was reached.", ["reason"])
UNRECORDED = Counter(
    "modelog_access_unrecorded_total", "Calls without valid credentials beyond what one address may have recorded."
)
RESTARTS = Counter("modelog_role_restarts_total", "Times a role ended with an error and was started again.", ["role"])

_NO_SPAN = nullcontext()


class _State:
    share = 0.0


_state = _State()
_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("modelog")


def configure(service: str, *, level: str, trace_share: float, export: bool) -> None:
    """Sets up logs on stderr (JSON unless a person watches) and, to `export`, traces.

    Without an exporter there are no spans of our own, but a caller's trace still goes through the log into reactions.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_trace_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer()
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(
                serializer=lambda event, **_: orjson.dumps(event, default=str).decode()
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    if export:
        from kernel.tracing import export_spans  # OpenTelemetry's SDK takes 5 MB and its exporter 0.2 s.

        export_spans(service)
        _state.share = trace_share


def _with_trace_ids(_logger: Any, _name: str, event: Any) -> Any:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = f"{span.trace_id:032x}"
        event["span_id"] = f"{span.span_id:016x}"
    return event


def server_span(method: str, metadata: Mapping[str, str]) -> AbstractContextManager[object]:
    """The span of one call: part of the caller's trace, or the beginning of one for a share of the calls.

    The share is drawn before the SDK is asked, because a span that nobody keeps costs a tenth of a write.
    """
    if "traceparent" not in metadata and random.random() >= _state.share:
        return _NO_SPAN
    parent = _propagator.extract(metadata) if "traceparent" in metadata else None
    attributes = {"rpc.system.name": "grpc", "rpc.method": method}
    return _tracer.start_as_current_span(method, context=parent, kind=trace.SpanKind.SERVER, attributes=attributes)


@contextmanager
def span_after(name: str, traceparent: str) -> Iterator[trace.Span]:
    """A span of work caused by a fact: it continues the trace of whoever recorded the fact."""
    parent = _propagator.extract({"traceparent": traceparent}) if traceparent else otel_context.get_current()
    with _tracer.start_as_current_span(name, context=parent, kind=trace.SpanKind.CONSUMER) as span:
        yield span


def refused(code: str, reason: str) -> None:
    """Marks the current span with what a refused call answered."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attribute("rpc.response.status_code", code)
        span.set_attribute("error.type", reason)


def traceparent() -> str:
    """The current span as W3C trace context; empty outside a span."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return ""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"
