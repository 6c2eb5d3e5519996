"""ETag and 304 of a ticket and its status: https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests"""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest import skipUnless

from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from apps.tickets.delivery.job import deliver_photo
from apps.tickets.lifecycle import outcomes
from apps.tickets.lifecycle.endings import cancel_ticket, expire_due_tickets
from apps.tickets.models import Image, Ticket
from apps.tickets.upkeep.audit import audit_assets, mend
from apps.tickets.upkeep.reconcile import reconcile
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.makers import (
    begin_attempt,
    client_for,
    make_accepted_image,
    make_image,
    make_ticket,
    make_user,
    running_sandbox,
)
from tests.tickets.upkeep.test_reconcile import make_due


class EtagTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.client = client_for(self.owner)
        self.ticket = make_ticket(self.owner, num_images=2)
        self.url = f"/api/v1/tickets/{self.ticket.pk}/"
        self.urls = (self.url, f"{self.url}status/")

    def etag(self, url=None, client=None) -> str:
        return (client or self.client).get(url or self.url)["ETag"]

    def ask(self, known: str, url=None):
        return self.client.get(url or self.url, headers={"If-None-Match": known})


class KnownStateTests(EtagTestCase):
    def test_reader_who_knows_the_state_gets_no_body(self):
        for url in self.urls:
            with self.subTest(url):
                etag = self.etag(url)
                self.assertRegex(etag, r'^"[^"]+"$')  # a strong one

                response = self.ask(etag, url)

                self.assertEqual((response.status_code, response.content), (304, b""))
                self.assertEqual(response["ETag"], etag)

    def test_caches_keep_it_for_one_reader_and_ask_each_time(self):
        for url in self.urls:
            for response in (self.client.get(url), self.ask(self.etag(url), url)):
                self.assertEqual(response["Cache-Control"], "private, no-cache")

    def test_forms_that_name_the_state(self):
        etag = self.etag()
        for known in (etag, f"W/{etag}", f'"other", {etag}', f'W/"other",{etag} , "third"', "*"):
            with self.subTest(known):
                self.assertEqual(self.ask(known).status_code, 304)

    def test_forms_that_name_another(self):
        etag = self.etag()
        for known in (
            "",
            '"other"',
            etag.strip('"'),
            f'"{self.ticket.pk}-999"',
            etag.replace('"', "'"),
            "W/",
            '"a", "b"',
        ):
            with self.subTest(known):
                self.assertEqual(self.ask(known).status_code, 200)

    def test_head_is_answered_likewise(self):
        response = self.client.head(self.url, headers={"If-None-Match": self.etag()})

        self.assertEqual(response.status_code, 304)

    def test_other_preconditions_do_not_make_it_known(self):
        hour_ago = (timezone.now() - timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        for headers in ({"If-Match": '"other"'}, {"If-Unmodified-Since": hour_ago}, {"If-Modified-Since": hour_ago}):
            with self.subTest(headers):
                self.assertEqual(self.client.get(self.url, headers=headers).status_code, 200)

    def test_no_image_is_looked_at(self):
        make_accepted_image(self.ticket)
        for url in self.urls:
            etag = self.etag(url)
            with self.subTest(url), self.assertNumQueries(1) as asked:
                self.assertEqual(self.ask(etag, url).status_code, 304)
            self.assertNotIn(Image._meta.db_table, "".join(query["sql"] for query in asked.captured_queries))

    def test_each_language_has_its_own(self):
        """What a photo failed over is told in the reader's language."""
        staff = client_for(make_user(is_staff=True))
        for url in self.urls:
            for client in (self.client, staff):
                with self.subTest(url, staff=client is staff):
                    etags = {}
                    for language in ("en", "es", "pl"):
                        response = client.get(url, headers={"Accept-Language": language})
                        self.assertEqual(response["Vary"], "Accept-Language")
                        etags[language] = response["ETag"]
                    self.assertEqual(len(set(etags.values())), 3)
                    for known, etag in etags.items():
                        for language in etags:
                            headers = {"Accept-Language": f"{language},en;q=0.5", "If-None-Match": etag}
                            expected = 304 if language == known else 200
                            self.assertEqual(client.get(url, headers=headers).status_code, expected, headers)

    def test_language_that_hopla_does_not_speak_has_that_of_english(self):
        for spoken in ("de", "en-GB", "", "*"):
            response = self.client.get(self.url, headers={"Accept-Language": spoken})
            self.assertEqual(response["ETag"], self.etag())

    def test_every_reader_gets_the_same(self):
        second_token, staff = client_for(self.owner), client_for(make_user(is_staff=True))
        for url in self.urls:
            self.assertEqual(
                {self.etag(url, client) for client in (self.client, second_token, staff)}, {self.etag(url)}
            )

    def test_stranger_who_guesses_it_learns_nothing(self):
        etag = self.etag()
        for client, status, code in (
            (client_for(make_user()), 404, "not_found"),
            (client_for(), 401, "not_authenticated"),
        ):
            for known in (etag, "*"):
                response = client.get(self.url, headers={"If-None-Match": known})
                self.assert_problem(response, status, code)
                self.assertNotIn("ETag", response)

    def test_two_tickets_in_the_same_state_differ(self):
        other = make_ticket(self.owner, num_images=2)

        self.assertNotEqual(self.etag(f"/api/v1/tickets/{other.pk}/"), self.etag())


class ChangeTests(EtagTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())

    def change(self, action, *args):
        """Do it; both answers then have another ETag, and who knows the old one gets the new state."""
        known = {url: self.client.get(url) for url in self.urls}
        result = action(*args)
        for url, before in known.items():
            response = self.ask(before["ETag"], url)
            self.assertEqual(response.status_code, 200)
            self.assertNotEqual(response["ETag"], before["ETag"])
        self.assertNotEqual(self.client.get(self.url).json(), known[self.url].json())
        return result

    def accept(self, seed=1) -> Image:
        return make_accepted_image(self.ticket, seed=seed)

    def deliver_when_due(self, image: Image) -> Image:
        make_due(image)
        return self.deliver(image)

    def test_photo_that_is_retried_and_stored_and_completes_the_ticket(self):
        self.sandbox.misbehave("refuse", status=503, times=1)

        first = self.change(self.accept)
        self.assertEqual(self.change(self.deliver, first).error_code, "cloudinary_unavailable")
        self.assertEqual(self.change(self.deliver_when_due, first).status, "stored")
        second = self.change(self.accept, 2)
        self.assertEqual(self.change(self.deliver, second).status, "stored")
        self.assertEqual(self.client.get(self.url).json()["status"], "completed")

    def test_photo_that_fails(self):
        image = self.accept()
        self.sandbox.misbehave("refuse", status=400)

        self.assertEqual(self.change(self.deliver, image).status, "failed")

    def test_attempt_whose_worker_was_lost(self):
        image = self.accept()
        begin_attempt(image)
        make_due(image)

        self.change(reconcile)

    def test_attempt_that_does_not_count(self):
        image = self.accept()
        self.sandbox.misbehave("refuse", status=420, reset_in_seconds=300)

        self.assertEqual(self.change(self.deliver, image).attempts_counted, 0)

    def test_ticket_that_is_cancelled(self):
        self.accept()

        self.change(cancel_ticket, self.ticket.pk)

    def test_ticket_that_expires(self):
        Ticket.objects.filter(pk=self.ticket.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

        self.change(expire_due_tickets)

    def test_ticket_that_staff_edit(self):
        staff = make_user(is_staff=True, is_superuser=True)
        form = {"title": "Renamed", "description": "", "expires_at_0": "", "expires_at_1": ""}
        admin = Client()
        admin.force_login(staff)

        def edit():
            url = f"/admin/tickets/ticket/{self.ticket.pk}/change/"
            sent = form | {"images-TOTAL_FORMS": 0, "images-INITIAL_FORMS": 0}
            self.assertEqual(admin.post(url, sent).status_code, 302)

        self.change(edit)
        self.assertEqual(self.client.get(self.url).json()["title"], "Renamed")

    def test_image_that_is_deleted(self):
        image, _ = self.accept(1), self.accept(2)

        self.change(image.delete)

    def test_stored_photo_that_an_audit_finds_gone(self):
        self.deliver(self.accept())
        self.sandbox.assets.clear()

        self.change(lambda: mend(audit_assets(grace=timedelta(0))))

    def test_what_changes_nothing_leaves_it(self):
        image = self.accept()
        self.deliver(image)
        before = {url: self.etag(url) for url in self.urls}

        self.deliver(image)
        outcomes.record_failed(image, code="late", detail="-")
        reconcile()
        mend(audit_assets(grace=timedelta(0)))

        self.assertEqual({url: self.etag(url) for url in self.urls}, before)


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's locks of tables")
class OneMomentTests(CommittingTestCase):
    """The last photo is stored while an answer is being made."""

    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(num_images=3, status="in_progress")
        for position in (1, 2):
            make_image(self.ticket, position=position, status="stored", asset_version=1)
        self.last = make_image(self.ticket, position=3, status="uploading", attempts=1)
        self.client = client_for(self.ticket.owner)
        self.url = f"/api/v1/tickets/{self.ticket.pk}/"

    def answer_meanwhile(self, url: str, **headers):
        """To a request that gets as far as the images just before the commit, and then waits for it."""
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("LOCK TABLE tickets_image IN ACCESS EXCLUSIVE MODE")
                answer = pool.submit(at_once, lambda url: self.client.get(url, headers=headers), [url])
                self.wait_until(self._somebody_waits)
                outcomes.record_stored(self.last, asset_id="a", asset_version=1, asset_format="jpg")
            return answer.result()[0]

    def assert_of_one_moment(self, url: str) -> None:
        before = self.client.get(url)
        self.assertEqual(before.json()["status"], "in_progress")

        seen = self.answer_meanwhile(url, **{"If-None-Match": '"another"'})

        after = self.client.get(url)
        self.assertNotEqual(after["ETag"], before["ETag"])
        states = {each["ETag"]: each.json() for each in (before, after)}
        self.assertEqual(seen.json(), states[seen["ETag"]])

    def test_ticket_and_images_and_tag_are_of_one_moment(self):
        self.assert_of_one_moment(self.url)

    def test_what_a_list_says_of_a_ticket_is_of_one_moment(self):
        """Also that it is in this list."""
        for query in ("status=in_progress", "status=in_progress&cursor="):
            with self.subTest(query):
                [seen] = self.answer_meanwhile(f"/api/v1/tickets/?{query}").json()["results"]

                self.assertEqual((seen["status"], seen["progress"]["stored"]), ("in_progress", 2))
                Image.objects.filter(pk=self.last.pk).update(status="uploading", stored_at=None)
                Ticket.objects.update(status="in_progress", completed_at=None)
                self.last.refresh_from_db()

    def test_status_and_tag_are_of_one_moment(self):
        self.assert_of_one_moment(f"{self.url}status/")


class BeginTests(CommittingTestCase):
    def test_beginning_of_an_upload_changes_it(self):
        sandbox = self.enterContext(running_sandbox())
        ticket = make_ticket(num_images=1)
        image = make_accepted_image(ticket)
        client, url = client_for(ticket.owner), f"/api/v1/tickets/{ticket.pk}/"
        queued = client.get(url)["ETag"]
        sandbox.misbehave("latency", seconds=0.5)

        def uploading():
            response = client.get(url, headers={"If-None-Match": queued})
            return response.status_code == 200 and response

        delivery = threading.Thread(target=at_once, args=(deliver_photo, [str(image.pk)]))
        delivery.start()
        seen = self.wait_until(uploading)
        delivery.join()

        self.assertEqual(seen.json()["images"][0]["status"], "uploading")
        self.assertNotEqual(client.get(url)["ETag"], seen["ETag"])
