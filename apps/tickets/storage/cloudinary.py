"""Cloudinary, behind one file: nothing else in hopla imports its SDK.

Every call names its account (from settings.CLOUDINARY_URL), runs within a total deadline and translates what went wrong
into one of the errors below. Facts about the service and the SDK (1.46.3): which status means what, that POSTs are
never repeated by the SDK, that after a dropped answer the asset may be stored all the same.

Private parts of cloudinary 1.46.3: `cloudinary.uploader._http`, `cloudinary.api_client.call_api._http`.
"""

import hashlib
import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

import cloudinary
import cloudinary.api
import cloudinary.uploader
import cloudinary.utils
from cloudinary.api_client import call_api
from cloudinary.exceptions import Error as SDKError
from cloudinary.exceptions import NotAllowed, NotFound
from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.translation import gettext_noop
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from apps.common.observability import unforeseen
from apps.tickets.storage.http_deadline import DeadlinePoolManager, Exchange, interrupt_all

CONNECT_TIMEOUT_SECONDS = 5
# A single read may take longer than the whole exchange, so that it is the deadline that ends it, and says so.
READ_SLACK_SECONDS = 1
ADMIN_TIMEOUT_SECONDS = 10
PUBLIC_ID_PREFIX = "hopla/"
DELIVERY_HOST = "https://res.cloudinary.com"
THUMBNAIL = "c_fill,g_auto,h_400,w_400/f_auto,q_auto"
# What intake lets through, by Cloudinary's names. It counts SVG and PDF as images too.
ALLOWED_FORMATS = ["jpg", "png", "gif", "webp", "heic", "heif", "avif", "tiff", "tif", "bmp"]

# The SDK's own pools hold one connection, so side by side uploads would each open and throw away one. The names are
# private to the SDK: tests/tickets/storage/test_cloudinary.py fails when they move. One connection more than there are
# uploads at a time: the reconciler must not wait for one of them to end.
_pool = DeadlinePoolManager(maxsize=settings.WORKER_CONCURRENCY + 1, block=True, **cloudinary.CERT_KWARGS)
cloudinary.uploader._http = _pool
call_api._http = _pool


@dataclass(frozen=True)
class StoredAsset:
    """What Cloudinary says it holds under a public_id."""

    public_id: str
    asset_id: str
    version: int
    format: str
    bytes: int
    etag: str | None  # md5 of the bytes, in hex; an Admin answer may leave it out


class CloudError(Exception):
    """Base of what can go wrong. `code` is stable; `detail` is fit for a user: it holds no secret."""

    code = "cloudinary_error"

    def __init__(self, detail: str):
        super().__init__(detail)
        self.detail = detail


class RefusedError(CloudError):
    """Cloudinary will never take this photo (400, 403, 404, 409)."""

    code = "cloudinary_refused"


class PassingError(CloudError):
    """Try again later: network trouble, a deadline, 5xx, 423, an answer that says nothing. The photo may be stored."""

    code = "cloudinary_unavailable"


class AnswerNotTrustedError(PassingError):
    """An answer came that does not match what was sent: the outcome is unknown."""

    code = "cloudinary_answer_mismatch"


class InterruptedCallError(PassingError):
    """`interrupt_calls` cut it off: this process is about to end. Whether the photo is stored is not known."""

    code = "worker_lost"


class OwnError(PassingError):
    """An error of hopla's own, or of the SDK's, that nobody foresaw; reported where it was met."""

    code = "internal_error"


class RateLimitedError(PassingError):
    """420 or 429: wait, until `until` (aware datetime) when Cloudinary named a time."""

    code = "cloudinary_rate_limited"

    def __init__(self, detail: str, *, until: datetime | None, everyone: bool):
        super().__init__(detail)
        self.until = until
        self.everyone = everyone  # 420 is about the account: all uploads wait


class CredentialsError(CloudError):
    """401: the key, secret or cloud name is wrong. No photo's fault, and no attempt of one is spent on it."""

    code = "cloudinary_credentials"


def put(*, public_id: str, content: bytes | memoryview) -> StoredAsset:
    """Store the photo under this public_id, replacing what is there: safe to repeat.

    The answer is compared with what was sent (public_id, bytes, md5). Raises one of the errors above.
    """
    seconds = settings.UPLOAD_TIMEOUT_SECONDS
    with Exchange(seconds) as exchange:
        answer = _call(
            exchange,
            cloudinary.uploader.upload,
            content,
            public_id=public_id,
            filename="photo",  # never the user's own
            overwrite=True,
            type="upload",
            allowed_formats=ALLOWED_FORMATS,
            timeout=Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=seconds + READ_SLACK_SECONDS),
            return_error=True,
        )
    asset = _asset_from(answer)
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if (asset.public_id, asset.bytes, asset.etag) != (public_id, len(content), etag):
        raise AnswerNotTrustedError(gettext_noop("Cloudinary's answer does not match the photo that was sent."))
    return asset


def interrupt_calls() -> None:
    """Cut off every call that is under way: each ends with an InterruptedCallError. New ones are not kept from it."""
    interrupt_all()


def find(public_ids: list[str]) -> dict[str, StoredAsset]:
    """What Cloudinary holds under these public_ids (at most 100), by public_id; those it does not know are left out.

    Its Admin API may lag behind an upload, and on a free plan takes 500 calls an hour.
    """
    answer = _ask(cloudinary.api.resources_by_ids, public_ids, max_results=len(public_ids))
    return {asset.public_id: asset for asset in map(_asset_from, _resources_of(answer))}


def list_assets(prefix: str = PUBLIC_ID_PREFIX):
    """Every asset of hopla's at Cloudinary whose name begins so, page by page (500 an Admin call)."""
    cursor = None
    while True:
        options = {"next_cursor": cursor} if cursor else {}
        answer = _ask(cloudinary.api.resources, type="upload", prefix=prefix, max_results=500, **options)
        yield from map(_asset_from, _resources_of(answer))
        cursor = answer.get("next_cursor")
        if not cursor:
            return


def delete(public_id: str) -> None:
    """Make sure that no asset stands under this public_id. Safe to repeat. Raises one of the errors above."""
    answer = _ask(cloudinary.uploader.destroy, public_id, type="upload", invalidate=True, return_error=True)
    if answer.get("result") not in ("ok", "not found"):
        raise PassingError(gettext_noop("Cloudinary did not say that the asset is gone."))


def delivery_url(*, public_id: str, version: int, format: str) -> str:
    """Where the photo itself can be fetched."""
    return _delivery_url(public_id, version, ("format", format))


def thumbnail_url(*, public_id: str, version: int) -> str:
    """Where a 400 x 400 picture of it can be fetched, in a format the browser knows."""
    return _delivery_url(public_id, version, ("raw_transformation", THUMBNAIL))


def _delivery_url(public_id: str, version: int, option: tuple[str, str]) -> str:
    before, between, after = _url_around(option)
    return f"{before}{version}{between}{public_id}{after}"


@lru_cache
def _url_around(option: tuple[str, str]) -> tuple[str, str, str]:
    """Returns what the SDK's URL has before, between and after version and public_id.

    The SDK takes 40 µs to make one, and a ticket shows up to a thousand.
    """
    url, _ = cloudinary.utils.cloudinary_url(
        "PUBLIC_ID", version="VERSION", type="upload", secure=True, **_account(), **dict([option])
    )
    if settings.CLOUDINARY_DELIVERY_URL:
        url = url.replace(DELIVERY_HOST, settings.CLOUDINARY_DELIVERY_URL.rstrip("/"), 1)
    before, rest = url.split("VERSION", 1)
    return before, *rest.split("PUBLIC_ID", 1)


@receiver(setting_changed)
def _forget_urls(**kwargs) -> None:
    """Tests change settings."""
    _url_around.cache_clear()


def _account() -> dict:
    return _parse_account(settings.CLOUDINARY_URL)


@lru_cache
def _parse_account(cloudinary_url: str) -> dict:
    """The SDK's options for cloudinary://KEY:SECRET@CLOUD[?upload_prefix=…]; the SDK's own parser fills a global."""
    url = urlsplit(cloudinary_url)
    cloud_name = url.netloc.rpartition("@")[2]  # hostname would lower its case
    options = dict(parse_qsl(url.query)) | {
        "cloud_name": cloud_name,
        "api_key": url.username,
        "api_secret": url.password,
    }
    if "upload_prefix" in options:
        options["upload_prefix"] = options["upload_prefix"].rstrip("/")
    if "signature_version" in options:
        options["signature_version"] = int(options["signature_version"])
    return options


def _ask(function, *args, **options) -> dict:
    with Exchange(ADMIN_TIMEOUT_SECONDS) as exchange:
        timeout = Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=ADMIN_TIMEOUT_SECONDS + READ_SLACK_SECONDS)
        return _call(exchange, function, *args, timeout=timeout, **options)


def _resources_of(answer: dict) -> list:
    resources = answer.get("resources")
    if not isinstance(resources, list):
        raise AnswerNotTrustedError(gettext_noop("Cloudinary's answer lacks what every answer has."))
    return resources


def _call(exchange: Exchange, function, *args, **options) -> dict:
    try:
        answer = function(*args, **_account(), **options)
    except Exception as exc:
        if not _is_foreseen(exc, exchange):
            unforeseen.report("cloudinary", f"calling {function.__name__}", exc)
            raise OwnError(gettext_noop("hopla met an error of its own while talking to Cloudinary.")) from exc
        told_why = isinstance(exc, (NotAllowed, NotFound))  # a proxy's page of the same status does not
        _raise_for(exchange, message=str(exc) if told_why else "", cause=exc)
        raise _passing_error(exchange) from exc
    if not isinstance(answer, dict):
        raise _passing_error(exchange)
    error = answer.get("error") or {}
    message = error.get("message", "") if isinstance(error, dict) else str(error)
    _raise_for(exchange, message)
    if error or exchange.status != 200:
        raise _passing_error(exchange)
    return answer


def _is_foreseen(exc: Exception, exchange: Exchange) -> bool:
    """The SDK's own errors, urllib3's, bare Exception from its Admin calls; and whatever it trips over in an answer
    that is no object, such as `null`.
    """
    if type(exc) is Exception or isinstance(exc, (SDKError, HTTPError)):
        return True
    return exchange.status is not None and isinstance(exc, (TypeError, LookupError, ValueError)) and _is_sdks(exc)


def _is_sdks(exc: Exception) -> bool:
    """Whether it was raised by a line of the SDK."""
    *_, (innermost, _) = traceback.walk_tb(exc.__traceback__)
    return innermost.f_globals["__name__"].partition(".")[0] == cloudinary.__name__


def _raise_for(exchange: Exchange, message: str, cause: Exception | None = None) -> None:
    """Translate the status of the answer. 400, 403, 404 and 409 are refusals only when Cloudinary says why."""
    status = exchange.status
    if exchange.was_cut or status is None:
        return
    if status == 401:
        # Without its cause, whose message shows the string to sign.
        raise CredentialsError(gettext_noop("Cloudinary refused hopla's credentials.")) from None
    if status in (420, 429):
        raise RateLimitedError(
            f"Cloudinary asked to wait (HTTP {status}).", until=_named_time(exchange.headers), everyone=status == 420
        ) from cause
    if status == 400 and message.startswith("Stale request"):
        raise PassingError(gettext_noop("Cloudinary found the request's timestamp too old.")) from cause
    if status in (400, 403, 404, 409) and message:
        raise RefusedError(message) from cause


def _passing_error(exchange: Exchange) -> PassingError:
    if exchange.interrupted:
        return InterruptedCallError(gettext_noop("The attempt was interrupted."))
    if exchange.timed_out:
        return PassingError(gettext_noop("Cloudinary did not answer within the deadline."))
    if exchange.status is None:
        return PassingError(gettext_noop("The connection to Cloudinary failed."))
    return PassingError(f"Cloudinary's answer (HTTP {exchange.status}) could not be used.")


def _named_time(headers) -> datetime | None:
    """The moment named by Retry-After (seconds or a date) or X-FeatureRateLimit-Reset (a date), if any."""
    retry_after = headers.get("Retry-After", "")
    if retry_after.isdigit():
        return datetime.now(timezone.utc) + timedelta(seconds=int(retry_after))
    for value in (retry_after, headers.get("X-FeatureRateLimit-Reset", "")):
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return None


def _asset_from(answer: dict) -> StoredAsset:
    try:
        return StoredAsset(
            public_id=answer["public_id"],
            asset_id=str(answer["asset_id"]),
            version=int(answer["version"]),
            format=str(answer["format"]),
            bytes=int(answer["bytes"]),
            etag=answer.get("etag"),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise AnswerNotTrustedError(gettext_noop("Cloudinary's answer lacks what every answer has.")) from exc
