"""Errors that nobody foresaw: told with their traceback and counted, so that an alarm rings (docs/alerts.yml)."""

import logging
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from apps.common.observability import metrics

logger = logging.getLogger(__name__)

# Where they are met: the values of the metric's label.
PLACES = ("cloudinary", "job", "periodic", "worker", "web", "metrics")


def is_foreseen(exc: BaseException) -> bool:
    """Whether it says that a server cannot be used at the moment, and nothing of hopla is wrong."""
    if isinstance(exc, ResponseError):  # Redis refused the command itself
        return isinstance(exc, (OutOfMemoryError, ReadOnlyError))
    return isinstance(exc, (RedisError, OperationalError, InterfaceError, PoolTimeout))


def report(place: str, what: str, exc: Exception) -> None:
    """`what` is what could not be done, for the log."""
    logger.error("%s: an error that nobody foresaw", what, exc_info=exc)
    metrics.count("hopla_unforeseen_errors", place=place)


@contextmanager
def survived(place: str, what: str):
    """Inside, an error ends the block and goes no further: for threads that nobody would start anew."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001  it is told of
        if is_foreseen(exc):
            logger.warning("%s: not possible now (%s)", what, type(exc).__name__)
        else:
            report(place, what, exc)
