"""The format of log lines, JSON for machines or plain for people, the same for hopla, Django, gunicorn and RQ."""

import logging

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from apps.common.observability.request_id import current_request_id, current_requester
from apps.common.observability.secret_paths import masked, masked_all

# A message may quote what a client sent, such as a path, which must not start a new line or change the colour.
CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
FIELDS = {"asctime": "time", "levelname": "level", "name": "logger"}
FORMATTERS = {
    "plain": {
        "()": "apps.common.observability.logs.PlainFormatter",
        "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
    },
    "json": {
        "()": "apps.common.observability.logs.JsonLineFormatter",
        "format": "%(asctime)s %(levelname)s %(name)s %(process)d %(request_id)s %(message)s",
        "rename_fields": FIELDS,
        "reserved_attrs": [*RESERVED_ATTRS, "request"],  # it would show the query string
        "datefmt": "%Y-%m-%dT%H:%M:%S%z",
    },
}


def logging_config(log_format: str) -> dict:
    """Returns the argument of logging.config.dictConfig. `log_format` is a key of FORMATTERS."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "request_id": {"()": "apps.common.observability.logs.RequestIdFilter"},
            "secret_paths": {"()": "apps.common.observability.logs.SecretPathsFilter"},
        },
        "formatters": {"line": FORMATTERS[log_format]},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["request_id", "secret_paths"],
            }
        },
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            # It logs refusals after the request has lost its id, so apps/common/http/timing.py logs them instead.
            "django.request": {"level": "ERROR"},
            "apps.common.jobs.worker.runner": {"level": "WARNING"},
            # These come with their own handlers and format.
            "django.server": {"handlers": [], "propagate": True},
            "gunicorn.error": {"handlers": [], "level": "INFO", "propagate": True},
            "rq": {"handlers": [], "propagate": True},
        },
    }


class RequestIdFilter(logging.Filter):
    """Gives every log record the id of its request, `-` outside one, and who made it, if that is a key. A record that
    has them keeps them.
    """

    def filter(self, record):
        record.request_id = getattr(record, "request_id", "") or current_request_id() or "-"
        if (requester := current_requester()) and not hasattr(record, "by"):
            record.by = requester
        return True


class SecretPathsFilter(logging.Filter):
    """Masks the tokens in the paths that a line tells of, as Django and gunicorn do when a view crashes."""

    def filter(self, record):
        record.msg, record.args = masked_all(record.msg), masked_all(record.args)
        return True


class MaskedTracebacks:
    """Mixin of formatters: an exception may quote a secret path, too."""

    def formatException(self, ei):
        return masked(super().formatException(ei))


class JsonLineFormatter(MaskedTracebacks, JsonFormatter):
    pass


class PlainFormatter(MaskedTracebacks, logging.Formatter):
    def formatMessage(self, record):
        record.message = record.message.translate(CONTROL_CHARACTERS)
        return super().formatMessage(record)
