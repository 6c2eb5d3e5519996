"""Checks a signed manifest, and an archive against it, without the database or any network.

Neither is trusted: names within an archive are compared and never used as paths, and of its files no more is read than
the manifest says they have.
"""

import hashlib
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator

from apps.tickets.handover.archive import MANIFEST, SIGNED_MANIFEST, folder_of, name_of
from apps.tickets.handover.manifest import canonical
from apps.tickets.handover.signing import NotVerifiedError, verified_payload

READ_BYTES = 64 * 1024
MANIFEST_MAX_BYTES = 64 * 1024 * 1024
FIELDS = {"ticket_id": int, "num_images": int, "status": str, "issued_at": str, "photos": list}
PHOTO_FIELDS = {"position": int, "filename": str, "content_type": str, "size": int}
DIGESTS = ("sha256", "md5")  # the first that a photo has
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError)


def verified_manifest(jws: str, jwks: dict) -> dict:
    """The manifest that this JWS holds, if one of the keys has signed it and it is in canonical form.

    Raises NotVerifiedError, whose text says in a sentence what is wrong.
    """
    payload = verified_payload(jws.strip(), jwks)
    try:
        content = json.loads(payload)
        is_canonical = canonical(content) == payload
    except (ValueError, TypeError, RecursionError) as exc:
        raise NotVerifiedError("What was signed is no JSON.") from exc
    if not is_canonical:
        raise NotVerifiedError("What was signed is not in canonical form (RFC 8785).")
    if not _has(content, FIELDS) or not all(_describes(photo) for photo in content["photos"]):
        raise NotVerifiedError("What was signed is no manifest: it lacks fields.")
    return content


def signed_manifest_in(archive) -> str:
    """The JWS within the archive of one ticket. Raises NotVerifiedError."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return _text(opened, opened.getinfo(SIGNED_MANIFEST))
    except KeyError as exc:
        raise NotVerifiedError(f"The archive has no {SIGNED_MANIFEST} at its top.") from exc
    except BROKEN_ZIP as exc:
        raise NotVerifiedError(f"The archive cannot be read: {exc}") from exc


def differences(content: dict, archive, jwks: dict) -> Iterator[str]:
    """A sentence for everything in which the archive, a file or its name, differs from this manifest."""
    try:
        with zipfile.ZipFile(archive) as opened:
            yield from _differences(content, opened, jwks)
    except BROKEN_ZIP as exc:
        yield f"The archive cannot be read: {exc}"


def _differences(content: dict, opened: zipfile.ZipFile, jwks: dict) -> Iterator[str]:
    entries = opened.infolist()
    # An archive of several tickets has a folder for each, and nothing besides.
    folders = {name.partition("/")[0] if "/" in name else None for name in (entry.filename for entry in entries)}
    folder = folder_of(content) if folders and None not in folders else ""
    entries = {entry.filename.removeprefix(folder): entry for entry in entries if entry.filename.startswith(folder)}
    names = Counter(entry.filename for entry in opened.infolist())
    yield from (f"The archive has {name!r} {number} times." for name, number in names.items() if number > 1)
    photos = {name_of(photo): photo for photo in content["photos"]}
    expected = {MANIFEST, SIGNED_MANIFEST, *photos}
    yield from (f"{name!r} is missing." for name in sorted(expected - entries.keys()))
    yield from (f"{name!r} is in the archive and not in the manifest." for name in sorted(entries.keys() - expected))
    for name in sorted(photos.keys() & entries.keys()):
        try:
            yield from _differences_of_photo(name, photos[name], opened, entries[name])
        except BROKEN_ZIP as exc:
            yield f"{name!r} cannot be read: {exc}"
    if {MANIFEST, SIGNED_MANIFEST} <= entries.keys():
        yield from _differences_of_manifests(content, opened, entries, jwks)


def _differences_of_photo(name: str, photo: dict, opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[str]:
    if entry.file_size != photo["size"]:
        yield f"{name!r} has {entry.file_size} bytes, and the manifest says {photo['size']}."
        return
    algorithm, expected = _digest_of(photo)
    received, digest = 0, hashlib.new(algorithm, usedforsecurity=False)
    with opened.open(entry) as file:
        while received <= photo["size"] and (piece := file.read(READ_BYTES)):
            received += len(piece)
            digest.update(piece)
    if (received, digest.hexdigest()) != (photo["size"], expected):
        yield f"{name!r} does not have the {algorithm} that the manifest says."


def _differences_of_manifests(content: dict, opened: zipfile.ZipFile, entries: dict, jwks: dict) -> Iterator[str]:
    """The archive's own may be issued at another moment than the one it is compared with."""
    try:
        own = verified_manifest(_text(opened, entries[SIGNED_MANIFEST]), jwks)
        if _text(opened, entries[MANIFEST]).encode() != canonical(own):
            yield f"{MANIFEST!r} is not what {SIGNED_MANIFEST!r} has signed."
        if (own["ticket_id"], own["photos"]) != (content["ticket_id"], content["photos"]):
            yield f"{SIGNED_MANIFEST!r} in the archive names other photos."
    except NotVerifiedError as exc:
        yield f"{SIGNED_MANIFEST!r} in the archive: {exc}"
    except BROKEN_ZIP as exc:
        yield f"The manifest in the archive cannot be read: {exc}"


def _text(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    if entry.file_size > MANIFEST_MAX_BYTES:
        raise NotVerifiedError(f"{entry.filename!r} is too large for what it should be.")
    with opened.open(entry) as file:
        return file.read(MANIFEST_MAX_BYTES).decode()


def _describes(photo) -> bool:
    return _has(photo, PHOTO_FIELDS) and _digest_of(photo) is not None


def _digest_of(photo: dict) -> tuple[str, str] | None:
    """Returns the name of the photo's digest and its value."""
    return next(((name, photo[name]) for name in DIGESTS if type(photo.get(name)) is str), None)


def _has(content, fields: dict[str, type]) -> bool:
    return isinstance(content, dict) and all(type(content.get(name)) is kind for name, kind in fields.items())
