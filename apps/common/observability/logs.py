"""What a log line looks like: JSON for machines, or plain for people. Whoever logs, hopla, Django, gunicorn or RQ."""

import logging

from pythonjsonlogger.core import RESERVED_ATTRS

from apps.common.observability.request_id import current_request_id

# A message may quote what a client sent, a path for instance: it must not begin a line of its own, nor colour it.
CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
FIELDS = {"asctime": "time", "levelname": "level", "name": "logger"}
FORMATTERS = {
    "plain": {
        "()": "apps.common.observability.logs.PlainFormatter",
        "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
    },
    "json": {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "format": "%(asctime)s %(levelname)s %(name)s %(process)d %(request_id)s %(message)s",
        "rename_fields": FIELDS,
        "reserved_attrs": [*RESERVED_ATTRS, "request"],  # it would show the query string
        "datefmt": "%Y-%m-%dT%H:%M:%S%z",
    },
}


def logging_config(log_format: str) -> dict:
    """For logging.config.dictConfig. `log_format` is a key of FORMATTERS."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "apps.common.observability.logs.RequestIdFilter"}},
        "formatters": {"line": FORMATTERS[log_format]},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            # Refusals, which it tells of after the request has lost its id: apps/common/http/timing.py does.
            "django.request": {"level": "ERROR"},
            "apps.common.jobs.worker.runner": {"level": "WARNING"},
            # They bring handlers of their own, in a format of their own.
            "gunicorn.error": {"handlers": [], "level": "INFO", "propagate": True},
            "rq": {"handlers": [], "propagate": True},
        },
    }


class RequestIdFilter(logging.Filter):
    """Gives every log record the id of the request it was written for, `-` outside one. One that has an id keeps it."""

    def filter(self, record):
        record.request_id = getattr(record, "request_id", "") or current_request_id() or "-"
        return True


class PlainFormatter(logging.Formatter):
    def formatMessage(self, record):
        record.message = record.message.translate(CONTROL_CHARACTERS)
        return super().formatMessage(record)
