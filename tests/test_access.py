"""Holds the code to tests/access_table.py: walks every route of the URL configuration as everyone the table names."""

import re
import time
from functools import cache
from uuid import uuid4

from django.apps import apps
from django.conf import settings
from django.contrib.admindocs.views import simplify_regex
from django.contrib.auth.models import Group
from django.contrib.auth.tokens import default_token_generator
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client, override_settings, tag
from django.urls import URLPattern, get_resolver
from django.urls.resolvers import RegexPattern
from rq import SimpleWorker

from apps.accounts.emails import enqueue_password_reset
from apps.accounts.models import AuthToken, EmailCode
from apps.accounts.passwords import encode_uid
from apps.accounts.tokens import new_jwt_pair
from apps.guests.links import token_of
from apps.guests.subscriptions import links as guest_email_links
from apps.integrations.keys.scopes import Scope
from apps.integrations.webhooks.emails import tell_that_it_was_disabled
from apps.sandbox.signatures import sign, sign_notification
from apps.support.subscriptions import links as support_links
from apps.tickets.models.transition import record
from apps.tickets.resumable.beginning import begin
from tests.access_table import ADMIN_MODELS, ADMIN_PARTS, ENDPOINTS
from tests.accounts.credentials import bearer_client_for
from tests.case import ApiTestCase, default_queue
from tests.integrations.webhooks.makers import make_delivery, make_endpoint
from tests.makers import (
    PASSWORD,
    client_for,
    guest_client,
    jpeg_bytes,
    key_client,
    make_api_key,
    make_awaited,
    make_guest_link,
    make_image,
    make_kind,
    make_ticket,
    make_user,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ROLES = ("anonymous", "guest", "stranger", "owner", "agent", "operator", "superuser")
MODEL_PAGES = ("", "add/", *(f"<path:object_id>/{page}" for page in ("", "history/", "delete/", "change/")))
ROOT = "/"  # the empty route, as the table spells it
# Who may do what is decided above the database: on SQLite those try who may do all that there is to do.
TRIED = ROLES if connection.vendor == "postgresql" else ("owner", "superuser")
IMAGE = "<any_case_uuid:image_id>"
KEYS = "keys"  # the heading of the last column of ENDPOINTS
INSUFFICIENT = "insufficient_scope"
NO_KEY, UNREAD = "-", "*"
OWNERS_WORDS = "Hail over Burgos"  # in everything of the owner's that has a text


def rows_of(table: str) -> list[list[str]]:
    """The words of each row, the heading left out, and what is said of keys."""
    heading, *rows = [line.split() for line in table.splitlines() if line]
    assert tuple(heading) in (ROLES, (*ROLES, KEYS)), heading
    return [row[: 2 + len(ROLES)] if KEYS in heading else row for row in rows]


def keys_column() -> dict[tuple[str, str], str]:
    """{(method, route): what is said of keys} of the API's rows; "" where nothing is."""
    rows = [line.split() for line in ENDPOINTS.splitlines() if " api/v1/" in line]
    return {(row[0], row[1]): " ".join(row[2 + len(ROLES) :]) for row in rows}


def columns_of(row: list[str], roles, *, first: int) -> list[str]:
    """The row with the columns of these roles alone; those of all roles begin at `first`."""
    return [*row[:first], *(row[first + ROLES.index(role)] for role in roles)]


def lines_of(rows) -> str:
    return "\n".join(" ".join(map(str, row)) for row in rows)


def routes_of(resolver, prefix: str = "") -> dict[str, object]:
    """{route: view} of everything below, as `path` spells routes. The first of a name wins, as in Django."""
    routes = {}
    for entry in resolver.url_patterns:
        spelled = str(entry.pattern)
        route = prefix + (simplify_regex(spelled).lstrip("/") if isinstance(entry.pattern, RegexPattern) else spelled)
        below = {route or ROOT: entry.callback} if isinstance(entry, URLPattern) else routes_of(entry, route)
        routes = below | routes
    return routes


ROUTES = routes_of(get_resolver())


def methods_of(view) -> set[str]:
    """What the class of a view returns; nothing is known of a plain function."""
    view_class = getattr(view, "view_class", None) or getattr(view, "cls", None)
    return {method for method in METHODS if hasattr(view_class, method.lower())}


class TableTests(ApiTestCase):
    """The tables and the URL configuration name the same."""

    def setUp(self):
        super().setUp()
        self.endpoints = rows_of(ENDPOINTS)
        self.parts = tuple(row[0] for row in rows_of(ADMIN_PARTS))
        self.pages = {
            f"admin/{row[0].replace('.', '/')}/{page}" for row in rows_of(ADMIN_MODELS) for page in MODEL_PAGES
        }

    def test_every_route_is_in_a_table(self):
        named = {route for _, route, *_ in self.endpoints} | self.pages
        self.assertEqual([route for route in ROUTES if route not in named and not route.startswith(self.parts)], [])

    def test_every_row_has_a_route(self):
        named = [route for _, route, *_ in self.endpoints] + sorted(self.pages)
        self.assertEqual([route for route in named if route not in ROUTES], [])
        for part in self.parts:
            self.assertIn(part, ROUTES)

    def test_every_method_of_the_api_has_a_row_and_every_row_its_method(self):
        views = {route: view for route, view in ROUTES.items() if route.startswith("api/v1/")}
        offered = {(method, route) for route, view in views.items() for method in methods_of(view)}
        named = {(method, route) for method, route, *_ in self.endpoints if route in views}
        self.assertEqual(named ^ offered, set())

    def test_no_row_is_there_twice(self):
        named = [tuple(row[:2]) for row in self.endpoints] + [row[0] for row in rows_of(ADMIN_MODELS)]
        self.assertEqual(len(named), len(set(named)))


class AccessTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.users = {
            "stranger": self.make_role("users"),
            "owner": self.make_role("users", name=OWNERS_WORDS),
            "agent": self.make_role("support agents", is_staff=True),
            "operator": self.make_role("operators", is_staff=True),
            "superuser": make_user(is_staff=True, is_superuser=True),
        }
        self.owner = self.users["owner"]
        self.ticket = make_ticket(self.owner, num_images=3, title=OWNERS_WORDS)
        self.image = make_image(self.ticket, filename=f"{OWNERS_WORDS}.jpg")
        support_ticket = {"title": OWNERS_WORDS, "body_text": OWNERS_WORDS, "ticket": self.ticket.pk}
        self.owners_client = client_for(self.owner)
        opened = self.owners_client.post("/api/v1/support/tickets/", support_ticket)
        self.support_ticket = apps.get_model("support.SupportTicket").objects.get(pk=opened.json()["id"])
        self.pair = new_jwt_pair(self.owner)
        self.email_code = EmailCode.objects.renew(self.owner)
        self.link = make_guest_link(self.ticket, email="ana@example.com")
        webhook = make_endpoint(self.owner, description=OWNERS_WORDS)
        self.delivery = make_delivery(webhook, status="failed", answer=OWNERS_WORDS)
        self.places = {
            "<int:ticket_id>": self.ticket.pk,
            "<int:guest_link_id>": self.link.pk,
            "<int:link_id>": self.link.pk,
            "<int:api_key_id>": make_api_key(self.owner, name=OWNERS_WORDS)[0].pk,
            "u/<str:token>/": f"u/{token_of(self.link)}/",
            "guest-emails/<str:token>/": guest_email_links.url_of(self.link.pk).partition("//")[2].partition("/")[2],
            "<any_case_uuid:image_id>": self.image.pk,
            "<any_case_uuid:upload_id>": uuid4(),
            "<int:webhook_id>": self.delivery.endpoint_id,
            "<int:endpoint_id>": self.delivery.endpoint_id,
            "<int:delivery_id>": self.delivery.pk,
            "<int:support_ticket_id>": self.support_ticket.pk,
            "support/subscription/<str:token>/": support_links.url_of(self.support_ticket.pk)
            .partition("//")[2]
            .partition("/")[2],
            "verify-email/<str:token>/": self.email_code.link.partition("//")[2].partition("/")[2],
            "<slug:name>": make_kind().name,
            "<id>": self.owner.pk,
            "<app_label>": "tickets",
            "<url>": "nothing/",
            "<path:content_type_id>": ContentType.objects.get_for_model(self.ticket).pk,
            "<path:object_id>": self.ticket.pk,
        }

    @staticmethod
    def make_role(group: str, **fields):
        user = make_user(**fields)
        user.groups.add(Group.objects.get(name=group))
        return user

    def path_of(self, route: str, **places) -> str:
        """The address of the owner's thing. Fails for a placeholder that is new here."""
        path = route
        for place, value in (self.places | places).items():
            path = path.replace(place, str(value))
        self.assertNotRegex(path, "[<>]", f"add what stands for it to `places`: {route}")
        return f"/{path.removeprefix(ROOT)}"

    def body_of(self, method: str, route: str) -> dict:
        """What makes the request a good one. Of GET it would become the query."""
        if method == "GET":
            return {}
        auth, tickets, support = "api/v1/auth", "api/v1/tickets", "api/v1/support/tickets"
        webhooks = "api/v1/webhooks"
        new_user = {"username": "newcomer", "email": "newcomer@example.com", "password": PASSWORD}
        login = {"username": self.owner.username, "password": PASSWORD}
        new_password = {"new_password": "another-horse-battery"}
        reset = {"uid": encode_uid(self.owner.pk), "token": default_token_generator.make_token(self.owner)}
        return {
            f"{auth}/register/": new_user,
            f"{auth}/users/": new_user,
            f"{auth}/login/": login,
            f"{auth}/users/set_password/": {"current_password": PASSWORD} | new_password,
            f"{auth}/users/reset_password/": {"email": self.owner.email},
            f"{auth}/users/reset_password_confirm/": reset | new_password,
            f"{auth}/verify-email/": {"code": self.email_code.code},
            f"{auth}/jwt/create/": login,
            f"{auth}/jwt/refresh/": {"refresh": str(self.pair)},
            f"{auth}/jwt/verify/": {"token": str(self.pair)},
            f"{tickets}/": {"num_images": 3},
            f"{tickets}/<int:ticket_id>/direct-uploads/": {"filename": "photo.jpg"},
            f"{webhooks}/": {"url": "http://127.0.0.1:8021/"},
            f"{webhooks}/<int:webhook_id>/recover/": {"since": "2026-11-21"},
            "api/v1/api-keys/": {"name": "Order system", "scopes": ["tickets:read"]},
            f"{support}/": {"title": "Help", "body_text": "Please"},
            f"{support}/<int:support_ticket_id>/": {"status": "FR"},
            f"{support}/<int:support_ticket_id>/messages/": {"text": "Thanks"},
            "admin/accounts/user/<id>/password/": {
                "password1": "another-horse-battery",
                "password2": "another-horse-battery",
                "usable_password": "true",
                "set-password": "1",
            },
        }.get(route, {})

    def outcome(self, client, method: str, path: str, body=None, **extra) -> str:
        """The status of the response, or `login`. What the request did to the database is undone."""
        with transaction.atomic():
            send = client.generic if isinstance(body, bytes) else getattr(client, method.lower())
            arguments = (method, path, body) if isinstance(body, bytes) else (path, body or {})
            response = send(*arguments, **extra)
            if response.streaming:
                response.getvalue()
            transaction.set_rollback(True)
        self.code = getattr(response, "problem_code", None)
        if response.status_code == 302 and response["Location"].startswith("/admin/login/"):
            return "login"
        return str(response.status_code)


@override_settings(DIRECT_UPLOADS=True)
class EndpointTests(AccessTestCase):
    def setUp(self):
        super().setUp()
        connection = default_queue().connection
        SimpleWorker([default_queue()], connection=connection).register_birth()  # or readyz would say 503

    def outcome_of(self, method: str, route: str, client) -> str:
        if (method, route) == ("POST", "api/v1/tickets/<int:ticket_id>/images/"):
            photo = SimpleUploadedFile("photo.jpg", jpeg_bytes(), "image/jpeg")
            return self.outcome(client, method, self.path_of(route), {"image": photo}, format="multipart")
        if route.endswith(("/confirm/", "/direct-uploads/<any_case_uuid:image_id>/")):
            awaited = make_awaited(self.ticket, position=2)
            answer = {"public_id": awaited.public_id, "version": "1"}
            answer = {"signature": sign(answer, "sandbox-secret", version=1)} | answer | {"version": 1}
            outcome = self.outcome(client, method, self.path_of(route, **{IMAGE: awaited.pk}), answer)
            awaited.delete()
            return outcome
        if route == "api/v1/cloudinary/notifications/":
            moment = str(int(time.time()))
            signed = {"HTTP_X_CLD_TIMESTAMP": moment}
            signed["HTTP_X_CLD_SIGNATURE"] = sign_notification(b"{}", moment, "sandbox-secret", algorithm="sha1")
            return self.outcome(client, method, self.path_of(route), b"{}", **signed)
        if "/uploads/" in route:
            # A new one for each: Redis does not undo what the request before did to it.
            upload = begin(ticket=self.ticket, user=self.owner, length=1000)
            path = self.path_of(route, **{"<any_case_uuid:upload_id>": upload.id})
            tus = {"HTTP_TUS_RESUMABLE": "1.0.0", "HTTP_UPLOAD_LENGTH": "1000", "HTTP_UPLOAD_OFFSET": "0"}
            return self.outcome(client, method, path, b"", content_type="application/offset+octet-stream", **tus)
        return self.outcome(client, method, self.path_of(route), self.body_of(method, route))

    def assert_table(self, rows, clients, *, roles=TRIED):
        found = [
            [method, route, *(self.outcome_of(method, route, clients(role)) for role in roles)]
            for method, route, *_ in rows
        ]
        self.maxDiff = None
        self.assertEqual(lines_of(found), lines_of(columns_of(row, roles, first=2) for row in rows))

    def test_with_opaque_tokens(self):
        clients = {role: client_for(self.users.get(role)) for role in ROLES} | {"guest": guest_client(self.link)}
        self.assert_table([row for row in rows_of(ENDPOINTS) if not row[1].startswith("admin/")], clients.get)

    @tag("any_database")
    def test_with_jwts(self):
        clients = {role: bearer_client_for(user) for role, user in self.users.items()}
        rows = [row for row in rows_of(ENDPOINTS) if not row[1].startswith("admin/")]
        self.assert_table(rows, clients.get, roles=self.users)

    def test_every_row_of_the_api_says_what_keys_may(self):
        spelled = "|".join(map(re.escape, Scope.values))
        said = re.compile(f"({spelled})(,({spelled}))*|[{NO_KEY}{UNREAD}]")
        lacking = [" ".join(row) for row, keys in keys_column().items() if not said.fullmatch(keys)]
        self.assertEqual(
            lacking,
            [],
            "\nAdd one more word to the end of these rows of ENDPOINTS in tests/access_table.py: the scopes, separated "
            f"by commas, of which each alone allows it to an API key; or {NO_KEY} if no key may; or {UNREAD} if the "
            "view reads no credentials. And the same, by the name of the route, to RIGHTS in "
            f"apps/integrations/keys/scopes.py. Scopes: {', '.join(Scope.values)}.",
        )

    @tag("any_database")
    def test_with_keys(self):
        every = tuple(Scope)
        client_with = cache(lambda scopes: key_client(make_api_key(self.owner, scopes=scopes)[1]))
        found, expected = [], []

        def try_(scopes, *, expect: tuple):
            outcome = self.outcome_of(method, route, client_with(scopes))
            found.append((method, route, *scopes, outcome, self.code == INSUFFICIENT))
            expected.append((method, route, *scopes, *expect))

        for method, route, anonymous, _guest, _stranger, owner, *_ in rows_of(ENDPOINTS):
            keys = keys_column().get((method, route), "")
            fit = [scope for scope in every if scope in keys.split(",")]
            others = tuple(scope for scope in every if scope not in fit)
            for scope in fit:
                try_((scope,), expect=(owner, False))
            if keys and others:
                try_(others, expect=(anonymous, False) if keys == UNREAD else ("403", True))
        told = zip(found, expected, strict=True)
        wrong = [f"{' '.join(map(str, is_))}; expected: {should[-2:]}" for is_, should in told if is_ != should]
        self.maxDiff = None
        self.assertEqual(
            wrong,
            [],
            "\nEach: method, route, the key's scopes, status, whether the scopes were too few. The last words of these "
            "rows in tests/access_table.py and RIGHTS in apps/integrations/keys/scopes.py differ.",
        )

    def test_in_the_admin(self):
        rows = [row for row in rows_of(ENDPOINTS) if row[1].startswith("admin/")]
        self.assert_table(rows, Sessions(self.users))

    def test_guest_reaches_no_other_ticket_of_the_owner(self):
        """Although to the rest of hopla a guest is the owner."""
        other = make_ticket(self.owner, num_images=3)
        others = {"<int:ticket_id>": other.pk, "<any_case_uuid:image_id>": make_image(other).pk}
        others["<int:guest_link_id>"] = make_guest_link(other).pk
        others["<any_case_uuid:upload_id>"] = begin(ticket=other, user=self.owner, length=1000).id
        tus = {"HTTP_TUS_RESUMABLE": "1.0.0"}
        client, tried = guest_client(self.link), 0
        for method, route, _anonymous, guest, *_ in rows_of(ENDPOINTS):
            if "<int:ticket_id>" in route and route.startswith("api/"):
                expected = "403" if guest == "403" else "404"
                path = self.path_of(route, **others)
                self.assertEqual(
                    self.outcome(client, method, path, self.body_of(method, route), **tus), expected, route
                )
                tried += expected == "404"
        self.assertGreaterEqual(tried, 5)

    def test_methods_without_a_row_are_refused_to_everyone(self):
        named = {(method, route) for method, route, *_ in rows_of(ENDPOINTS)}
        client = client_for(self.users["superuser"])
        for route, view in ROUTES.items():
            for method in METHODS:
                is_offered = (method, route) in named or (method == "HEAD" and ("GET", route) in named)
                if methods_of(view) and route.startswith("api/v1/") and not is_offered:
                    path = self.path_of(route)
                    self.assertEqual(self.outcome(client, method, path), "405", (method, route))

    def text_read(self, client, route: str) -> str:
        return client.get(self.path_of(route)).getvalue().decode(errors="replace")

    def test_stranger_reads_nothing_of_the_owners(self):
        read = 0
        client = client_for(self.users["stranger"])
        for method, route, *_ in rows_of(ENDPOINTS):
            if method == "GET" and route.startswith("api/v1/"):
                self.assertNotIn(OWNERS_WORDS, self.text_read(client, route), route)
                read += OWNERS_WORDS in self.text_read(self.owners_client, route)
        self.assertGreaterEqual(read, 6, "the owner reads those words, so their absence says something")


class AdminModelTests(AccessTestCase):
    def setUp(self):
        super().setUp()
        self.pair.blacklist()
        support_email = apps.get_model("support.Email").objects.first()
        removal = apps.get_model("tickets.AssetRemoval").objects.create(public_id="gone", due_at=self.ticket.created_at)
        record(ticket_id=self.ticket.pk, from_status="pending", to_status="in_progress")
        tell_that_it_was_disabled(self.delivery.endpoint)
        self.objects = {
            "accounts.user": make_user(),
            "accounts.authtoken": AuthToken.objects.first(),
            "auth.group": Group.objects.first(),
            "token_blacklist.outstandingtoken": self.pair_row("outstandingtoken"),
            "token_blacklist.blacklistedtoken": self.pair_row("blacklistedtoken"),
            "tickets.ticket": self.ticket,
            "tickets.image": self.image,
            "tickets.assetremoval": removal,
            "tickets.ticketkind": make_kind(),
            "tickets.transition": apps.get_model("tickets.Transition").objects.first(),
            "support.supportticket": self.support_ticket,
            "support.email": support_email,
            "guests.guestlink": self.link,
            "integrations.endpoint": self.delivery.endpoint,
            "integrations.delivery": self.delivery,
            "integrations.event": self.delivery.event,
            "integrations.webhookemail": apps.get_model("integrations.WebhookEmail").objects.first(),
            "integrations.apikey": make_api_key(self.owner)[0],
            "guests.guestemail": apps.get_model("guests.GuestEmail").objects.first(),
        }

    @staticmethod
    def pair_row(model: str):
        return apps.get_model(f"token_blacklist.{model}").objects.first()

    def letters(self, label: str, client) -> str:
        app_label, model = label.split(".")

        def outcome(method, page, body=None):
            route = f"admin/{app_label}/{model}/{page}"
            path = self.path_of(route, **{"<path:object_id>": self.objects[label].pk})
            return self.outcome(client(), method, path, body)

        seen = {outcome("GET", page) for page in ("", "<path:object_id>/change/", "<path:object_id>/history/")}
        if seen == {"login"}:
            return "login"
        self.assertIn(seen, ({"200"}, {"403"}), label)
        pages = {
            "V": seen == {"200"},
            "A": outcome("GET", "add/") == "200",
            "C": outcome("POST", "<path:object_id>/change/") != "403",
            "D": outcome("POST", "<path:object_id>/delete/", {"post": "yes"}) == "302",
        }
        return "".join(letter for letter, open_ in pages.items() if open_) or "-"

    def test_rows_in_the_admin(self):
        sessions, rows = Sessions(self.users), rows_of(ADMIN_MODELS)
        found = [[row[0], *(self.letters(row[0], lambda r=role: sessions(r)) for role in TRIED)] for row in rows]
        self.maxDiff = None
        self.assertEqual(lines_of(found), lines_of(columns_of(row, TRIED, first=1) for row in rows))


@tag("any_database")
class AdminPartTests(AccessTestCase):
    def test_parts_of_the_admin(self):
        enqueue_password_reset("ana@example.com", language="en")
        (job_id,) = default_queue().job_ids
        sessions, rows = Sessions(self.users), rows_of(ADMIN_PARTS)
        found = [[row[0], *(self.entrance(row[0], job_id, sessions, role) for role in ROLES)] for row in rows]
        self.assertEqual(lines_of(found), lines_of(rows))

    def entrance(self, part: str, job_id: str, sessions, role: str) -> str:
        """`login` or 403 when every page of the part says so to both methods; `in` past the door, whatever is there."""
        outcomes = set()
        for route in ROUTES:
            if route.startswith(part):
                path = re.sub("<int:[a-z_]+>", "0", route).replace("<str:job_id>", job_id)
                for method in ("GET", "POST"):
                    outcome = self.outcome(sessions(role), method, "/" + re.sub("<[^>]+>", "x", path))
                    outcomes.add(outcome if outcome in ("login", "403") else "in")
        return "/".join(sorted(outcomes))


class Sessions:
    """Calls answer a fresh client in the role's session: a view that logs out must not do so for the next."""

    def __init__(self, users: dict):
        self.keys = {}
        for role, user in users.items():
            client = Client()
            client.force_login(user)
            self.keys[role] = client.cookies[settings.SESSION_COOKIE_NAME].value

    def __call__(self, role: str) -> Client:
        client = Client(raise_request_exception=False)
        if role in self.keys:
            client.cookies[settings.SESSION_COOKIE_NAME] = self.keys[role]
        return client
