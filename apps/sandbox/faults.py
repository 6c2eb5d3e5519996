"""How the sandbox is told to misbehave: rules that say what goes wrong, with which action, and how often."""

import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import formatdate

from apps.sandbox.responses import HTML, Refused, Response, json_response

ACTIONS = ("upload", "destroy", "admin", "delivery", "notification")
API = ("upload", "destroy", "admin")  # what a rule for "any" means

# Each kind with its parameters and their defaults. A fault that needs a stored photo, or a response to spoil, changes
# nothing when the action fails anyway.
KINDS: dict[str, dict] = {
    "latency": {"seconds": 1.0},  # before anything is stored; comes on top of other faults
    "admin_lag": {"seconds": 5.0},  # an asset is invisible to the Admin API for so long after it was stored
    "wrong_credentials": {},  # 401 to everything
    "refuse": {
        "status": 503,
        "message": None,
        "headers": None,
        "body": None,  # instead of the JSON error, sent as HTML
        "retry_after": None,  # seconds
        "reset_in_seconds": 60,  # of a 420: when its X-FeatureRateLimit-Reset lies
    },
    "drop_before_reading": {},
    "reset_before_storing": {},
    "hang": {"seconds": 600.0},  # nothing stored, no response
    "store_then_hang": {"seconds": 600.0},
    "store_then_drop": {},
    "store_then_500": {},
    "store_half": {},  # half of the bytes are stored, and the response says so
    "drip": {"interval_seconds": 1.0},  # the response, byte by byte, headers too
    "cut_answer": {},  # half of the promised Content-Length, then the connection closes
    "truncated_json": {},
    "null_body": {},
    "html_page": {},  # with status 200
    "wrong_public_id": {},
    "wrong_etag": {},
    "wrong_bytes": {},
    # Of a notification.
    "notification_lost": {},
    "notification_doubled": {},  # both at once
    "notification_forged": {},  # one with another size and no true signature comes before it
    "notification_delayed": {"seconds": 5.0},
    "notification_first": {},  # before the upload's own answer
}
COMPANIONS = ("latency", "admin_lag")  # all that fire apply; of the other kinds the first one that fires
OF_NOTIFICATIONS = {kind for kind in KINDS if kind.startswith("notification_")}
DEFAULT_ACTIONS = {"admin_lag": "admin", "wrong_credentials": "any", **dict.fromkeys(OF_NOTIFICATIONS, "notification")}

MESSAGES = {
    400: "Invalid image file",
    401: "Invalid Signature 0000000000000000000000000000000000000000. String to sign - 'timestamp=1'.",
    403: "This action is not allowed for your account",
    404: "Resource not found",
    409: "Resource already exists",
    420: "Rate Limit Exceeded. Limit of 500 api operations reached. Try again on {reset} UTC",
    423: "Resource is locked",
    429: "Too many requests",
    500: "General Error",
    503: "Service Unavailable",
}
GATEWAY_PAGE = "<html><head><title>{status}</title></head><body><h1>{status} Bad Gateway</h1></body></html>"


class FaultError(ValueError):
    """The rule names an unknown kind, action or parameter, or a value that makes no sense."""


@dataclass(eq=False)
class Fault:
    """One rule. Without `times` it applies for ever; `rate` is its probability, 0 to 1; `fired` counts."""

    kind: str
    action: str
    parameters: dict
    times: int | None = None
    rate: float = 1.0
    fired: int = 0

    def concerns(self, action: str) -> bool:
        worn_out = self.times is not None and self.fired >= self.times
        return not worn_out and (self.action == action or (self.action == "any" and action in API))

    def as_dict(self) -> dict:
        rule = {"kind": self.kind, "action": self.action, "times": self.times, "rate": self.rate, "fired": self.fired}
        return rule | self.parameters


@dataclass(frozen=True)
class Misbehaviour:
    """What goes wrong with one request. `fault` is None when it is only slow."""

    latency_seconds: float = 0.0
    admin_lag_seconds: float = 0.0
    fault: Fault | None = None

    def __contains__(self, kind: str) -> bool:
        return self.fault is not None and self.fault.kind == kind

    def __getitem__(self, parameter: str):
        return self.fault.parameters[parameter]


def make_fault(kind: str, *, action: str | None = None, times: int | None = None, rate: float = 1.0, **given) -> Fault:
    """A rule of KINDS. `action` is one of ACTIONS or "any". Raises FaultError."""
    if kind not in KINDS:
        raise FaultError(f"There is no fault {kind!r}. There are: {', '.join(KINDS)}.")
    action = action or DEFAULT_ACTIONS.get(kind, "upload")
    if action not in (*ACTIONS, "any"):
        raise FaultError(f"There is no action {action!r}. There are: any, {', '.join(ACTIONS)}.")
    if (kind in OF_NOTIFICATIONS) != (action == "notification"):
        raise FaultError(f"{kind} is no fault of {action}.")
    unknown = given.keys() - KINDS[kind].keys()
    if unknown:
        raise FaultError(f"{kind} takes no {', '.join(sorted(unknown))}.")
    if not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise FaultError("rate is a number from 0 to 1.")
    if times is not None and (not isinstance(times, int) or times < 1):
        raise FaultError("times is a whole number from 1 on, or null.")
    for name, value in given.items():
        _check_parameter(name, value)
    return Fault(kind, action, KINDS[kind] | given, times=times, rate=rate)


def _check_parameter(name: str, value) -> None:
    if name in ("seconds", "interval_seconds", "reset_in_seconds"):
        is_good, wanted = isinstance(value, int | float) and value >= 0, "a number of seconds"
    elif name == "status":
        is_good, wanted = isinstance(value, int) and 200 <= value <= 599, "an HTTP status from 200 on"
    elif name == "headers":
        is_good, wanted = value is None or isinstance(value, dict), "an object"
    else:
        return
    if not is_good:
        raise FaultError(f"{name} is {wanted}.")


class Faults:
    """The rules in force, in order. Thread-safe. With the same seed, chance repeats itself."""

    def __init__(self, *, seed: int = 0):
        self._lock = threading.Lock()
        self.set([], seed=seed)

    def set(self, rules: Iterable[Fault], *, seed: int = 0) -> None:
        with self._lock:
            self.rules, self.seed, self._dice = list(rules), seed, random.Random(seed)  # noqa: S311

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self.rules.append(fault)
        return fault

    def lift(self, fault: Fault) -> None:
        with self._lock:
            if fault in self.rules:
                self.rules.remove(fault)

    def clear(self) -> None:
        with self._lock:
            self.rules.clear()

    def draw(self, action: str) -> Misbehaviour:
        """Decide by chance which rules apply to one request, and count their use."""
        with self._lock:
            fired: list[Fault] = []
            for rule in self.rules:
                decided = any(fault.kind not in COMPANIONS for fault in fired)
                if not rule.concerns(action) or (decided and rule.kind not in COMPANIONS):
                    continue
                if rule.rate < 1 and self._dice.random() >= rule.rate:
                    continue
                rule.fired += 1
                fired.append(rule)
        return Misbehaviour(
            latency_seconds=sum(fault.parameters["seconds"] for fault in fired if fault.kind == "latency"),
            admin_lag_seconds=sum(fault.parameters["seconds"] for fault in fired if fault.kind == "admin_lag"),
            fault=next((fault for fault in fired if fault.kind not in COMPANIONS), None),
        )


def refusal(fault: Fault) -> Response:
    """The response of a `refuse` rule, with the headers that Cloudinary sends along with its status."""
    status, asked = fault.parameters["status"], fault.parameters
    reset = time.time() + asked["reset_in_seconds"]
    headers = {str(name): str(value) for name, value in (asked["headers"] or {}).items()}
    if status == 420:
        limits = {"Limit": "500", "Remaining": "0", "Reset": formatdate(reset, usegmt=True)}
        headers = {f"X-FeatureRateLimit-{name}": value for name, value in limits.items()} | headers
    retry_after = 1 if status == 429 and asked["retry_after"] is None else asked["retry_after"]
    if retry_after is not None:
        headers = {"Retry-After": str(retry_after)} | headers
    page = asked["body"] or (GATEWAY_PAGE.format(status=status) if status in (502, 504) else None)
    if page:
        return Response(status=status, body=page.encode(), content_type=HTML, headers=headers)
    until = datetime.fromtimestamp(reset, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    message = asked["message"] or MESSAGES.get(status, "General Error").format(reset=until)
    return Refused(status, message, headers).response()


def spoil(response: Response, fault: Fault) -> Response:
    """The response as a faulty server would send it, unchanged for kinds of faults that do not concern it."""
    kind = fault.kind
    if kind == "truncated_json":
        return Response(status=response.status, body=response.body[: len(response.body) // 2])
    if kind == "null_body":
        return Response(status=response.status, body=b"null")
    if kind == "html_page":
        return Response(body=b"<html><body>Welcome to the captive portal</body></html>", content_type=HTML)
    return response


def spoil_fields(fields: dict, fault: Fault) -> dict:
    """The fields of a good response with the one that the rule names made wrong."""
    if fault.kind == "wrong_public_id":
        return fields | {"public_id": fields["public_id"] + "-of-another"}
    if fault.kind == "wrong_etag":
        return fields | {"etag": "0" * 32}
    if fault.kind == "wrong_bytes":
        return fields | {"bytes": fields["bytes"] + 1}
    return fields


def after_storing_500() -> Response:
    return json_response({"error": {"message": "General Error"}}, status=500)
