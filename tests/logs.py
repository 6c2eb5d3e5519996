"""The log as production writes it, for tests that configure logging, which all tests of a process share."""

import io
import json
import logging.config
from contextlib import contextmanager

from apps.common.observability.logs import logging_config


@contextmanager
def log_lines():
    """Yields a list that has, afterwards, the lines of the log, each as its fields."""
    stream, lines = io.StringIO(), []
    config = logging_config("json")
    config["handlers"]["console"]["stream"] = stream
    with configured(config):
        yield lines
    lines += map(json.loads, stream.getvalue().splitlines())


@contextmanager
def configured(config: dict):
    """Inside, logging is as this argument of dictConfig says; afterwards every logger is as it was before."""
    kept = {each: (each.handlers[:], each.level, each.propagate, each.disabled) for each in _loggers()}
    logging.config.dictConfig(config)
    try:
        yield
    finally:
        for each in _loggers():
            each.handlers[:], level, each.propagate, each.disabled = kept.get(each, ([], logging.NOTSET, True, False))
            each.setLevel(level)


def _loggers() -> list[logging.Logger]:
    made = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(each for each in made if isinstance(each, logging.Logger))]
