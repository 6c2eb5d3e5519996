import json
import threading
import uuid
from datetime import timedelta
from unittest import mock, skipUnless

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections, transaction
from django.test import SimpleTestCase, TestCase, override_settings
from django.test.client import encode_multipart
from django.utils import timezone
from redis.exceptions import RedisError

from apps.accounts.models import User
from apps.tickets.errors import IdempotencyInFlightError
from apps.tickets.intake import idempotency
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import IdempotencyKey, Image, Ticket
from apps.tickets.staging import store
from apps.tickets.upkeep.reconcile import reconcile
from script import servers
from tests.case import (
    ApiTestCase,
    CommittingTestCase,
    HoplaAssertions,
    at_once,
    default_queue,
    staged_photos,
    staging_redis,
)
from tests.faults.processes import Processes
from tests.makers import client_for, jpeg_bytes, make_image, make_ticket, make_user
from tests.tickets.intake.test_stream import PHOTO, IntakeTestCase, Stream

KEY = "photo-17 of claim 4"
URL = "/api/v1/tickets/"
OLD = timedelta(hours=24, seconds=1)


def make_old(age: timedelta = OLD) -> None:
    IdempotencyKey.objects.update(created_at=timezone.now() - age)


def hold_names() -> list[bytes]:
    return list(staging_redis().scan_iter("hopla:idempotency:*"))


class ReplayAssertions(HoplaAssertions):
    def assert_replayed(self, response, first) -> None:
        """The first answer to the letter, and marked as a repeat of it."""
        self.assertEqual(response.status_code, first.status_code, response.content)
        self.assertEqual(response["Idempotent-Replayed"], "true")
        self.assertNotIn("Idempotent-Replayed", first)
        self.assertEqual((response.json(), response["Location"]), (first.json(), first["Location"]))


class OpenTicketTests(ReplayAssertions, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)

    def open(self, *, key=KEY, client=None, **fields):
        return (client or self.client).post(URL, {"num_images": 3} | fields, headers={"Idempotency-Key": key})

    def test_repeat_gets_the_first_answer_and_opens_nothing(self):
        first = self.open(title="Hail")
        self.assertEqual(first.status_code, 201)

        self.assert_replayed(self.open(title="Hail"), first)
        self.assertEqual(Ticket.objects.count(), 1)

    def test_order_and_white_space_of_the_body_do_not_matter(self):
        first = self.open(title="Hail", description="North side")

        body = json.dumps({"description": "North side", "title": "Hail", "num_images": 3}, indent=4)
        response = self.client.generic("POST", URL, body, "application/json", headers={"Idempotency-Key": KEY})
        self.assert_replayed(response, first)

    def test_repeat_shows_the_ticket_as_it_was(self):
        first = self.open()
        cancel_ticket(first.json()["id"])

        self.assert_replayed(self.open(), first)

    def test_other_content_under_the_same_key(self):
        self.open(title="Hail")

        for fields in ({"title": "Storm"}, {"title": "Hail", "num_images": 4}, {}):
            with self.subTest(fields):
                self.assert_problem(self.open(**fields), 422, "idempotency_key_reused")
        self.assertEqual(Ticket.objects.count(), 1)

    def test_key_of_another_user_is_another_key(self):
        first = self.open()

        other = self.open(client=client_for(make_user()))
        self.assertEqual(other.status_code, 201)
        self.assertNotEqual(other.json()["id"], first.json()["id"])

    def test_each_key_opens_a_ticket(self):
        keys = ("a", "b", "A", "x" * 255, "~!\"#$%&'()*+,-./:;<=>?@[]^_`{|}", str(uuid.uuid4()))
        self.assertEqual({self.open(key=key).status_code for key in keys}, {201})
        self.assertEqual(Ticket.objects.count(), len(keys))

    def test_hold_of_a_live_request_is_renewed(self):
        with mock.patch.object(idempotency.renewer, "every_seconds", 0.05), idempotency.held(user=self.user, key=KEY):
            [name] = hold_names()
            staging_redis().expire(name, 5)

            self.wait_until(lambda: staging_redis().ttl(name) > 5)

    def test_key_that_is_none(self):
        for key in ("", " ", " leading", "trailing ", "x" * 256, "tab\tinside", "é", "\x7f"):
            with self.subTest(key=key):
                self.assert_problem(self.open(key=key), 400, "idempotency_key_invalid")
        self.assertEqual(Ticket.objects.count(), 0)

    def test_refusal_is_not_kept(self):
        self.assert_problem(self.open(num_images=0), 400, "invalid")

        self.assertEqual(self.open(num_images=1).status_code, 201)

    def test_first_one_still_under_way(self):
        with idempotency.held(user=self.user, key=KEY):
            response = self.open()

        self.assert_problem(response, 409, "idempotency_in_flight")
        self.assertGreaterEqual(int(response["Retry-After"]), 1)
        self.assertEqual(self.open().status_code, 201)

    def test_key_is_forgotten_after_a_day(self):
        first = self.open()
        make_old(timedelta(hours=23, minutes=59))
        self.assert_replayed(self.open(), first)

        make_old()
        second = self.open(title="Something else by now")
        self.assertEqual(second.status_code, 201)
        self.assert_replayed(self.open(title="Something else by now"), second)

    def test_old_keys_are_swept_away(self):
        self.open(key="old")
        make_old()
        self.open(key="new")

        reconcile()

        self.assertEqual([kept.key for kept in IdempotencyKey.objects.all()], ["new"])


class PostImageTests(ReplayAssertions, IntakeTestCase):
    HEADERS = {"HTTP_IDEMPOTENCY_KEY": KEY}

    def form(self, content=PHOTO, *, boundary="one", filename="photo.jpg", **options):
        photo = SimpleUploadedFile(filename, content, "image/jpeg")
        body = encode_multipart(boundary, {"image": photo})
        return self.bare(body, content_type=f"multipart/form-data; boundary={boundary}", **options)

    def bare(self, content=PHOTO, **options):
        return self.post_bare(content, **self.HEADERS | options)

    def assert_kept_once(self, first) -> None:
        self.assertEqual(first.status_code, 202, first.content)
        self.assertEqual([str(image.pk) for image in Image.objects.all()], [first.json()["id"]])
        self.assertEqual(staged_photos(), [first.json()["id"]])
        self.assertEqual(store.bytes_in_use(), len(PHOTO))

    def test_repeat_gets_the_first_answer_and_takes_no_place(self):
        first = self.bare()

        self.assert_replayed(self.bare(), first)
        self.assert_kept_once(first)
        self.assertEqual(self.ticket.progress().remaining, 1)

    def test_same_photo_in_another_wrapping_is_the_same(self):
        first = self.form(boundary="one")

        for response in (
            self.form(boundary="another-boundary"),
            self.form(filename="renamed.jpg"),
            self.bare(),
            self.bare(content_type="image/png"),
        ):
            self.assert_replayed(response, first)
        self.assert_kept_once(first)

    def test_large_photo_is_compared_to_its_last_byte(self):
        content = jpeg_bytes(6, size=700_000)
        first = self.bare(content)

        self.assert_replayed(self.form(content), first)
        self.assert_problem(self.bare(content[:-1] + b"\1"), 422, "idempotency_key_reused")

    def test_other_photo_under_the_same_key(self):
        first = self.bare()

        for response in (self.bare(jpeg_bytes(2)), self.form(jpeg_bytes(2)), self.bare(PHOTO + b"\0")):
            self.assert_problem(response, 422, "idempotency_key_reused")
        self.assert_kept_once(first)

    def test_same_photo_on_another_ticket_under_the_same_key(self):
        first = self.bare()

        other = self.url_of(make_ticket(self.owner))
        self.assert_problem(self.bare(url=other), 422, "idempotency_key_reused")
        self.assert_kept_once(first)

    def test_key_of_an_opened_ticket_is_taken_too(self):
        self.client.post(URL, {"num_images": 1}, headers={"Idempotency-Key": KEY})

        self.assert_refused(self.bare(), 422, "idempotency_key_reused")

    def test_keys_of_two_users_do_not_meet(self):
        first, other = self.bare(), make_user()

        ticket = make_ticket(other)
        second = self.bare(url=self.url_of(ticket), client=client_for(other))
        self.assertEqual((second.status_code, "Idempotent-Replayed" in second), (202, False))
        self.assertNotEqual(second.json()["id"], first.json()["id"])

    def test_repeat_on_a_ticket_that_takes_no_photos_any_more(self):
        first = self.bare()
        make_image(self.ticket, position=2)
        self.assert_problem(self.post_bare(), 409, "ticket_full")

        self.assert_replayed(self.bare(), first)
        for status in ("completed", "cancelled", "expired"):
            with self.subTest(status):
                Ticket.objects.filter(pk=self.ticket.pk).update(status=status)
                self.assert_replayed(self.bare(), first)

    def test_repeat_once_the_photo_is_stored(self):
        first = self.bare()
        Image.objects.update(status="stored")
        store.discard(first.json()["id"])

        self.assert_replayed(self.bare(), first)
        self.assertEqual(staged_photos(), [])

    def test_photo_that_failed_since_is_taken_anew(self):
        first = self.bare().json()
        Image.objects.update(status="failed")

        second = self.bare()

        self.assertEqual((second.status_code, "Idempotent-Replayed" in second), (202, False))
        self.assertNotEqual(second.json()["id"], first["id"])
        self.assertEqual(second.json()["position"], first["position"])
        self.assert_replayed(self.bare(), second)

    def test_photo_of_a_deleted_image_is_taken_anew(self):
        self.bare()
        Image.objects.get().delete()

        second = self.bare()
        self.assertEqual((second.status_code, "Idempotent-Replayed" in second), (202, False))

    def test_refusals_are_not_kept(self):
        self.assert_refused(self.bare(b"no photo at all" * 20), 415, "unsupported_image")
        Ticket.objects.filter(pk=self.ticket.pk).update(num_images=1)
        other = make_image(self.ticket)
        self.assert_problem(self.bare(), 409, "ticket_full")
        other.delete()

        self.assertEqual(self.bare().status_code, 202)

    def test_first_one_still_under_way(self):
        with idempotency.held(user=self.owner, key=KEY):
            for response in (self.bare(), self.form()):
                self.assert_refused(response, 409, "idempotency_in_flight")
                self.assertGreaterEqual(int(response["Retry-After"]), 1)

        self.assertEqual(self.bare().status_code, 202)

    def test_repeat_that_comes_while_the_first_one_streams(self):
        repeats = []
        stream = Stream(before_reading=lambda reads: repeats.append(self.bare()) if reads == 1 else None)

        first = self.post_stream(stream, CONTENT_LENGTH=len(PHOTO), **self.HEADERS)

        self.assert_problem(repeats[0], 409, "idempotency_in_flight")
        self.assert_kept_once(first)
        self.assert_replayed(self.bare(), first)

    def test_photo_is_not_doubled_when_the_hold_is_lost(self):
        repeats = []

        def repeat(reads):
            if reads == 1:
                staging_redis().delete(*hold_names())
                repeats.append(self.bare())

        late = self.post_stream(Stream(before_reading=repeat), CONTENT_LENGTH=len(PHOTO), **self.HEADERS)

        self.assert_problem(late, 409, "idempotency_in_flight")
        self.assert_kept_once(repeats[0])

    def test_hold_ends_with_the_request(self):
        self.bare()
        self.bare(b"no photo at all" * 20, HTTP_IDEMPOTENCY_KEY="another")
        self.assertEqual(hold_names(), [])

    def test_key_that_is_none(self):
        for key in ("", "x" * 256):
            self.assert_refused(self.bare(HTTP_IDEMPOTENCY_KEY=key), 400, "idempotency_key_invalid")

    def test_replay_needs_the_whole_body(self):
        first = self.bare()

        self.assert_problem(self.post_stream(Stream(), **self.HEADERS), 400, "image_empty")
        short = self.post_stream(Stream(), CONTENT_LENGTH=len(PHOTO) + 9, **self.HEADERS)
        self.assert_problem(short, 400, "body_incomplete")
        self.assert_kept_once(first)


class AtOnceTests(CommittingTestCase):
    PHOTOS, TIMES = 8, 3

    def test_every_photo_posted_three_times_at_once_is_one_image(self):
        owner = make_user()
        ticket = make_ticket(owner, num_images=self.PHOTOS)
        requests = [(client_for(owner), number) for number in range(self.PHOTOS) for _ in range(self.TIMES)]

        def post(request):
            client, number = request
            url, headers = f"{URL}{ticket.pk}/images/", {"Idempotency-Key": f"photo {number}"}
            while True:
                response = client.generic("POST", url, jpeg_bytes(number), "image/jpeg", headers=headers)
                if response.status_code not in (409, 503):  # a client asks again after Retry-After
                    self.assertEqual(response.status_code, 202, response.content)
                    return number, response.json()["id"], "Idempotent-Replayed" in response

        answers = at_once(post, requests)

        images = {str(image.pk) for image in Image.objects.all()}
        self.assertEqual(len(images), self.PHOTOS)
        self.assertEqual({image_id for _, image_id, _ in answers}, images)
        self.assertEqual(len({(number, image_id) for number, image_id, _ in answers}), self.PHOTOS)
        self.assertEqual(sum(replayed for _, _, replayed in answers), self.PHOTOS * (self.TIMES - 1))
        self.assertEqual(staged_photos(), sorted(images))
        self.assertEqual(store.bytes_in_use(), sum(image.size for image in Image.objects.all()))
        self.assertEqual(len(default_queue().job_ids), self.PHOTOS)

    def test_ticket_asked_for_by_many_at_once_is_opened_once(self):
        owner = make_user()

        def post(client):
            while True:
                response = client.post(URL, {"num_images": 2}, headers={"Idempotency-Key": KEY})
                if response.status_code not in (409, 503):
                    return response.status_code, response.json()

        answers = at_once(post, [client_for(owner) for _ in range(8)])

        self.assertEqual(answers, [answers[0]] * 8)
        self.assertEqual([ticket.pk for ticket in Ticket.objects.all()], [answers[0][1]["id"]])

    @skipUnless(connection.vendor == "postgresql", "needs PostgreSQL: SQLite lets one transaction write at a time")
    def test_database_decides_between_two_without_a_hold(self):
        owner, outcomes = make_user(), []

        def keep():
            answer = {"fingerprint": "", "status_code": 201, "answer": "{}", "location": ""}
            idempotency.keep_answer(user_id=owner.pk, key=KEY, path=URL, **answer)

        def late_one():
            try:
                with transaction.atomic():
                    make_ticket(owner)
                    keep()
            except IdempotencyInFlightError as error:
                outcomes.append(error.default_code)
            finally:
                connections.close_all()

        thread = threading.Thread(target=late_one)
        with transaction.atomic():
            first = make_ticket(owner)
            keep()
            thread.start()
            self.wait_until(self.someone_waits_for_a_lock)
        thread.join()

        self.assertEqual(outcomes, ["idempotency_in_flight"])
        self.assertEqual(list(Ticket.objects.all()), [first])

    @staticmethod
    def someone_waits_for_a_lock() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees the first answer again
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return cursor.fetchone()[0] > 0


class SweepTests(HoplaAssertions, TestCase):
    def test_old_keys_go_in_batches(self):
        owner = make_user()
        number = idempotency.FORGET_BATCH + 5
        old = timezone.now() - OLD
        answer = {"user": owner, "path": URL, "status_code": 201, "created_at": old}
        IdempotencyKey.objects.bulk_create(IdempotencyKey(key=str(key), **answer) for key in range(number))

        self.assertEqual([idempotency.forget_old_keys() for _ in range(3)], [idempotency.FORGET_BATCH, 5, 0])


class RedisAwayTests(HoplaAssertions, SimpleTestCase):
    def test_redis_that_goes_away_meanwhile_does_not_spoil_the_answer(self):
        user = User(pk=1)
        with servers.private_folder() as folder, Processes(folder) as processes:
            url = servers.start_redis(processes, folder=folder, max_bytes=0)
            with override_settings(REDIS_URL=url):
                with idempotency.held(user=user, key=KEY):
                    processes["redis"].kill()  # the request has taken its place by now

                with self.assertRaises(RedisError), idempotency.held(user=user, key=KEY):
                    self.fail("it was held without Redis")
