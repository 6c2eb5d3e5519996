"""Reads pages of lists inside Django and prints what each cost. (Run by bench/figures/lists.py.)"""

import json
import statistics
import sys
import time
from contextlib import ExitStack
from datetime import date, timedelta

import django
from django.conf import settings

TIMES = 5
DAY = date.today() - timedelta(days=1)  # noqa: DTZ011 (any day near the newest tickets)
TWO_STATUSES = "status=pending&status=in_progress"
MONTH = f"created_after={DAY - timedelta(days=30)}&created_before={DAY}"

# By page: hopla's query, textbook's (None: it has no such list).
API = {
    "first page": ("", ""),
    "the middle page": ("page={middle}", "page={middle}"),
    "first page by cursor": ("cursor=", None),
    "page at the far end by cursor": ("far end", None),
    "status": ("status=in_progress", "status=in_progress"),
    "two statuses": (TWO_STATUSES, None),
    "status that none has": ("status=expired", "status=expired"),
    "a day": (f"created_after={DAY}&created_before={DAY}", f"created_at__gte={DAY}&created_at__lte={DAY}T23:59"),
    "status and a day": (f"status=completed&created_after={DAY}", f"status=completed&created_at__gte={DAY}"),
    "search, few found": ("search=Flat+7770", "search=Flat+7770"),
    "search, all found": ("search=flat", "search=flat"),
    "search, two letters that none has": ("search=zq", None),
    **{
        f"ordering={name}": (f"ordering={name}", f"ordering={name}") for name in ("created_at", "num_images", "-status")
    },
    **{f"ordering={name}": (f"ordering={name}", None) for name in ("-updated_at", "-completed_at")},
    **{
        f"{name}, ordering={ordering}": (f"{query}&ordering={ordering}", None)
        for name, query in (("status", "status=pending"), ("two statuses", TWO_STATUSES), ("a month", MONTH))
        for ordering in ("num_images", "-updated_at", "-completed_at")
    },
}
ADMIN = {
    "admin: tickets": "/admin/tickets/ticket/",
    "admin: tickets of a status": "/admin/tickets/ticket/?status__exact=pending",
    "admin: tickets, search": "/admin/tickets/ticket/?q=Flat+7770",
    "admin: images": "/admin/tickets/image/",
    "admin: images failed": "/admin/tickets/image/?status__exact=failed",
    "admin: images of a ticket": "/admin/tickets/image/?q=7770",
}


class Cost:
    """As a context manager: the queries inside and the milliseconds they took."""

    def __enter__(self) -> "Cost":
        from django.db import connection

        self.queries, self.milliseconds = 0, 0.0
        self._stack = ExitStack()
        self._stack.enter_context(connection.execute_wrapper(self._execute))
        return self

    def __exit__(self, *exc_info) -> None:
        self._stack.close()

    def _execute(self, execute, sql, params, many, context):
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.milliseconds += (time.perf_counter() - started) * 1000
            self.queries += 1


def measured(client, url: str, **headers) -> list[float]:
    """[queries, ms in the database, ms in all]"""
    runs = []
    for _ in range(TIMES + 1):  # the first one fills caches
        with Cost() as cost:
            started = time.perf_counter()
            response = client.get(url, headers=headers)
            took = (time.perf_counter() - started) * 1000
        if response.status_code != 200:
            raise SystemExit(f"{url}: {response.status_code} {response.content[:500]}")
        runs.append((cost.queries, cost.milliseconds, took))
    return [statistics.median(values) for values in zip(*runs[1:], strict=True)]


def far_end(client, **headers) -> str:
    """The cursor of the last page but one, found from the end."""
    last = client.get("/api/v1/tickets/?cursor=&ordering=created_at", headers=headers).json()
    return last["next"].partition("?")[2].replace("ordering=created_at", "ordering=-created_at")


def main(name: str, token: str, middle_page: str) -> None:
    django.setup()
    from django.contrib.auth import get_user_model
    from django.test import Client, override_settings

    settings.ALLOWED_HOSTS.append("testserver")
    client, headers = Client(), {"Authorization": f"Token {token}"}
    pages = {}
    for page, queries in API.items():
        query = queries[name == "textbook"]
        if query is not None:
            query = far_end(client, **headers) if query == "far end" else query.format(middle=middle_page)
            pages[page] = measured(client, f"/api/v1/tickets/?{query}", **headers)
    if name == "hopla":
        plain_files = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
        user = get_user_model().objects.earliest("pk")
        get_user_model().objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
        client.force_login(user)
        with override_settings(STORAGES=settings.STORAGES | plain_files):
            pages |= {page: measured(client, url) for page, url in ADMIN.items()}
    json.dump(pages, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
