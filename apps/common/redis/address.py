"""Several Redis servers in one variable, and which server a URL means, without its user and password."""

import re

from redis.connection import parse_url

from apps.common.redis.sentinel import is_of_sentinels, queue_options


def urls_in(text: str) -> list[str]:
    """Returns the URLs of a list separated by commas, which also separate the Sentinels within one URL."""
    return [url for part in re.split(r",(?=\s*[a-z+]+://)", text) if (url := part.strip(" ,"))]


def address_of(url: str) -> str:
    """Returns where this Redis is: `host:port/db`, `path/db` of a socket, or `name-of-the-master/db` with Sentinels.

    It is the same for every user and password, and has neither. Nor has the message of the ValueError for a bad URL.
    """
    if is_of_sentinels(url):
        options = queue_options(url)
        return f"{options['MASTER_NAME']}/{options['DB']}"
    try:
        parts = parse_url(url)
    except ValueError:
        raise ValueError("it does not have the form redis://:password@host:6379/0") from None
    database = parts.get("db", 0)
    if "path" in parts:
        return f"{parts['path']}/{database}"
    host = parts.get("host", "localhost")
    return f"{f'[{host}]' if ':' in host else host}:{parts.get('port', 6379)}/{database}"
