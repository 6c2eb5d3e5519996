"""System checks of hopla's own settings: `python manage.py check` reports what is wrong and how to fix it."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, register

from apps.tickets.delivery.backoff import retry_horizon_seconds
from apps.tickets.staging.servers import all_servers

POSITIVE = (
    "IMAGE_MAX_BYTES",
    "IMAGE_MAX_PIXELS",
    "TICKET_MAX_IMAGES",
    "STAGING_MAX_BYTES",
    "STAGING_TTL_SECONDS",
    "UPLOAD_MAX_ATTEMPTS",
    "UPLOAD_TIMEOUT_SECONDS",
    "RECONCILE_AFTER_SECONDS",
    "WORKER_CONCURRENCY",
    "ARCHIVE_CONCURRENCY",
    "STOP_TIMEOUT_SECONDS",
    "WEBHOOK_CONCURRENCY",
    "WEBHOOK_TIMEOUT_SECONDS",
)


@register()
def limits_are_positive(app_configs, **kwargs):
    return [
        Error(f"{name} is {getattr(settings, name)}.", hint="Set it to a number above zero.", id="hopla.E001")
        for name in POSITIVE
        if getattr(settings, name) <= 0
    ]


@register()
def one_photo_fits_the_staging_budget(app_configs, **kwargs):
    if settings.STAGING_MAX_BYTES >= settings.IMAGE_MAX_BYTES:
        return []
    return [
        Error(
            "STAGING_MAX_BYTES is smaller than IMAGE_MAX_BYTES.",
            hint="Raise the budget: as it is, the largest photo allowed could never be taken in.",
            id="hopla.E002",
        )
    ]


@register()
def share_of_the_staging_budget_is_one(app_configs, **kwargs):
    if 0 < settings.STAGING_USER_SHARE <= 1:
        return []
    return [
        Error(
            f"STAGING_USER_SHARE is {settings.STAGING_USER_SHARE}.",
            hint="Set it to a part of STAGING_MAX_BYTES, above 0 and up to 1, such as 0.125.",
            id="hopla.E006",
        )
    ]


@register()
def cloudinary_url_is_complete(app_configs, **kwargs):
    url = urlsplit(settings.CLOUDINARY_URL)
    if url.scheme == "cloudinary" and url.username and url.password and url.hostname:
        return []
    return [
        Error(  # the value itself is a secret and is not shown
            "CLOUDINARY_URL does not have the form cloudinary://KEY:SECRET@CLOUD.",
            hint="Copy it whole from the Cloudinary console.",
            id="hopla.E003",
        )
    ]


@register()
def staged_bytes_outlive_the_retries(app_configs, **kwargs):
    horizon = retry_horizon_seconds()
    if horizon < settings.STAGING_TTL_SECONDS:
        return []
    return [
        Error(
            f"STAGING_TTL_SECONDS is {settings.STAGING_TTL_SECONDS}, and the attempts of a photo may take {horizon}.",
            hint="Raise it, or lower UPLOAD_MAX_ATTEMPTS or UPLOAD_TIMEOUT_SECONDS: photos would expire while waiting.",
            id="hopla.E004",
        )
    ]


@register()
def one_photo_fits_the_daily_quota(app_configs, **kwargs):
    if not settings.UPLOAD_BYTES_PER_DAY or settings.UPLOAD_BYTES_PER_DAY >= settings.IMAGE_MAX_BYTES:
        return []
    return [
        Error(
            "UPLOAD_BYTES_PER_DAY is smaller than IMAGE_MAX_BYTES.",
            hint="Raise it, or set it to 0 for no limit: the largest photo allowed could never be sent.",
            id="hopla.E005",
        )
    ]


@register()
def staging_servers_can_be_told_apart(app_configs, **kwargs):
    """A photo's id has only a hash of its server's address."""
    by_code, errors = {}, []
    for server in all_servers():
        other = by_code.setdefault(server.code, server)
        if other is server:
            continue
        if other.name == server.name:
            text, hint = f"STAGING_REDIS_URL names {server.name} twice.", "Name each server once."
        else:
            text = f"STAGING_REDIS_URL names {other.name} and {server.name}, which the ids of photos cannot tell apart."
            hint = "Use another number of the database for the newer of them, or another name of its host."
        errors.append(Error(text, hint=hint, id="hopla.E007"))
    return errors
