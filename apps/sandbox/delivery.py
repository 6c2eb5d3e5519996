"""What a browser fetches: the photo as it was sent, or a smaller picture of it.

https://cloudinary.com/documentation/advanced_url_delivery_options
"""

import re
from urllib.parse import unquote

from apps.sandbox.assets import Asset
from apps.sandbox.cloud import Cloud, Request
from apps.sandbox.pictures import ALIASES, CONTENT_TYPES, WRITTEN, NotAPicture, has_transparency, render
from apps.sandbox.responses import Refused, Response
from apps.sandbox.signatures import delivery_signatures

SIGNATURE = re.compile(r"s--[\w-]+--")
VERSION = re.compile(r"v\d+")
TRANSFORMATION = re.compile(r"[a-z]{1,3}_[^/]+")


def deliver(cloud: Cloud, request: Request) -> Response:
    """The response to `/{cloud}/image/{type}/[s--sig--/][transformation/…][v1/]public_id[.ext]`.

    Raises Refused: 404 for anything unknown, 401 for a missing or wrong signature.
    """
    segments = request.path.strip("/").split("/")
    if len(segments) < 4 or not cloud.account.is_called(segments[0]) or segments[1] != "image":
        raise Refused(404, "Resource not found")
    type, rest = segments[2], segments[3:]
    signature = rest.pop(0) if SIGNATURE.fullmatch(rest[0]) else None
    asset, transformations, source, extension = _find(cloud, type, rest)
    _check_signature(cloud, type, signature, "/".join([*transformations, source]))
    data = cloud.assets.read(asset)
    if data is None:
        raise Refused(404, f"Resource not found - the bytes of {asset.public_id} gave way to newer photos")
    steps = [_step(transformation) for transformation in transformations]
    format = _format(steps, extension, asset, data, request.headers.get("Accept", ""))
    if steps or format != asset.format:
        data = _rendered(data, steps, format)
    headers = {"Cache-Control": "public, max-age=3600", "Vary": "Accept"}
    return Response(body=data, content_type=CONTENT_TYPES[format], headers=headers)


def _find(cloud: Cloud, type: str, segments: list[str]) -> tuple[Asset, list[str], str, str | None]:
    """The asset, the transformations before its name, the name as written, and the extension if it has one.

    A public_id may have slashes, so each place where it could begin is tried, the longest first.
    """
    for start in range(len(segments)):
        transformations = segments[:start]
        if transformations and not TRANSFORMATION.fullmatch(transformations[-1]):
            break
        has_version = VERSION.fullmatch(segments[start]) and start + 1 < len(segments)
        source = "/".join(segments[start + bool(has_version) :])
        stem, _, extension = unquote(source).rpartition(".")
        asset = cloud.assets.find(type=type, public_id=unquote(source))
        if asset:
            return asset, transformations, source, None
        asset = cloud.assets.find(type=type, public_id=stem)
        if asset:
            return asset, transformations, source, extension.lower()
    raise Refused(404, f"Resource not found - {unquote('/'.join(segments))}")


def _check_signature(cloud: Cloud, type: str, signature: str | None, to_sign: str) -> None:
    if signature is None and type == "upload":
        return
    if signature is None:
        raise Refused(401, "This asset needs a signed URL")
    if signature not in delivery_signatures(to_sign, cloud.account.api_secret):
        raise Refused(401, "Invalid signature")


def _step(transformation: str) -> dict[str, str]:
    pairs = [part.partition("_") for part in unquote(transformation).split(",")]
    return {name: value for name, _, value in pairs}


def _format(steps: list[dict[str, str]], extension: str | None, asset: Asset, data: bytes, accept: str) -> str:
    """The format asked for: f_… first, then the extension; f_auto gives one that the browser accepts."""
    asked = next((step["f"] for step in reversed(steps) if "f" in step), extension) or asset.format
    if asked == "auto":
        if "image/webp" in accept:
            return "webp"
        asked = "png" if asset.format in ("png", "gif", "webp", "avif") and has_transparency(data) else "jpg"
    asked = ALIASES.get(asked, asked)
    if asked == asset.format and not steps:
        return asked
    if asked in WRITTEN:
        return asked
    if extension is None or ALIASES.get(extension, extension) == asset.format:
        return "jpg"  # a thumbnail of a HEIC or TIFF with no other format asked for
    raise Refused(400, f"Invalid extension in transformation: {asked}")


def _rendered(data: bytes, steps: list[dict[str, str]], format: str) -> bytes:
    try:
        return render(data, steps, format=format)
    except NotAPicture as exc:
        raise Refused(400, "Invalid image file") from exc
