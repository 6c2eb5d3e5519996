"""The only module of hopla that imports Cloudinary's SDK.

Every call names its account (from settings.CLOUDINARY_URL), has a total deadline and raises one of the errors below.
They rely on facts about the service and the SDK (1.46.3): what each status means, that the SDK never repeats a POST,
and that the asset may be stored even if the response was lost.

Private parts of cloudinary 1.46.3: `cloudinary.uploader._http`, `cloudinary.api_client.call_api._http`.
"""

import hashlib
import hmac
import re
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

from apps.common.http.deadlines import Exchange, interrupt_all
from apps.common.observability import unforeseen
from apps.tickets.storage.http_pool import DeadlinePoolManager

CONNECT_TIMEOUT_SECONDS = 5
# A single read may take longer than the whole exchange, so that the deadline ends it and is reported.
READ_SLACK_SECONDS = 1
ADMIN_TIMEOUT_SECONDS = 10
PUBLIC_ID_PREFIX = "hopla/"
DELIVERY_HOST = "https://res.cloudinary.com"
THUMBNAIL = "c_fill,g_auto,h_400,w_400/f_auto,q_auto"
LARGE = "c_limit,h_1600,w_1600/f_auto,q_auto"
WHOLE = "f_auto,q_auto:best"
# The formats that intake accepts, by Cloudinary's names. Cloudinary counts SVG and PDF as images too.
ALLOWED_FORMATS = ["jpg", "png", "gif", "webp", "heic", "heif", "avif", "tiff", "tif", "bmp"]
SIGNATURE_SECONDS = 60 * 60  # a signature is good for so long after its timestamp
HASHES = {40: "sha1", 64: "sha256"}  # by the length of the hex digest; which it is depends on the account

# The SDK's own pools hold one connection, so concurrent uploads would each open and discard one. The names are private
# to the SDK: tests/tickets/storage/test_cloudinary.py fails if they change. There is one connection more than
# concurrent uploads, so that the reconciler does not wait for one of them.
_pool = DeadlinePoolManager(maxsize=settings.WORKER_CONCURRENCY + 1, block=True, **cloudinary.CERT_KWARGS)
cloudinary.uploader._http = _pool
call_api._http = _pool


@dataclass(frozen=True)
class StoredAsset:
    """The asset that Cloudinary reports under a public_id."""

    public_id: str
    asset_id: str
    version: int
    format: str
    bytes: int
    etag: str | None  # md5 of the bytes, in hex; a list of the Admin API may leave it out
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class SignedForm:
    """What a client posts to Cloudinary itself, as multipart/form-data: these fields, and then the photo as `file`."""

    url: str
    fields: dict[str, str]


class CloudError(Exception):
    """Base of the errors of a call. `code` is stable; `detail` is safe to show to users: it contains no secret."""

    code = "cloudinary_error"

    def __init__(self, detail: str):
        super().__init__(detail)
        self.detail = detail


class RefusedError(CloudError):
    """Cloudinary will never take this photo (400, 403, 404, 409)."""

    code = "cloudinary_refused"


class PassingError(CloudError):
    """Try again later: a network error, a deadline, 5xx, 423, an unusable response. The photo may be stored."""

    code = "cloudinary_unavailable"


class AnswerNotTrustedError(PassingError):
    """The response does not match what was sent: the outcome is unknown."""

    code = "cloudinary_answer_mismatch"


class InterruptedCallError(PassingError):
    """`interrupt_calls` cut the call off, since the process is stopping. Whether the photo is stored is unknown."""

    code = "worker_lost"


class OwnError(PassingError):
    """An unforeseen error of hopla itself or of the SDK; it has already been reported."""

    code = "internal_error"


class RateLimitedError(PassingError):
    """420 or 429: wait, until `until` (aware datetime) when Cloudinary named a time."""

    code = "cloudinary_rate_limited"

    def __init__(self, detail: str, *, until: datetime | None, everyone: bool):
        super().__init__(detail)
        self.until = until
        self.everyone = everyone  # 420 is about the account: all uploads wait


class CredentialsError(CloudError):
    """401: the key, secret or cloud name is wrong. It is not the photo's fault, and does not count as an attempt."""

    code = "cloudinary_credentials"


def put(*, public_id: str, content: bytes | memoryview) -> StoredAsset:
    """Store the photo under this public_id, replacing what is there: safe to repeat.

    The response is compared with what was sent (public_id, bytes, md5). Raises one of the errors above.
    """
    seconds = settings.UPLOAD_TIMEOUT_SECONDS
    with Exchange(seconds) as exchange:
        response = _call(
            exchange,
            cloudinary.uploader.upload,
            content,
            public_id=public_id,
            filename="photo",  # never the user's filename
            overwrite=True,
            type="upload",
            allowed_formats=ALLOWED_FORMATS,
            timeout=Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=seconds + READ_SLACK_SECONDS),
            return_error=True,
        )
    asset = _asset_from(response)
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if (asset.public_id, asset.bytes, asset.etag) != (public_id, len(content), etag):
        raise AnswerNotTrustedError(gettext_noop("Cloudinary's answer does not match the photo that was sent."))
    return asset


def interrupt_calls() -> None:
    """Cut off every running call: each raises an InterruptedCallError. New ones are not prevented."""
    interrupt_all()


def find(public_ids: list[str]) -> dict[str, StoredAsset]:
    """Returns what Cloudinary holds under these public_ids (at most 100), by public_id, without those it does not know.

    Its Admin API may lag behind an upload, and on a free plan takes 500 calls an hour.
    """
    response = _ask(cloudinary.api.resources_by_ids, public_ids, max_results=len(public_ids))
    return {asset.public_id: asset for asset in map(_asset_from, _resources_of(response))}


def look_up(public_id: str) -> StoredAsset | None:
    """Returns what Cloudinary holds under this public_id, with its etag; one Admin call. Raises as the others."""
    try:
        return _asset_from(_ask(cloudinary.api.resource, public_id, type="upload"))
    except RefusedError as refused:
        if isinstance(refused.__cause__, NotFound):
            return None
        raise


def sign_form(*, public_id: str, ends_at: datetime, notification_url: str | None) -> SignedForm:
    """Returns a form with which whoever has it can store one photo under this public_id, until `ends_at`: at most
    SIGNATURE_SECONDS from now.

    Cloudinary takes a signature for an hour, so its timestamp is set back. Every field is signed, and no other can be
    added. The photo is not: its size, its bytes and how often they are sent. With `overwrite` off the first one stays.
    """
    account = _account()
    signed = {
        "allowed_formats": ",".join(ALLOWED_FORMATS),
        **({"notification_url": notification_url} if notification_url else {}),
        "overwrite": "false",
        "public_id": public_id,
        "timestamp": str(int(ends_at.timestamp()) - SIGNATURE_SECONDS),
        "type": "upload",
    }
    signature = cloudinary.utils.api_sign_request(
        signed,
        account["api_secret"],
        account.get("signature_algorithm", cloudinary.utils.SIGNATURE_SHA1),
        account.get("signature_version", 2),
    )
    return SignedForm(
        url=upload_url(),
        fields=signed | {"api_key": account["api_key"], "signature": signature},
    )


def is_stand_in() -> bool:
    """Returns whether CLOUDINARY_URL names a server of its own, such as the sandbox."""
    return "upload_prefix" in _account()


def upload_url() -> str:
    """Returns where clients post photos to Cloudinary themselves."""
    return cloudinary.utils.cloudinary_api_url("upload", resource_type="image", **_account())


def is_signed_answer(*, public_id: str, version: int, signature: str) -> bool:
    """Returns whether Cloudinary has signed an answer to an upload with these two values, and no others."""
    told = f"public_id={public_id}&version={version}"  # version 1 of its signatures, whatever that of requests is
    return _is_signed(told.encode(), signature)


def is_signed_notification(*, body: bytes, timestamp: str, signature: str) -> bool:
    """Returns whether Cloudinary has signed this body at this time. How old it is is the caller's to judge."""
    return _is_signed(body + timestamp.encode(), signature)


def asset_told(described: dict) -> StoredAsset:
    """Returns the asset that a notification describes. Raises AnswerNotTrustedError for one that lacks what it has."""
    return _asset_from(described)


def _is_signed(content: bytes, signature: str) -> bool:
    """A plain digest with the secret at the end, not an HMAC, as Cloudinary has it."""
    account, algorithm = _account(), HASHES.get(len(signature))
    if algorithm is None or account.get("signature_algorithm", algorithm) != algorithm:
        return False
    digest = hashlib.new(algorithm, content + account["api_secret"].encode(), usedforsecurity=False).hexdigest()
    return hmac.compare_digest(digest.encode(), signature.lower().encode())


def list_assets(prefix: str = PUBLIC_ID_PREFIX):
    """Yields every asset of hopla's at Cloudinary whose name begins so, page by page (500 an Admin call)."""
    cursor = None
    while True:
        options = {"next_cursor": cursor} if cursor else {}
        response = _ask(cloudinary.api.resources, type="upload", prefix=prefix, max_results=500, **options)
        yield from map(_asset_from, _resources_of(response))
        cursor = response.get("next_cursor")
        if not cursor:
            return


def delete(name: str) -> None:
    """Delete the asset under this public_id, or one that `name_of_other` names, if there is one. Safe to repeat. Raises
    one of the errors above.
    """
    kind, _, public_id = name.rpartition(":")
    options = {"resource_type": kind or "image", "type": "upload", "invalidate": True}
    response = _ask(cloudinary.uploader.destroy, public_id, **options, return_error=True)
    if response.get("result") not in ("ok", "not found"):
        raise PassingError(gettext_noop("Cloudinary did not say that the asset is gone."))


def name_of_other(resource_type: str, public_id: str) -> str:
    """Returns how an asset is named for `delete` that is no image, although it has the public_id of one."""
    return f"{resource_type}:{public_id}"


def delivery_url(*, public_id: str, version: int, format: str) -> str:
    """Returns where the photo itself can be fetched."""
    return _delivery_url(public_id, version, ("format", format))


def thumbnail_url(*, public_id: str, version: int) -> str:
    """Returns where a 400 x 400 picture of it can be fetched, in a format the browser knows."""
    return _delivery_url(public_id, version, ("raw_transformation", THUMBNAIL))


def large_url(*, public_id: str, version: int) -> str:
    """Returns where it can be fetched with at most 1600 pixels a side, in a format the browser knows."""
    return _delivery_url(public_id, version, ("raw_transformation", LARGE))


def whole_url(*, public_id: str, version: int) -> str:
    """Returns where it can be fetched in its own size, in a format the browser knows."""
    return _delivery_url(public_id, version, ("raw_transformation", WHOLE))


def delivers(url: str) -> bool:
    """Returns whether pages may show the picture at this URL: whether it is on the host that delivers the photos."""
    return url.startswith(f"{settings.DELIVERY_ORIGIN}/")


def _delivery_url(public_id: str, version: int, option: tuple[str, str]) -> str:
    before, between, after = _url_around(option)
    return f"{before}{version}{between}{public_id}{after}"


@lru_cache
def _url_around(option: tuple[str, str]) -> tuple[str, str, str]:
    """Returns the parts of the SDK's URL before, between and after version and public_id.

    The SDK takes 40 µs to build one, and a ticket shows up to a thousand.
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
    """Clear the cache when a test changes settings."""
    _url_around.cache_clear()


def _account() -> dict:
    return _parse_account(settings.CLOUDINARY_URL)


@lru_cache
def _parse_account(cloudinary_url: str) -> dict:
    """Returns the SDK's options for cloudinary://KEY:SECRET@CLOUD[?upload_prefix=…]; its own parser fills a global."""
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


def _resources_of(response: dict) -> list:
    resources = response.get("resources")
    if not isinstance(resources, list):
        raise AnswerNotTrustedError(gettext_noop("Cloudinary's answer lacks what every answer has."))
    return resources


def _call(exchange: Exchange, function, *args, **options) -> dict:
    try:
        response = function(*args, **_account(), **options)
    except Exception as exc:
        if not _is_foreseen(exc, exchange):
            unforeseen.report("cloudinary", f"calling {function.__name__}", exc)
            raise OwnError(gettext_noop("hopla met an error of its own while talking to Cloudinary.")) from exc
        told_why = isinstance(exc, (NotAllowed, NotFound))  # a proxy's error page with the same status does not
        _raise_for(exchange, message=str(exc) if told_why else "", cause=exc)
        raise _passing_error(exchange) from exc
    if not isinstance(response, dict):
        raise _passing_error(exchange)
    error = response.get("error") or {}
    message = error.get("message", "") if isinstance(error, dict) else str(error)
    _raise_for(exchange, message)
    if error or exchange.status != 200:
        raise _passing_error(exchange)
    return response


def _is_foreseen(exc: Exception, exchange: Exchange) -> bool:
    """Returns whether the error is the SDK's or urllib3's, a bare Exception from an Admin call, or what the SDK raises
    for a response that is not an object, such as `null`.
    """
    if type(exc) is Exception or isinstance(exc, (SDKError, HTTPError)):
        return True
    return exchange.status is not None and isinstance(exc, (TypeError, LookupError, ValueError)) and _is_sdks(exc)


def _is_sdks(exc: Exception) -> bool:
    """Returns whether the SDK's code raised it."""
    *_, (innermost, _) = traceback.walk_tb(exc.__traceback__)
    return innermost.f_globals["__name__"].partition(".")[0] == cloudinary.__name__


def _raise_for(exchange: Exchange, message: str, cause: Exception | None = None) -> None:
    """Raise the error for the response's status. 400, 403, 404 and 409 are refusals only if Cloudinary says why."""
    status = exchange.status
    if exchange.was_cut or status is None:
        return
    if status == 401:
        # Without its cause, whose message contains the string to sign.
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
    """Returns the moment named by Retry-After (seconds or a date) or X-FeatureRateLimit-Reset (a date), if any."""
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


def _asset_from(response: dict) -> StoredAsset:
    try:
        asset = StoredAsset(
            public_id=response["public_id"],
            asset_id=str(response["asset_id"]),
            version=int(response["version"]),
            format=str(response["format"]),
            bytes=int(response["bytes"]),
            etag=response.get("etag"),
            width=response.get("width") and int(response["width"]),
            height=response.get("height") and int(response["height"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise AnswerNotTrustedError(gettext_noop("Cloudinary's answer lacks what every answer has.")) from exc
    if not _can_be_kept(asset):
        raise AnswerNotTrustedError(gettext_noop("Cloudinary's answer lacks what every answer has."))
    return asset


def _can_be_kept(asset: StoredAsset) -> bool:
    numbers = (asset.version, asset.bytes, asset.width or 0, asset.height or 0)
    return (
        re.fullmatch(r"[!-~]{1,64}", asset.asset_id) is not None
        and isinstance(asset.etag, str | None)
        and min(numbers) >= 0
        and asset.version < 2**63
    )
