"""What script/server prints once everything is up: where everything is, and a first session to paste."""

import os
import shlex
import sys

from apps.accounts.management.commands.make_demo_user import PASSWORD, USERNAME
from script.install import ROOT

PLACES = """
hopla is up at {url}   (Ctrl-C stops it)

  documentation  {url}/documentation/
  ReDoc          {url}/redoc/
  admin          {url}/admin/
  database       {database}
  Redis          {redis}
  Cloudinary     {cloudinary}
"""

SQLITE_AS_WELL = """
                 (what is in var/db.sqlite3 is still there: DATABASE_URL=sqlite:///var/db.sqlite3 script/server)"""

SAME_SERVERS = """
So that manage.py works on the same data, in another terminal:

export {variables}
"""

# Must work when pasted into sh, bash or zsh: so no comments, which zsh takes for commands, and no jq, which few have.
SESSION = """
The user {username} with the password {password} may do everything. Two photos of a first ticket, to paste in another
terminal (photos of your own do as well, in the folder that PHOTOS names):

API={url}/api/v1
JSON='Content-Type: application/json'
PHOTOS=$(mktemp -d)
{python} -c 'import sys
from PIL import Image
for n in (1, 2):
    Image.effect_mandelbrot((1600, 1200), (-2.2, -1.2, 1, 1.2), 30 * n).save(f"{{sys.argv[1]}}/photo-{{n}}.jpg")
' "$PHOTOS"
TOKEN=$(curl -s "$API/auth/login/" -H "$JSON" -d '{{"username": "{username}", "password": "{password}"}}' |
  sed 's/.*"token": *"\\([^"]*\\)".*/\\1/')
AUTH="Authorization: Token $TOKEN"
TICKET=$(curl -s "$API/tickets/" -H "$AUTH" -H "$JSON" -d '{{"num_images": 2}}' |
  sed 's/.*"ticket_id": *\\([0-9]*\\).*/\\1/')
for PHOTO in "$PHOTOS"/*; do
  curl -s "$API/tickets/$TICKET/images/" -H "$AUTH" -F "image=@$PHOTO"; echo
done
until STATUS=$(curl -s "$API/tickets/$TICKET/status/" -H "$AUTH"); echo "$STATUS" | grep '"completed"'; do
  echo "$STATUS"; sleep 1
done
curl -s "$API/tickets/$TICKET/" -H "$AUTH" | {python} -m json.tool
"""


def welcome(*, url: str, settings, started: dict[str, str]) -> str:
    """`started`: the URLs of the servers that script/server started, by the variable that would name another."""
    places = PLACES.format(
        url=url,
        database=database_of(settings, started=started),
        redis="a private one, in memory only" if "REDIS_URL" in started else "as REDIS_URL says",
        cloudinary=f"the sandbox at {started['CLOUDINARY_URL']}"
        if "CLOUDINARY_URL" in started
        else "as CLOUDINARY_URL says",
    )
    if not settings.DEBUG:
        return places
    if started:
        variables = " ".join(f"{name}={shlex.quote(os.environ[name])}" for name in started)
        places += SAME_SERVERS.format(variables=variables)
    return places + SESSION.format(url=url, username=USERNAME, password=PASSWORD, python=shlex.quote(sys.executable))


def database_of(settings, *, started: dict[str, str]) -> str:
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        return database["NAME"]
    if "DATABASE_URL" not in started:
        return "as DATABASE_URL says"
    left_from_before = (ROOT / "var" / "db.sqlite3").exists()
    return "a private PostgreSQL, its data in var/postgresql" + (SQLITE_AS_WELL if left_from_before else "")
