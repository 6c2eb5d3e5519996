"""One cloud: its account, its assets, the journal of requests, and the faults in force."""

import threading
from dataclasses import dataclass, field
from urllib.parse import quote

from apps.sandbox.account import Account
from apps.sandbox.assets import Asset, AssetStore
from apps.sandbox.faults import Faults, Misbehaviour
from apps.sandbox.forms import Photo
from apps.sandbox.journal import Journal
from apps.sandbox.signatures import delivery_signatures

FREE_PLAN_IMAGE_MAX_BYTES = 10 * 1024 * 1024


@dataclass
class Cloud:
    account: Account
    assets: AssetStore
    faults: Faults = field(default_factory=Faults)
    journal: Journal = field(default_factory=Journal)
    latency_seconds: float = 0.0
    image_max_bytes: int = FREE_PLAN_IMAGE_MAX_BYTES
    notifies: frozenset[str] = frozenset()  # hosts, besides this machine
    notification_pauses: tuple[float, ...] = (1, 5, 15)  # seconds, before each repetition
    stopping: threading.Event = field(default_factory=threading.Event)

    def delivery_url(self, asset: Asset, *, base_url: str) -> str:
        """Where the original can be fetched; signed when the asset's type is not public."""
        source = quote(f"{asset.public_id}.{asset.format}")
        path = [base_url, self.account.cloud_name, "image", asset.type]
        if asset.type != "upload":
            path.append(min(delivery_signatures(source, self.account.api_secret), key=len))
        return "/".join([*path, f"v{asset.version}", source])


@dataclass(frozen=True)
class Request:
    """A request read to its end. `path` is still percent-encoded; `fields` come from the query and the body."""

    method: str
    path: str
    headers: dict
    fields: dict[str, list[str]]
    base_url: str
    photo: Photo | None = None
    misbehaviour: Misbehaviour = field(default_factory=Misbehaviour)

    @property
    def params(self) -> dict[str, str]:
        """One string for each field; lists are joined by commas, the way they are signed."""
        return {name: ",".join(values) for name, values in self.fields.items()}
