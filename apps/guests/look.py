"""The look of the page that operators choose: a name, a logo, and a colour, from which readable ones are made."""

import hashlib
from functools import cache

from django.conf import settings
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

# The lightest or darkest grounds that the colour lies on, as frontend/src/capture.css has them.
GROUNDS = {"light": ("#ffffff", "#f6f7f9"), "dark": ("#1b2333", "#10151f")}
TEXTS = ("#ffffff", "#10151f")
CONTRAST = 4.5  # WCAG 2.2, 1.4.3


def look() -> dict[str, str]:
    """Returns what the template needs."""
    version = hashlib.sha256(theme().encode()).hexdigest()[:12]
    return {
        "name": settings.GUEST_PAGE_NAME,
        "logo_url": settings.GUEST_PAGE_LOGO_URL or static("hopla/favicon.svg"),
        "theme_url": f"{reverse('guest-page-theme')}?{version}",
    }


@require_safe
def theme_css(request):
    """The colours as a style sheet, as the page's policy allows no styles within it."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return HttpResponse(theme(), content_type="text/css; charset=utf-8", headers=headers)


def theme() -> str:
    light, dark = (_colours(settings.GUEST_PAGE_ACCENT, scheme) for scheme in GROUNDS)
    return f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


@cache
def _colours(accent: str, scheme: str) -> str:
    colour = readable(accent, scheme)
    text = max(TEXTS, key=lambda each: contrast(each, colour))
    return f"--accent:{colour};--on-accent:{text}"


def readable(accent: str, scheme: str) -> str:
    """Returns the colour, mixed with as much black or white as it takes to be read on the grounds of the scheme."""
    towards = "#000000" if scheme == "light" else "#ffffff"
    for percent in range(0, 101, 4):
        colour = _mixed(accent, towards, percent / 100)
        if all(contrast(colour, ground) >= CONTRAST for ground in GROUNDS[scheme]):
            return colour
    return towards


def contrast(one: str, other: str) -> float:
    """Returns the contrast of two colours, 1 to 21, as WCAG 2.2 defines it."""
    dark, light = sorted(map(_luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (n / 255 for n in _rgb(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _mixed(one: str, other: str, share: float) -> str:
    pairs = zip(_rgb(one), _rgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))
