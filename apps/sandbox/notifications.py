"""Cloudinary's notifications: what an upload has stored is posted, signed, to the address that its form names.

https://cloudinary.com/documentation/notifications
"""

import http.client
import ipaddress
import json
import logging
import secrets
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from urllib.parse import urlsplit

from apps.sandbox.cloud import Cloud
from apps.sandbox.journal import Notice
from apps.sandbox.signatures import sign_notification

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30
NOT_TOLD = {"signature", "api_key"}  # of the answer to an upload


@dataclass(frozen=True)
class Notification:
    url: str
    fields: dict
    algorithm: str
    secret: str

    def forged(self) -> "Notification":
        """One that somebody else sends, who does not know the secret."""
        fields = self.fields | {"bytes": self.fields["bytes"] + 1, "etag": "f" * 32}
        return replace(self, fields=fields, secret=secrets.token_hex(16))

    def send(self) -> int:
        """Returns the status of the response; 0 without one."""
        body = json.dumps(self.fields).encode()
        timestamp = str(int(datetime.now(timezone.utc).timestamp()))
        headers = {
            "Content-Type": "application/json",
            "X-Cld-Timestamp": timestamp,
            "X-Cld-Signature": sign_notification(body, timestamp, self.secret, algorithm=self.algorithm),
        }
        address = urlsplit(self.url)
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        connection = kinds[address.scheme](address.netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", address.path or "/", body, headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as exc:
            logger.info("No response to a notification: %s", exc)
            return 0
        finally:
            connection.close()


def notify(cloud: Cloud, url: str, fields: dict, *, algorithm: str) -> None:
    """Post what was stored to this address, now or in a thread of its own, as the faults have it.

    Only to this machine, or to a host that `cloud.notifies` names: the address came with a request.
    """
    if not _may_be_told(url, cloud.notifies):
        logger.warning("The sandbox notifies this machine alone, and not %s: see --notify.", url)
        cloud.journal.note_notice(Notice(url, fields["public_id"], "refused"))
        return
    told = {
        "notification_type": "upload",
        "timestamp": datetime.now(timezone.utc).isoformat(),
        "request_id": secrets.token_hex(16),
    }
    told |= {name: value for name, value in fields.items() if name not in NOT_TOLD}
    notification = Notification(url, told, algorithm, cloud.account.api_secret)
    misbehaviour = cloud.faults.draw("notification")
    if "notification_lost" in misbehaviour:
        cloud.journal.note_notice(Notice(url, fields["public_id"], "lost"))
    elif "notification_first" in misbehaviour:
        _deliver(cloud, [notification])
    elif "notification_doubled" in misbehaviour:
        _in_background(cloud, [notification])
        _in_background(cloud, [notification])
    elif "notification_forged" in misbehaviour:
        _in_background(cloud, [notification.forged(), notification])
    else:
        wait = misbehaviour["seconds"] if "notification_delayed" in misbehaviour else 0
        _in_background(cloud, [notification], wait=wait)


def _may_be_told(url: str, hosts: frozenset[str]) -> bool:
    try:
        address = urlsplit(url)
        host = address.hostname or ""
        is_web = address.scheme in ("http", "https") and (address.port is None or address.port > 0)
    except ValueError:
        return False
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    return is_web and (is_here or host in hosts)


def _in_background(cloud: Cloud, notifications: list[Notification], *, wait: float = 0) -> None:
    arguments = {"cloud": cloud, "notifications": notifications, "wait": wait}
    threading.Thread(target=_deliver, kwargs=arguments, name="sandbox-notification", daemon=True).start()


def _deliver(cloud: Cloud, notifications: list[Notification], wait: float = 0) -> None:
    """Each again after the pauses, until it is answered with 200."""
    cloud.stopping.wait(wait)
    for notification in notifications:
        is_forged = notification.secret != cloud.account.api_secret
        for pause in (0, *(() if is_forged else cloud.notification_pauses)):
            if cloud.stopping.wait(pause) or _send(cloud, notification, is_forged) == 200:
                break


def _send(cloud: Cloud, notification: Notification, is_forged: bool) -> int:
    status = notification.send()
    what = "forged" if is_forged else "sent"
    cloud.journal.note_notice(Notice(notification.url, notification.fields["public_id"], what, status))
    return status
