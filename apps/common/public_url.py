"""The address of this service where no request tells it: in e-mails, in events, for Cloudinary's notifications."""

from django.conf import settings


def public_url(path: str) -> str:
    """Returns the URL of a path such as `/api/v1/`: it begins with settings.PUBLIC_URL."""
    return settings.PUBLIC_URL.rstrip("/") + path
