"""What Schemathesis cannot know by the schema: how to log in, what a photo is, and which codes a refusal may have."""

import os
import re

import requests
import schemathesis

from tests.fuzz.photo import photo

API = os.environ["HOPLA_URL"] + "/api/v1/"
AS_STAFF = os.environ["HOPLA_ROLE"] == "staff"
STAFF = {"username": "demo", "password": "hopla-demo"}  # whom script/server makes
PASSWORD = "correct-horse-battery"
ENDS_ITS_TOKEN = {"/auth/logout/", "/auth/logout-all/"}


def register(username: str) -> dict:
    """Credentials to log in with. A username that is taken stays as it is."""
    credentials = {"username": username, "password": PASSWORD}
    requests.post(API + "auth/register/", json=credentials | {"email": f"{username}@example.com"}, timeout=20)
    return credentials


def token_of(credentials: dict) -> str:
    answer = requests.post(API + "auth/login/", json=credentials, timeout=20)
    answer.raise_for_status()
    return answer.json()["token"]


@schemathesis.auth().apply_to(lambda context: context.operation.path not in ENDS_ITS_TOKEN)
class Session:
    def get(self, case, context):
        return token_of(STAFF if AS_STAFF else register("fuzzer"))

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": f"Token {data}"}


@schemathesis.auth(refresh_interval=None).apply_to(lambda context: context.operation.path in ENDS_ITS_TOKEN)
class SessionOfAnother:
    """Each request has a user of its own: log-out everywhere would end the session of all other requests."""

    count = 0

    def get(self, case, context):
        SessionOfAnother.count += 1
        return token_of(register(f"leaver-{os.getpid()}-{SessionOfAnother.count}"))

    set = Session.set


@schemathesis.hook.apply_to(path="/tickets/{ticket_id}/images/", method="POST")
def map_body(context, body):
    """Half of the files become photos."""
    if isinstance(body, dict) and isinstance(image := body.get("image"), bytes) and len(image) % 2 == 0:
        return body | {"image": photo() + image}
    return body


@schemathesis.check
def published_code(context, response, case):
    """A refusal's code is one that the schema names for this status, unless the schema knows no such method or path."""
    described = case.operation.definition.raw["responses"].get(str(response.status_code))
    if response.status_code < 400 or described is None:
        return
    code = response.json()["code"]
    assert code in re.findall("`([a-z_]+)`", described["description"]), (
        f"{response.status_code} {code} is not published"
    )
