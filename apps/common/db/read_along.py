"""What a request needs of its user's own, read in the query that finds the user: a round trip less for each photo."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import QuerySet


@dataclass(frozen=True)
class ReadAlong:
    """`added_to(rows, path)` returns the rows, still each of them once, and the arguments of `values_list` for what is
    read along. `path`: from the rows to their user, such as `user__`.
    """

    added_to: Callable[[QuerySet, str], tuple[QuerySet, tuple]]
