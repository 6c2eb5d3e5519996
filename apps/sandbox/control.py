"""The sandbox's own paths under `/_sandbox/`: tell it to misbehave, and see what it has.

| path | GET | PUT | POST | DELETE |
|---|---|---|---|---|
| `/_sandbox/faults` | rules and seed | replace them: `{"seed": 1, "rules": [{"kind", "action", "times", "rate", …}]}` | add one rule | lift all |
| `/_sandbox/assets` | every asset | | | forget all |
| `/_sandbox/requests` | counts by action, uploads received, notifications | | | forget all |
"""  # noqa: E501

import json
from dataclasses import asdict

from apps.sandbox.cloud import Cloud
from apps.sandbox.faults import Fault, FaultError, make_fault
from apps.sandbox.responses import Refused, Response, json_response


def control(cloud: Cloud, method: str, path: str, body: bytes) -> Response:
    """The response to a request below `/_sandbox/`. Raises Refused: 400 for a rule that makes no sense, 404, 405."""
    paths = {"/_sandbox/faults": _faults, "/_sandbox/assets": _assets, "/_sandbox/requests": _requests}
    if path.rstrip("/") not in paths:
        raise Refused(404, f"The sandbox knows no {path}; it has {', '.join(paths)}")
    return paths[path.rstrip("/")](cloud, method, body)


def _faults(cloud: Cloud, method: str, body: bytes) -> Response:
    if method == "PUT":
        asked = _object(body)
        if not isinstance(asked.get("rules", []), list) or not isinstance(asked.get("seed", 0), int):
            raise Refused(400, "rules is a list, seed a whole number")
        cloud.faults.set([_rule(rule) for rule in asked.get("rules", [])], seed=asked.get("seed", 0))
    elif method == "POST":
        cloud.faults.add(_rule(_object(body)))
    elif method == "DELETE":
        cloud.faults.clear()
    elif method != "GET":
        raise Refused(405, "Method not allowed")
    return json_response({"seed": cloud.faults.seed, "rules": [rule.as_dict() for rule in cloud.faults.rules]})


def _assets(cloud: Cloud, method: str, body: bytes) -> Response:
    if method == "DELETE":
        cloud.assets.clear()
    elif method != "GET":
        raise Refused(405, "Method not allowed")
    return json_response({"assets": [asdict(asset) for asset in cloud.assets]})


def _requests(cloud: Cloud, method: str, body: bytes) -> Response:
    if method == "DELETE":
        cloud.journal.clear()
    elif method != "GET":
        raise Refused(405, "Method not allowed")
    uploads = [asdict(arrival) for arrival in cloud.journal.uploads]
    notices = [asdict(notice) for notice in cloud.journal.notices]
    return json_response({"counts": cloud.journal.requests, "uploads": uploads, "notifications": notices})


def _rule(asked) -> Fault:
    if not isinstance(asked, dict) or "kind" not in asked:
        raise Refused(400, "A rule is an object with a kind")
    known = {name: value for name, value in asked.items() if name != "fired"}
    try:
        return make_fault(known.pop("kind"), **known)
    except (FaultError, TypeError) as exc:
        raise Refused(400, str(exc)) from exc


def _object(body: bytes) -> dict:
    try:
        asked = json.loads(body)
    except ValueError as exc:
        raise Refused(400, "The body is not JSON") from exc
    if not isinstance(asked, dict):
        raise Refused(400, "The body is not a JSON object")
    return asked
