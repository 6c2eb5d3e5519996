"""The collection as a whole, and the environment that goes with script/server."""

from script.postman import items
from script.postman.accounts import JWT, LEAVING, SIGNING_IN, YOU
from script.postman.events import EVENTS
from script.postman.guests import GUESTS
from script.postman.photos import OWN_FILES, UPLOADING
from script.postman.refusals import REFUSALS
from script.postman.staff import STAFF
from script.postman.support import SUPPORT
from script.postman.tickets import LISTING, OPENING, WATCHING
from script.postman.webhooks import WEBHOOKS

ABOUT = """
hopla collects a declared set of photos: open a *ticket* for so many, post them one by one, watch until it is
`completed`.

The folders tell the story of an app from the first sign-in to the last log-out and run in that order, from top to
bottom, as often as you like: each run makes an account of its own. Start hopla with `script/server`, choose the
environment *hopla, local*, and run the collection; `script/newman` does all of that in a terminal. To try a request by
hand, send *Register* first: scripts keep what later requests need (`token`, `ticketId`, …) in the collection's
variables.

Every field and error is described at `{{baseUrl}}/documentation/`. This file is made by `script/make_postman.py`:
change it there.
"""

# Where to find what differs between servers. The collection carries it too: it runs without the environment as well.
LOCAL = {"baseUrl": "http://127.0.0.1:8000", "staffUsername": "demo", "staffPassword": "hopla-demo"}

COLLECTION = items.collection(
    "hopla",
    ABOUT,
    SIGNING_IN,
    YOU,
    OPENING,
    UPLOADING,
    WATCHING,
    OWN_FILES,
    LISTING,
    JWT,
    REFUSALS,
    STAFF,
    SUPPORT,
    GUESTS,
    EVENTS,
    WEBHOOKS,
    LEAVING,
    variables=LOCAL,
)
ENVIRONMENT = items.environment("hopla, local", LOCAL, secret=("staffPassword",))
