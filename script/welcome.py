"""What script/server prints once everything is up: where everything is, and a first session to paste."""

import io
import os
import shlex
import sys

import segno

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

GUEST = """
The page for guests, who need no account. This link to it is for a damaged car, and is good until the set is
complete, for a month at most:

  {link}
"""

NOT_FOR_PHONES = """
On this machine alone: `script/server --lan` makes a link that a phone can open.
"""

# White on black, whatever the colours of the terminal are.
ON_BLACK, PLAIN = "\033[97;40m", "\033[0m"

OPENED = """
--lan: EVERYONE IN THIS NETWORK CAN REACH THIS DEVELOPMENT SERVER, at {lan_url}. They can log in as {username}
with the password above, who may do everything; DEBUG is on, so that its error pages show code and settings; and nothing
is encrypted on its way. Use it in a network that you trust, for photos that anyone may see, and stop it with Ctrl-C.
A phone that finds nothing there may be in another network, or kept out by a firewall of this machine.
"""


def welcome(
    *, url: str, settings, started: dict[str, str], guest_path: str = "", lan_url: str = "", columns: int = 0
) -> str:
    """`started`: the URLs of the servers that script/server started, by the variable that would name another.
    `guest_path`: of the page for guests, if there is one to try. `columns`: of the terminal; 0 if it is none.
    """
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
    places += SESSION.format(url=url, username=USERNAME, password=PASSWORD, python=shlex.quote(sys.executable))
    if guest_path:
        places += guest_page(link=(lan_url or url) + guest_path, columns=columns)
        places += "" if lan_url else NOT_FOR_PHONES
    return places + (OPENED.format(lan_url=lan_url, username=USERNAME) if lan_url else "")


def guest_page(*, link: str, columns: int) -> str:
    """With its QR code where that fits: in a log, and broken into lines, it would be of no use."""
    lines = qr_code(link)
    fits = len(lines[0]) <= columns
    return GUEST.format(link=link) + ("\n" + "".join(f"{ON_BLACK}{line}{PLAIN}\n" for line in lines) if fits else "")


def qr_code(link: str) -> list[str]:
    """Lines of blocks, which are the light modules."""
    written = io.StringIO()
    segno.make(link, error="l", micro=False).terminal(written, compact=True)
    return written.getvalue().splitlines()


def database_of(settings, *, started: dict[str, str]) -> str:
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        return database["NAME"]
    if "DATABASE_URL" not in started:
        return "as DATABASE_URL says"
    left_from_before = (ROOT / "var" / "db.sqlite3").exists()
    return "a private PostgreSQL, its data in var/postgresql" + (SQLITE_AS_WELL if left_from_before else "")
