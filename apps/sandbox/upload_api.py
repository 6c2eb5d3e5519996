"""Cloudinary's Upload API, as far as hopla goes: image/upload and image/destroy.

https://cloudinary.com/documentation/image_upload_api_reference
"""

import re
import secrets

from apps.sandbox.assets import Asset
from apps.sandbox.cloud import Cloud, Request
from apps.sandbox.faults import spoil_fields
from apps.sandbox.forms import Photo
from apps.sandbox.notifications import notify
from apps.sandbox.pictures import ALIASES, NotAPicture, Picture, describe
from apps.sandbox.responses import Refused, Response, json_response
from apps.sandbox.signatures import ALGORITHMS, check_basic, check_signed, sign

TYPES = ("upload", "private", "authenticated")
FORBIDDEN_IN_PUBLIC_ID = re.compile(r"[?&#\\%<>+]")


def upload(cloud: Cloud, request: Request) -> Response:
    """Store the photo; the response describes the asset. Raises Refused."""
    _check_signer(cloud, request)
    params = request.params
    photo = _photo_of(cloud, request)
    public_id, overwrite = _public_id_of(params), params.get("overwrite", "1") not in ("0", "false")
    asset, existed = cloud.assets.store(
        public_id=public_id,
        type=_type_of(params),
        photo=photo,
        picture=_picture_of(photo, params),
        overwrite=overwrite,
        details=_details_of(public_id, photo, params),
    )
    fields = _described(cloud, asset, request)
    if existed:
        fields["overwritten" if overwrite else "existing"] = True
    if request.misbehaviour.fault:
        fields = spoil_fields(fields, request.misbehaviour.fault)
    if params.get("notification_url") and (overwrite or not existed):
        notify(cloud, params["notification_url"], fields, algorithm=_algorithm_of(params))
    return json_response(fields)


def destroy(cloud: Cloud, request: Request, *, resource_type: str = "image") -> Response:
    """Delete the asset; `{"result": "ok"}`, or "not found", both with 200: all are images here. Raises Refused."""
    _check_signer(cloud, request)
    public_id = request.params.get("public_id")
    if not public_id:
        raise Refused(400, "Missing required parameter - public_id")
    is_image = resource_type == "image"
    removed = is_image and cloud.assets.remove(type=_type_of(request.params), public_id=public_id)
    return json_response({"result": "ok" if removed else "not found"})


def _check_signer(cloud: Cloud, request: Request) -> None:
    if request.headers.get("Authorization"):
        check_basic(request.headers["Authorization"], cloud.account)
    else:
        check_signed(request.params, cloud.account)


def _algorithm_of(params: dict[str, str]) -> str:
    """The one that the account uses, as far as the request's own signature shows it."""
    return ALGORITHMS.get(len(params.get("signature", "")), "sha1")


def _photo_of(cloud: Cloud, request: Request) -> Photo:
    photo = request.photo
    if photo is None and request.params.get("file"):
        raise Refused(400, "The sandbox takes the bytes of a file, no address and no data URI")
    if photo is None:
        raise Refused(400, "Missing required parameter - file")
    if photo.size == 0:
        raise Refused(400, "Empty file")
    if photo.size > cloud.image_max_bytes:
        raise Refused(400, f"File size too large. Got {photo.size}. Maximum is {cloud.image_max_bytes}.")
    return photo


def _picture_of(photo: Photo, params: dict[str, str]) -> Picture:
    try:
        picture = describe(photo.data)
    except NotAPicture as exc:
        raise Refused(400, "Invalid image file") from exc
    allowed = [name.strip().lower() for name in params.get("allowed_formats", "").split(",") if name.strip()]
    if allowed and picture.format not in [ALIASES.get(name, name) for name in allowed]:
        raise Refused(400, f"Image file format {picture.format} not allowed")
    return picture


def _public_id_of(params: dict[str, str]) -> str:
    public_id = params.get("public_id") or secrets.token_hex(10)
    if params.get("folder"):
        public_id = f"{params['folder'].strip('/')}/{public_id}"
    if len(public_id) > 255 or FORBIDDEN_IN_PUBLIC_ID.search(public_id) or public_id != public_id.strip(" /"):
        raise Refused(400, f"public_id ({public_id}) is invalid")
    return public_id


def _type_of(params: dict[str, str]) -> str:
    type = params.get("type") or "upload"
    if type not in TYPES:
        raise Refused(400, f"Invalid type {type}")
    return type


def _details_of(public_id: str, photo: Photo, params: dict[str, str]) -> dict:
    """What Cloudinary keeps of the parameters and gives back with the asset."""
    details = {
        "tags": [tag.strip() for tag in params.get("tags", "").split(",") if tag.strip()],
        "asset_folder": params.get("asset_folder", ""),
        "display_name": params.get("display_name") or public_id.rpartition("/")[2],
        "original_filename": photo.filename.rpartition(".")[0] or photo.filename,
    }
    if params.get("context"):
        pairs = [pair.partition("=") for pair in params["context"].split("|")]
        details["context"] = {"custom": {name: value for name, _, value in pairs}}
    return details


def _described(cloud: Cloud, asset: Asset, request: Request) -> dict:
    url = cloud.delivery_url(asset, base_url=request.base_url)
    # Responses are signed with version 1 of the scheme, even if the request used another version.
    signed = {"public_id": asset.public_id, "version": str(asset.version)}
    return {
        "asset_id": asset.asset_id,
        "public_id": asset.public_id,
        "version": asset.version,
        "version_id": asset.version_id,
        "signature": sign(signed, cloud.account.api_secret, version=1),
        "width": asset.width,
        "height": asset.height,
        "format": asset.format,
        "resource_type": "image",
        "created_at": asset.created_at,
        "bytes": asset.bytes,
        "type": asset.type,
        "etag": asset.etag,
        "placeholder": False,
        "url": url,
        "secure_url": url,
        "api_key": cloud.account.api_key,
        **asset.details,
    }
