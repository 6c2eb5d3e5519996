"""Requests and folders in Postman's collection format 2.1 (https://schema.postman.com/collection/json/v2.1.0/).

What a request expects becomes JavaScript that Postman and newman run after the response.
"""

import json as json_format
import re
from textwrap import dedent

from script.postman.fields import PROBLEM

API = "api/v1/"
NUMBER_MARK = "number:"


def no_auth() -> dict:
    """No credentials, for what needs none."""
    return {"type": "noauth"}


def bearer(variable: str) -> dict:
    """The JWT access token that this variable holds."""
    return {"type": "bearer", "bearer": [{"key": "token", "value": variable_text(variable), "type": "string"}]}


def token(variable: str, *, scheme: str = "Token") -> dict:
    """The opaque token that this variable holds; with `scheme="Guest"` that of a guest link."""
    values = {"key": "Authorization", "value": f"{scheme} {variable_text(variable)}", "in": "header"}
    return {
        "type": "apikey",
        "apikey": [{"key": key, "value": value, "type": "string"} for key, value in values.items()],
    }


def variable_text(name: str) -> str:
    """What Postman replaces by the variable's value."""
    return "{{" + name + "}}"


def number(name: str) -> str:
    """The same within `json`, for a variable whose value is to be sent as a number."""
    return NUMBER_MARK + variable_text(name)


def folder(name: str, about: str, *requests: dict, before: str = "") -> dict:
    """Requests that belong together; `before` is JavaScript that runs ahead of each."""
    return {"name": name, "description": _text(about), "item": list(requests)} | _events(prerequest=before)


def request(
    name: str,
    call: str,
    *,
    about: str,
    status: int,
    has: tuple[str, ...] = (),
    code: str = "",
    errors: tuple[tuple[str, str], ...] = (),
    tests: dict[str, str] | None = None,
    keeps: dict[str, str] | None = None,
    auth: dict | None = None,
    query: tuple[tuple[str, str], ...] = (),
    headers: dict[str, str] | None = None,
    json: dict | None = None,
    raw: str | None = None,
    file: str | None = None,
    before: str = "",
    after: str | None = None,
) -> dict:
    """One call, such as `POST tickets/`, below /api/v1/ unless it begins with a slash.

    Its response has `status`, the fields `has`, for a problem its `code` and, for invalid input, `errors`
    (pairs of field and code). `tests` are JavaScript by the sentence that they prove, `keeps` JavaScript by the
    collection variable that keeps its value; in both, `body` is the JSON of the response. `before` runs ahead of the
    request; `after`, when given, replaces all the tests. `auth` is the user's opaque token when it is None.
    The body: `json`, text that is sent `raw`, or the path of a `file` for the form field `image`.
    """
    method, path = call.split(" ")
    sent = {
        "method": method,
        "header": [{"key": key, "value": value} for key, value in (headers or {}).items()],
        "url": _url(path, query),
        "description": _text(about),
    }
    if auth:
        sent["auth"] = auth
    if json is not None:
        text = _json_text(json)
        sent["body"] = {"mode": "raw", "raw": text, "options": {"raw": {"language": "json"}}}
        sent["header"].append({"key": "Content-Type", "value": "application/json"})
    elif raw is not None:
        sent["body"] = {"mode": "raw", "raw": raw}
    elif file is not None:
        sent["body"] = {"mode": "formdata", "formdata": [{"key": "image", "type": "file", "src": file}]}
    if after is None:
        after = _expectations(status, has, code, errors, tests or {}, keeps or {})
    return {"name": name, "request": sent, "response": []} | _events(prerequest=before, test=after)


def _expectations(status, has, code, errors, tests, keeps) -> str:
    lines = [f'pm.test("its status is {status}", () => pm.response.to.have.status({status}));']
    if code:
        tests = {f"its code is {code}": f'pm.expect(body.code).to.eql("{code}")'} | tests
    if errors:
        pairs = json_format.dumps([list(pair) for pair in errors])
        found = "body.errors.map((error) => [error.field, error.code])"
        names = ", ".join(field for field, _ in errors)
        tests |= {f"it names what is wrong: {names}": f"pm.expect({found}).to.have.deep.members({pairs})"}
    if any("body" in script for script in (*tests.values(), *keeps.values())) or has:
        lines.append("const body = pm.response.json();")
    if has:
        lines.append(f'pm.test("has its fields", () => pm.expect(body).to.include.all.keys({keys(has)}));')
    lines += [f"pm.test({json_format.dumps(name)}, () => {script});" for name, script in tests.items()]
    lines += [f'pm.collectionVariables.set("{name}", {script});' for name, script in keeps.items()]
    return "\n".join(lines)


def keys(names: tuple[str, ...]) -> str:
    """As the arguments of chai's `keys`."""
    return ", ".join(json_format.dumps(name) for name in names)


# What hopla promises for every response.
ALWAYS = f"""
const requestId = pm.response.headers.get("X-Request-ID");
pm.test("carries X-Request-ID", () => pm.expect(requestId).to.be.a("string").that.is.not.empty);
if (pm.response.code >= 400) {{
    pm.test("is a problem document (RFC 9457)", () => {{
        pm.expect(pm.response.headers.get("Content-Type")).to.eql("application/problem+json");
        const problem = pm.response.json();
        pm.expect(problem).to.include.all.keys({keys(PROBLEM)});
        pm.expect(problem.status).to.eql(pm.response.code);
        pm.expect(problem.request_id).to.eql(requestId);
    }});
}}
if (pm.response.code === 401) {{
    pm.test("says how to authenticate", () => pm.response.to.have.header("WWW-Authenticate"));
}}
if (pm.response.code === 429 || pm.response.code === 503) {{
    pm.test("says when to come back", () => pm.response.to.have.header("Retry-After"));
}}
"""


def collection(name: str, about: str, *folders: dict, variables: dict[str, str]) -> dict:
    """The whole file. Each request is sent with the user's opaque token, unless it names something else."""
    return {
        "info": {
            "_postman_id": "5f0c7c0e-5d5a-4d0e-9a57-6a1f5b1f2c94",  # a new one at each making would be a new collection
            "name": name,
            "description": _text(about),
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "item": list(folders),
        "auth": token("token"),
        "variable": [{"key": key, "value": value} for key, value in variables.items()],
    } | _events(test=ALWAYS)


def environment(name: str, values: dict[str, str], *, secret: tuple[str, ...] = ()) -> dict:
    """An environment file: what differs from one server to the next."""
    return {
        "id": "0d4d4a0b-5a0c-4f0e-8b53-0c3c0b8b7a11",
        "name": name,
        "values": [
            {"key": key, "value": value, "type": "secret" if key in secret else "default", "enabled": True}
            for key, value in values.items()
        ],
        "_postman_variable_scope": "environment",
    }


def _json_text(content: dict) -> str:
    text = json_format.dumps(content, indent=2, ensure_ascii=False)
    return re.sub(f'"{NUMBER_MARK}([^"]*)"', r"\1", text)


def _url(path: str, query: tuple[tuple[str, str], ...]) -> dict:
    path = path[1:] if path.startswith("/") else API + path
    raw = "{{baseUrl}}/" + path + ("?" + "&".join(f"{key}={value}" for key, value in query) if query else "")
    url = {"raw": raw, "host": ["{{baseUrl}}"], "path": path.split("/")}
    return url | ({"query": [{"key": key, "value": value} for key, value in query]} if query else {})


def _events(**scripts: str) -> dict:
    events = [
        {"listen": listen, "script": {"type": "text/javascript", "exec": _text(script).split("\n")}}
        for listen, script in scripts.items()
        if script
    ]
    return {"event": events} if events else {}


def _text(text: str) -> str:
    return dedent(text).strip()
