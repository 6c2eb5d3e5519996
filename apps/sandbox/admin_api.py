"""Cloudinary's Admin API, as far as hopla goes: look assets up, list them, delete them; ping and usage.

https://cloudinary.com/documentation/admin_api
"""

import base64
import binascii
import time
from datetime import datetime, timezone
from urllib.parse import unquote

from apps.sandbox.assets import Asset
from apps.sandbox.cloud import Cloud, Request
from apps.sandbox.responses import Refused, Response, json_response
from apps.sandbox.signatures import check_basic

MAX_IDS_A_CALL = 100
MAX_RESULTS = 500


def administer(cloud: Cloud, request: Request, segments: list[str]) -> Response:
    """The response to `/v1_1/{cloud}/{segments…}`. Raises Refused: 401 without the account's Basic credentials, 404."""
    check_basic(request.headers.get("Authorization"), cloud.account)
    match request.method, [unquote(segment) for segment in segments]:
        case "GET", ["ping"]:
            return json_response({"status": "ok"})
        case "GET", ["usage", *_]:
            return _usage(cloud)
        case "GET", ["resources", "image"]:
            return _listed(cloud, request, "upload")
        case "GET", ["resources", "image", type]:
            return _named(cloud, request, type) if request.fields.get("public_ids") else _listed(cloud, request, type)
        case "GET", ["resources", "image", type, *rest]:
            return _details(cloud, request, type, "/".join(rest))
        case "DELETE", ["resources", "image", type]:
            return _delete(cloud, request, type)
    raise Refused(404, f"The sandbox knows no {request.method} {request.path}")


def _usage(cloud: Cloud) -> Response:
    assets = list(cloud.assets)
    return json_response(
        {
            "plan": "Sandbox",
            "last_updated": datetime.now(timezone.utc).date().isoformat(),
            "objects": {"usage": len(assets)},
            "storage": {"usage": sum(asset.bytes for asset in assets)},
            "requests": cloud.journal.requests.total(),
            "resources": len(assets),
            "derived_resources": 0,
            "media_limits": {"image_max_size_bytes": cloud.image_max_bytes},
        }
    )


def _details(cloud: Cloud, request: Request, type: str, public_id: str) -> Response:
    asset = cloud.assets.find(type=type, public_id=public_id)
    if asset is None or not _visible(asset, request):
        raise Refused(404, f"Resource not found - {public_id}")
    extra = {name: value for name, value in asset.details.items() if name in ("tags", "context")}
    return json_response(_summary(cloud, asset, request) | {"etag": asset.etag, "derived": []} | extra)


def _named(cloud: Cloud, request: Request, type: str) -> Response:
    """The assets among `public_ids`; those that do not exist are left out."""
    found = [cloud.assets.find(type=type, public_id=public_id) for public_id in _public_ids(request)]
    return json_response(
        {"resources": [_summary(cloud, asset, request) for asset in found if asset and _visible(asset, request)]}
    )


def _listed(cloud: Cloud, request: Request, type: str) -> Response:
    """A page of assets by public_id, so that a cursor stays true while others are stored."""
    prefix, after = request.params.get("prefix", ""), _cursor_value(request.params.get("next_cursor", ""))
    limit = _max_results(request.params.get("max_results", "10"))
    matching = [
        asset
        for asset in cloud.assets
        if asset.type == type
        and asset.public_id.startswith(prefix)
        and asset.public_id > after
        and _visible(asset, request)
    ]
    page = {"resources": [_summary(cloud, asset, request) for asset in matching[:limit]]}
    if len(matching) > limit:
        page["next_cursor"] = base64.urlsafe_b64encode(matching[limit - 1].public_id.encode()).decode()
    return json_response(page)


def _delete(cloud: Cloud, request: Request, type: str) -> Response:
    removed = {public_id: cloud.assets.remove(type=type, public_id=public_id) for public_id in _public_ids(request)}
    return json_response(
        {
            "deleted": {public_id: "deleted" if gone else "not_found" for public_id, gone in removed.items()},
            "deleted_counts": {public_id: {"original": int(gone), "derived": 0} for public_id, gone in removed.items()},
            "partial": False,
        }
    )


def _public_ids(request: Request) -> list[str]:
    public_ids = list(dict.fromkeys(request.fields.get("public_ids", [])))
    if not public_ids:
        raise Refused(400, "Missing required parameter - public_ids")
    if len(public_ids) > MAX_IDS_A_CALL:
        raise Refused(400, f"Too many public_ids. Got {len(public_ids)}. Maximum is {MAX_IDS_A_CALL}.")
    return public_ids


def _visible(asset: Asset, request: Request) -> bool:
    return time.time() - asset.stored_at >= request.misbehaviour.admin_lag_seconds


def _summary(cloud: Cloud, asset: Asset, request: Request) -> dict:
    """An asset as the listings show it: without the etag, which Cloudinary's documentation does not promise there."""
    url = cloud.delivery_url(asset, base_url=request.base_url)
    return {
        "asset_id": asset.asset_id,
        "public_id": asset.public_id,
        "format": asset.format,
        "version": asset.version,
        "resource_type": "image",
        "type": asset.type,
        "created_at": asset.created_at,
        "bytes": asset.bytes,
        "width": asset.width,
        "height": asset.height,
        "asset_folder": asset.details.get("asset_folder", ""),
        "display_name": asset.details.get("display_name", ""),
        "url": url,
        "secure_url": url,
    }


def _max_results(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= MAX_RESULTS:
        raise Refused(400, f"Invalid max_results {value}")
    return int(value)


def _cursor_value(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor).decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise Refused(400, "Invalid next_cursor") from exc
