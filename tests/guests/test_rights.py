"""`Authorization: Guest`: who gets in, what a guest may do, and as whom. Every route is in access_table.py."""

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import override_settings, skipUnlessDBFeature
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from apps.guests.links import revoke, token_of
from apps.guests.models import GuestLink
from apps.guests.rights import RIGHTS
from apps.tickets.models import IdempotencyKey, Image, Transition
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.makers import client_for, guest_client, jpeg_bytes, make_guest_link, make_image, make_ticket, make_user


def photo(seed: int = 0):
    return {"image": SimpleUploadedFile("photo.jpg", jpeg_bytes(seed), "image/jpeg")}


class GuestTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.ticket = make_ticket(self.owner, num_images=3, reference="ORDER-1", metadata={"branch": "north"})
        self.link = make_guest_link(self.ticket)
        self.guest = guest_client(self.link)
        self.path = f"/api/v1/tickets/{self.ticket.pk}/"

    def send(self, client, seed: int = 0, **headers):
        return client.post(f"{self.path}images/", photo(seed), format="multipart", **headers)


class GettingInTests(GuestTestCase):
    def get(self, authorization: str):
        return self.client.get(self.path, HTTP_AUTHORIZATION=authorization)

    def test_scheme_in_any_case(self):
        for scheme in ("Guest", "GUEST", "guest"):
            self.assertEqual(self.get(f"{scheme} {token_of(self.link)}").status_code, 200)

    def test_unknown_tokens(self):
        for token in ("Guest", "Guest ", "Guest x", "Guest a b", f"Guest {token_of(self.link)}x", "Guest \xfc\x80"):
            with self.subTest(token):
                self.assert_unauthenticated(self.get(token), "guest_link_invalid")

    def test_token_of_a_user_is_none_of_a_guest_nor_the_other_way_round(self):
        self.assertEqual(self.get(f"Token {token_of(self.link)}").status_code, 401)
        self.assertEqual(self.get(f"Bearer {token_of(self.link)}").status_code, 401)

    def test_expired_link(self):
        GuestLink.objects.update(expires_at=timezone.now())
        self.assert_unauthenticated(self.guest.get(self.path), "guest_link_expired")

    def test_revoked_link(self):
        revoke(self.link)
        self.assert_unauthenticated(self.guest.get(self.path), "guest_link_revoked")
        self.assert_unauthenticated(self.send(self.guest), "guest_link_revoked")
        self.assert_nothing_kept()

    def test_link_of_a_deactivated_owner(self):
        type(self.owner).objects.filter(pk=self.owner.pk).update(is_active=False)
        self.assert_unauthenticated(self.guest.get(self.path), "guest_link_revoked")

    def test_use_is_remembered_to_the_minute(self):
        self.guest.get(self.path)
        first = GuestLink.objects.get()
        self.assertEqual(first.opened_at, first.last_used_at)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            self.guest.get(self.path)
        self.assertEqual([query for query in queries if query["sql"].startswith("UPDATE")], [])
        before = first.last_used_at - GuestLink.LAST_USE_PRECISION * 2
        GuestLink.objects.update(last_used_at=before, opened_at=before)
        self.guest.get(self.path)
        self.assertEqual(GuestLink.objects.get().opened_at, before)
        self.assertGreater(GuestLink.objects.get().last_used_at, before)

    def test_users_pay_nothing_for_guests(self):
        client = client_for(self.owner)
        client.get(self.path)
        with CaptureQueriesContext(connection) as queries:
            client.get(self.path)
        self.assertEqual([query for query in queries if "guests_" in query["sql"]], [])


class ReadingTests(GuestTestCase):
    def test_ticket_without_what_is_the_owners(self):
        mine = client_for(self.owner).get(self.path).json()
        theirs = self.guest.get(self.path).json()
        self.assertEqual(mine.keys() - theirs.keys(), {"reference", "metadata"})
        self.assertEqual(theirs, {name: mine[name] for name in theirs})

    def test_status_images_and_kinds(self):
        image = make_image(self.ticket)
        for path in ("status/", "images/", f"images/{image.pk}/"):
            self.assertEqual(self.guest.get(self.path + path).status_code, 200, path)
        self.assertEqual(self.guest.get("/api/v1/kinds/").status_code, 200)

    def test_etag(self):
        etag = self.guest.get(f"{self.path}status/")["ETag"]
        self.assertEqual(self.guest.get(f"{self.path}status/", HTTP_IF_NONE_MATCH=etag).status_code, 304)

    def test_other_tickets(self):
        for owner in (self.owner, make_user(is_staff=True)):
            path = f"/api/v1/tickets/{make_ticket(owner).pk}/"
            for part in ("", "status/", "images/"):
                self.assert_problem(self.guest.get(path + part), 404, "not_found")
            self.assert_problem(self.guest.post(f"{path}images/", photo(), format="multipart"), 404, "not_found")
        self.assert_nothing_kept()

    def test_anything_else(self):
        for method, path in (("get", "/api/v1/tickets/"), ("get", f"{self.path}manifest/"), ("delete", self.path)):
            self.assert_problem(getattr(self.guest, method)(path), 403, "guest_not_allowed")

    def test_every_right_is_of_a_route(self):
        self.assertLessEqual(RIGHTS.keys(), set(names_of(get_resolver())))


def names_of(resolver):
    for entry in resolver.url_patterns:
        yield from [entry.name] if isinstance(entry, URLPattern) else names_of(entry)


class SendingTests(GuestTestCase):
    def test_photo_is_the_owners_and_is_counted_by_link(self):
        response = self.send(self.guest)

        self.assertEqual(response.status_code, 202)
        image = Image.objects.get()
        self.assertEqual((image.ticket, image.guest_link_id), (self.ticket, self.link.pk))
        self.assertEqual(GuestLink.objects.with_photos().get().photos, 1)
        self.assertEqual(Transition.objects.get().actor, f"guest link {self.link.pk}")
        self.assertEqual(self.guest.get(response["Location"]).json()["id"], str(image.pk))

    def test_bare_bytes(self):
        response = self.guest.generic("POST", f"{self.path}images/", jpeg_bytes(), "image/jpeg")
        self.assertEqual(response.status_code, 202)
        self.assertEqual(Image.objects.get().guest_link_id, self.link.pk)

    def test_in_pieces(self):
        content = jpeg_bytes()
        tus = {"HTTP_TUS_RESUMABLE": "1.0.0"}
        begun = self.guest.post(f"{self.path}uploads/", HTTP_UPLOAD_LENGTH=str(len(content)), **tus)
        self.assertEqual(begun.status_code, 201)
        path, type_ = begun["Location"], "application/offset+octet-stream"
        for start, stop in ((0, 100), (100, len(content))):
            self.assertEqual(self.guest.head(path, **tus)["Upload-Offset"], str(start))
            headers = tus | {"HTTP_UPLOAD_OFFSET": str(start)}
            sent = self.guest.generic("PATCH", path, content[start:stop], type_, **headers)
            self.assertEqual(sent.status_code, 204)
        self.assertEqual(Image.objects.get().guest_link_id, self.link.pk)
        self.assert_problem(self.guest.delete(path, **tus), 403, "upload_finished")

    def test_photos_of_users_are_of_no_link(self):
        self.send(client_for(self.owner))
        self.assertIsNone(Image.objects.get().guest_link_id)
        self.assertEqual(Transition.objects.get().actor, f"user {self.owner.pk}")

    def test_wrong_state(self):
        type(self.ticket).objects.filter(pk=self.ticket.pk).update(status="completed")
        self.assert_problem(self.send(self.guest), 409, "ticket_completed")

    def test_bad_input(self):
        response = self.guest.generic("POST", f"{self.path}images/", b"no photo at all", "image/jpeg")
        self.assert_problem(response, 415, "unsupported_image")

    def test_repeat_is_replayed(self):
        first, again = (self.send(self.guest, HTTP_IDEMPOTENCY_KEY="photo-1") for _ in range(2))
        self.assertEqual((first.status_code, again.status_code), (202, 202))
        self.assertEqual(again["Idempotent-Replayed"], "true")
        self.assertEqual(Image.objects.get().guest_link_id, self.link.pk)

    def test_same_key_of_the_owner_and_of_another_guest_is_another(self):
        clients = [client_for(self.owner), self.guest, guest_client(make_guest_link(self.ticket))]
        for seed, client in enumerate(clients):
            response = self.send(client, seed, HTTP_IDEMPOTENCY_KEY="photo-1")
            self.assertEqual((response.status_code, response.headers.get("Idempotent-Replayed")), (202, None))
        self.assertEqual(Image.objects.count(), 3)
        self.assertEqual(len(set(IdempotencyKey.objects.values_list("user", "key"))), 3)

    def test_longest_key(self):
        self.assertEqual(self.send(self.guest, HTTP_IDEMPOTENCY_KEY="k" * 255).status_code, 202)

    @override_settings(UPLOAD_BYTES_PER_DAY=10_000_000)
    def test_bytes_count_in_the_owners_quota(self):
        self.send(self.guest)
        with override_settings(UPLOAD_BYTES_PER_DAY=len(jpeg_bytes()) + 10):
            self.assert_problem(self.send(client_for(self.owner), 1), 429, "upload_quota_exceeded")


class ThrottleTests(GuestTestCase):
    @override_settings(THROTTLE_RATES={"guests": "2/minute", "uploads": "1/minute"})
    def test_by_link_and_not_as_the_owner(self):
        for seed in (0, 1):
            self.assertEqual(self.send(self.guest, seed, REMOTE_ADDR=f"192.0.2.{seed}").status_code, 202)
        refusal = self.send(self.guest, 2, REMOTE_ADDR="192.0.2.3")
        self.assert_problem(refusal, 429, "throttled")
        self.assertGreaterEqual(int(refusal["Retry-After"]), 1)
        self.assertEqual(self.send(client_for(self.owner), 2).status_code, 202)

    @override_settings(THROTTLE_RATES={"guests": "2/minute"})
    def test_by_address(self):
        for seed in (0, 1):
            other = guest_client(make_guest_link(self.ticket))
            self.assertEqual(self.send(other, seed, REMOTE_ADDR="192.0.2.1").status_code, 202)
        self.assert_problem(self.send(self.guest, 2, REMOTE_ADDR="192.0.2.1"), 429, "throttled")
        self.assertEqual(self.send(self.guest, 2, REMOTE_ADDR="192.0.2.2").status_code, 202)

    @override_settings(THROTTLE_RATES={"guests": "1/minute"})
    def test_reading_does_not_count(self):
        for _ in range(3):
            self.assertEqual(self.guest.get(f"{self.path}status/").status_code, 200)


class AtOnceTests(CommittingTestCase):
    @skipUnlessDBFeature("has_select_for_update")
    def test_photos_of_two_links_at_once_are_counted_exactly(self):
        ticket = make_ticket(num_images=6)
        links = [make_guest_link(ticket) for _ in range(2)]

        def send(number: int) -> int:
            client = guest_client(links[number % 3 == 0])
            return client.post(f"/api/v1/tickets/{ticket.pk}/images/", photo(number), format="multipart").status_code

        statuses = at_once(send, range(6))

        self.assertEqual(statuses, [202] * 6)
        counted = dict(GuestLink.objects.with_photos().values_list("pk", "photos"))
        self.assertEqual(counted, {links[0].pk: 4, links[1].pk: 2})
