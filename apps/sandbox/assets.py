"""The assets of the cloud: a record of each, and the bytes of as many as the cap allows."""

import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from apps.sandbox.forms import Photo
from apps.sandbox.pictures import Picture

DEFAULT_MAX_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Asset:
    """One asset. Its identity is (type, public_id); `times_stored` counts how often it was written."""

    public_id: str
    type: str
    asset_id: str
    version: int
    version_id: str
    bytes: int
    etag: str
    width: int
    height: int
    format: str
    created_at: str
    stored_at: float
    times_stored: int = 1
    details: dict = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        return self.type, self.public_id


class MemoryShelf:
    """The bytes of photos, in memory."""

    def __init__(self):
        self._photos: dict[str, bytes] = {}

    def put(self, asset: Asset, data: bytes) -> None:
        self._photos[asset.asset_id] = data

    def get(self, asset: Asset) -> bytes | None:
        return self._photos.get(asset.asset_id)

    def drop_bytes(self, asset: Asset) -> None:
        self._photos.pop(asset.asset_id, None)

    def forget(self, asset: Asset) -> None:
        self.drop_bytes(asset)

    def remembered(self) -> list[Asset]:
        return []


class FolderShelf:
    """The bytes of photos, and their records, in a folder of their own: a restarted sandbox still shows them."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def put(self, asset: Asset, data: bytes) -> None:
        self._write(self._photo(asset), data)
        self._write(self._record(asset), json.dumps(asdict(asset)).encode())

    def get(self, asset: Asset) -> bytes | None:
        try:
            return self._photo(asset).read_bytes()
        except FileNotFoundError:
            return None

    def drop_bytes(self, asset: Asset) -> None:
        self._photo(asset).unlink(missing_ok=True)

    def forget(self, asset: Asset) -> None:
        self.drop_bytes(asset)
        self._record(asset).unlink(missing_ok=True)

    def remembered(self) -> list[Asset]:
        records = [Asset(**json.loads(path.read_bytes())) for path in self._folder.glob("*.json")]
        return sorted(records, key=lambda asset: asset.stored_at)

    def _photo(self, asset: Asset) -> Path:
        return self._folder / f"{asset.asset_id}.photo"

    def _record(self, asset: Asset) -> Path:
        return self._folder / f"{asset.asset_id}.json"

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_bytes(data)
        unfinished.replace(path)


class AssetStore:
    """Every asset, safe to use from many threads.

    The bytes are kept in memory, or under `folder` when one is given. Above `max_bytes` the oldest photos'
    bytes are dropped and their records stay.
    """

    def __init__(self, *, folder: Path | None = None, max_bytes: int = DEFAULT_MAX_BYTES):
        self._lock = threading.Lock()
        self._shelf = FolderShelf(folder) if folder else MemoryShelf()
        self._max_bytes = max_bytes
        self._assets: dict[tuple[str, str], Asset] = {}
        self._kept: OrderedDict[tuple[str, str], int] = OrderedDict()  # sizes of the bytes still held, oldest first
        for asset in self._shelf.remembered():
            self._assets[asset.key] = asset
            if self._shelf.get(asset) is not None:
                self._keep(asset)

    def __len__(self) -> int:
        return len(self._assets)

    def __iter__(self) -> Iterator[Asset]:
        """The assets as they are now, by type and public_id."""
        with self._lock:
            return iter(sorted(self._assets.values(), key=lambda asset: asset.key))

    @property
    def kept_bytes(self) -> int:
        with self._lock:
            return sum(self._kept.values())

    def find(self, *, type: str = "upload", public_id: str) -> Asset | None:
        return self._assets.get((type, public_id))

    def read(self, asset: Asset) -> bytes | None:
        """The photo's bytes, None once they were dropped because of the cap."""
        with self._lock:
            return self._shelf.get(asset)

    def store(
        self, *, public_id: str, type: str, photo: Photo, picture: Picture, overwrite: bool, details: dict
    ) -> tuple[Asset, bool]:
        """Keep the photo under its public_id; return the asset, and whether there was one before.

        A second photo replaces the first with the next version; with `overwrite` off the first one stays.
        """
        with self._lock:
            before = self._assets.get((type, public_id))
            if before and not overwrite:
                return before, True
            asset = _next_version(before, public_id, type, photo, picture, details)
            self._assets[asset.key] = asset
            self._shelf.put(asset, photo.data)
            self._keep(asset)
            return asset, before is not None

    def remove(self, *, type: str = "upload", public_id: str) -> bool:
        """Forget the asset and its bytes; False when there was none."""
        with self._lock:
            asset = self._assets.pop((type, public_id), None)
            if asset is None:
                return False
            self._kept.pop(asset.key, None)
            self._shelf.forget(asset)
            return True

    def clear(self) -> None:
        for asset in self:
            self.remove(type=asset.type, public_id=asset.public_id)

    def _keep(self, asset: Asset) -> None:
        self._kept.pop(asset.key, None)
        self._kept[asset.key] = asset.bytes
        total = sum(self._kept.values())
        while total > self._max_bytes:
            key, size = self._kept.popitem(last=False)
            self._shelf.drop_bytes(self._assets[key])
            total -= size


def _next_version(
    before: Asset | None, public_id: str, type: str, photo: Photo, picture: Picture, details: dict
) -> Asset:
    now = time.time()
    written = {
        "version_id": secrets.token_hex(16),
        "bytes": photo.size,
        "etag": photo.etag,
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "stored_at": now,
        "details": details,
    }
    if before:
        # Cloudinary's version is the second of storing; two within one second still have to differ.
        version = max(int(now), before.version + 1)
        return replace(before, version=version, times_stored=before.times_stored + 1, **written)
    created_at = datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = {"public_id": public_id, "type": type, "asset_id": secrets.token_hex(16)}
    return Asset(**identity, version=int(now), created_at=created_at, **written)
