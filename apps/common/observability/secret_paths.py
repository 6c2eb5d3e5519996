"""Paths that are secrets: whoever knows the address of such a page may do what it is for, without logging in.

What tells of requests by their paths, logs above all, tells of these by `…` in place of the token; and so of an API
key, wherever it stands, should somebody have put one into a path or a query.
"""

import re

# As hopla/urls.py has them.
TOKEN = re.compile(r"/(u|verify-email|support/subscription|guest-emails)/[^/\s?#\"'<>]+")
MASKED = r"/\1/…"
# As apps/integrations/keys/form.py makes them, also one that was not copied whole. The names of metrics have a `_`.
API_KEY = re.compile(r"hopla_[0-9A-Za-z]{20,}")
MASKED_KEY = "hopla_…"


def masked(text: str) -> str:
    if "/" in text:
        text = TOKEN.sub(MASKED, text)
    return API_KEY.sub(MASKED_KEY, text) if "hopla_" in text else text


def masked_all(value):
    """Returns the value with the strings in it masked: of a tuple, a list or a dict each, of any other value itself."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: masked_all(each) for key, each in value.items()}
    return type(value)(map(masked_all, value)) if type(value) in (tuple, list) else value
