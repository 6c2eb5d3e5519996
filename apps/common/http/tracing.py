"""A span of OpenTelemetry for each request, see apps/common/observability/telemetry.py."""

from apps.common.http.timing import method_and_route


class TracingMiddleware:
    """Records the span. It is in MIDDLEWARE only where OTEL_EXPORTER_OTLP_ENDPOINT is set."""

    def __init__(self, get_response):
        from opentelemetry import propagate, trace

        self.get_response = get_response
        self._tracer = trace.get_tracer(__name__)
        self._extract, self._server = propagate.extract, trace.SpanKind.SERVER

    def __call__(self, request):
        caller = self._extract(request.headers)
        with self._tracer.start_as_current_span("request", context=caller, kind=self._server) as span:
            response = self.get_response(request)
            method, route = method_and_route(request)
            span.update_name(f"{method} {route}")
            span.set_attribute("http.request.method", method)
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", response.status_code)
            return response
