"""Sentry and OpenTelemetry, enabled by SENTRY_DSN and OTEL_EXPORTER_OTLP_ENDPOINT.

Without these variables none of their packages is imported; they are in requirements-observability.txt. What is sent
has no personal data and no secrets: no body, header, cookie, query string or client address, no argument of a job.

Private parts of rq 2.12.0: `rq.job.Job.perform`.
"""

import logging

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from rq.job import Job

from apps.common.observability.request_id import current_request_id
from apps.common.observability.secret_paths import masked_all

# The extra fields of a log line that are sent; Django's lines also carry the request, query string included.
SENT_FIELDS = {"ticket", "image", "attempt", "code", "route", "status", "seconds"}


def start() -> None:
    """Start what the settings enable, once per process. Raises ImproperlyConfigured when its package is missing."""
    for name, begin in (("SENTRY_DSN", _start_sentry), ("OTEL_EXPORTER_OTLP_ENDPOINT", _start_opentelemetry)):
        if not getattr(settings, name):
            continue
        try:
            begin()
        except ImportError as exc:
            raise ImproperlyConfigured(
                f"{name} is set, but {exc.name} is not installed. Run `pip install -r requirements-observability.txt`, "
                f"or leave {name} empty."
            ) from exc


def _start_sentry() -> None:
    """Send an event for every line logged as an error, which includes unhandled errors, with their traceback."""
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        # The default integrations read requests, jobs and queries.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            LoggingIntegration(level=None, event_level=logging.ERROR),
            ExcepthookIntegration(),
            DedupeIntegration(),
            AtexitIntegration(callback=lambda pending, timeout: None),  # the default callback prints to standard error
        ],
        send_default_pii=False,
        include_local_variables=False,
        before_send=_without_secrets,
    )


def _without_secrets(event: dict, hint: dict) -> dict:
    event.pop("breadcrumbs", None)
    fields = event.pop("extra", {})
    event["extra"] = {name: value for name, value in fields.items() if name in SENT_FIELDS}
    event.setdefault("tags", {})["request_id"] = fields.get("request_id", "-")
    event |= {part: masked_all(event[part]) for part in ("logentry", "exception") if part in event}
    return event


def _start_opentelemetry() -> None:
    """Record a span for each request, job and call of Cloudinary. OpenTelemetry's own variables set where they go:
    https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class RequestIds(SpanProcessor):
        """Add the id that log lines have too: it connects a request's trace with that of its photo's job."""

        def on_start(self, span, parent_context=None):
            if request_id := current_request_id():
                span.set_attribute("request_id", request_id)

    provider = TracerProvider(resource=Resource({SERVICE_NAME: "hopla"}).merge(OTELResourceDetector().detect()))
    provider.add_span_processor(RequestIds())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    URLLib3Instrumentor().instrument(url_filter=lambda url: url.partition("?")[0])
    _trace_jobs(trace.get_tracer(__name__))


def _trace_jobs(tracer) -> None:
    perform = Job.perform

    def traced(job):
        name = job.func_name.rpartition(".")[2]
        with tracer.start_as_current_span(name, attributes={"messaging.message.id": job.id}, record_exception=False):
            return perform(job)

    Job.perform = traced
