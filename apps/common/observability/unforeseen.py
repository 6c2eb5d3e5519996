"""Unforeseen errors: logged with their traceback and counted, so that an alert fires (docs/alerts.yml)."""

import logging
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from apps.common.observability import metrics

logger = logging.getLogger(__name__)

# Where such errors occur: the values of the metric's label.
PLACES = ("cloudinary", "job", "periodic", "worker", "web", "webhooks", "metrics")


def is_foreseen(exc: BaseException) -> bool:
    """Returns whether the error means that a server is unavailable, and nothing is wrong with hopla."""
    if isinstance(exc, ResponseError):  # Redis rejected the command itself
        return isinstance(exc, (OutOfMemoryError, ReadOnlyError))
    return isinstance(exc, (RedisError, OperationalError, InterfaceError, PoolTimeout))


def report(place: str, what: str, exc: Exception) -> None:
    """Log and count an unforeseen error. `what`: what could not be done, for the log."""
    logger.error("%s: an error that nobody foresaw", what, exc_info=exc)
    metrics.count("hopla_unforeseen_errors", place=place)


@contextmanager
def survived(place: str, what: str):
    """Inside, an error ends the block and is not raised further: for threads that would not be restarted."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001  it is logged
        if is_foreseen(exc):
            logger.warning("%s: not possible now (%s)", what, type(exc).__name__)
        else:
            report(place, what, exc)
