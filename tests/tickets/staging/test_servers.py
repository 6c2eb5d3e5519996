"""Photos spread over several Redis servers: how one is chosen, and what happens while one is away."""

import uuid
from collections import Counter
from datetime import timedelta

from django.conf import settings
from django.test import SimpleTestCase, override_settings
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from apps.tickets.errors import StagingFullError
from apps.tickets.intake.room import new_photo_id
from apps.tickets.lifecycle import outcomes
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import Image
from apps.tickets.staging import store
from apps.tickets.staging.servers import all_servers, id_on, server_of
from apps.tickets.upkeep import reconcile as reconciling
from apps.tickets.upkeep.reconcile import reconcile
from apps.tickets.upkeep.staff_actions import ActionNotAllowed, try_again
from tests.case import ApiTestCase, staged_photos
from tests.makers import client_for, jpeg_bytes, make_ticket, make_user, running_sandbox
from tests.staging_servers import TwoServers
from tests.tickets.upkeep.test_reconcile import make_due, queued_images

TWO = "redis://:a-secret@one.example,redis+sentinel://two.example,three.example/mymaster"


@override_settings(STAGING_REDIS_URL=TWO)
class IdTests(SimpleTestCase):
    def test_id_names_its_server_in_a_uuid_of_version_8(self):
        for server in all_servers():
            for _ in range(100):
                image_id = id_on(server)

                self.assertEqual((image_id.version, image_id.variant), (8, uuid.RFC_4122))
                self.assertEqual(str(image_id)[15:18], f"{server.code:03x}")
                self.assertIs(server_of(image_id), server)
                self.assertIs(server_of(str(image_id)), server)

    def test_ids_are_not_repeated(self):
        self.assertEqual(len({id_on(all_servers()[0]) for _ in range(1000)}), 1000)

    def test_id_from_before_is_of_the_first_server(self):
        self.assertIs(server_of(uuid.uuid4()), all_servers()[0])

    def test_server_keeps_its_photos_when_the_list_or_its_password_changes(self):
        image_id = id_on(all_servers()[0])
        with override_settings(STAGING_REDIS_URL="redis://four.example,redis://:another-secret@one.example:6379/0"):
            self.assertIs(server_of(image_id), all_servers()[1])

    def test_server_that_is_not_configured_is_away(self):
        image_id = id_on(all_servers()[0])
        with override_settings(STAGING_REDIS_URL="redis://four.example"):
            self.assertTrue(server_of(image_id).is_away())
            with self.assertRaises(RedisConnectionError):
                store.read(image_id, 1)

    def test_names_have_no_password(self):
        self.assertEqual([server.name for server in all_servers()], ["one.example:6379/0", "mymaster/0"])


class ChoiceTests(TwoServers, ApiTestCase):
    def chosen(self, number: int) -> Counter:
        return Counter(server_of(new_photo_id(100)) for _ in range(number))

    def fill(self, server, size: int) -> None:
        store.reserve(id_on(server), size)

    @override_settings(STAGING_MAX_BYTES=100_000)
    def test_one_with_more_room_gets_more(self):
        self.fill(self.a, 95_000)
        store.require_room(1)  # so that one of them is known
        self.let_it_be_asked_again()

        chosen = self.chosen(200)

        self.assertGreater(chosen[self.b], 2 * chosen[self.a])
        self.assertGreater(min(self.chosen(100)[server] + chosen[server] for server in (self.a, self.b)), 0)

    def test_equal_ones_get_about_as_many(self):
        self.assertGreater(min(self.chosen(200)[server] for server in (self.a, self.b)), 50)

    @override_settings(STAGING_MAX_BYTES=1000)
    def test_full_one_gets_none_and_only_when_all_are_full_photos_are_refused(self):
        self.fill(self.a, 950)
        for _ in range(20):
            self.assertIs(store.require_room(100), self.b)
            self.let_it_be_asked_again()  # and nothing is known of their room either

        self.fill(self.b, 950)
        with self.assertRaises(StagingFullError):
            store.require_room(100)

    def test_budget_is_that_of_each(self):
        with override_settings(STAGING_MAX_BYTES=1000):
            for server in (self.a, self.b):
                self.fill(server, 900)
        self.assertEqual(store.bytes_in_use(), 1800)
        self.assertEqual([store.bytes_in_use(server) for server in all_servers()], [900, 900])

    def test_one_that_is_away_gets_none_and_is_tried_again_later(self):
        self.stop(self.a)
        self.assertEqual(self.chosen(20), {self.b: 20})

        self.start(self.a)
        self.assertGreater(self.chosen(100)[self.a], 0)

    def test_one_that_is_away_is_not_asked_for_each_photo(self):
        self.stop(self.a)
        self.chosen(20)
        self.processes["a"].start()  # but AWAY_SECONDS have not passed
        self.assertEqual(self.chosen(20), {self.b: 20})

    def test_full_one_beside_one_that_is_away(self):
        self.stop(self.a)
        self.fill(self.b, settings.STAGING_MAX_BYTES)
        with self.assertRaises(StagingFullError):
            store.require_room(100)

    def test_none_answers(self):
        self.stop(self.a, self.b)
        for _ in range(3):
            with self.assertRaises(RedisConnectionError):
                store.require_room(100)
        self.start(self.b)
        self.assertEqual(self.chosen(5), {self.b: 5})


class AwayTestCase(TwoServers, ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.owner = make_user()
        self.client = client_for(self.owner)
        self.ticket = make_ticket(self.owner, num_images=3)
        self.reconcile()  # what troubled it in another test is over, and new trouble is logged

    def post(self, seed: int = 1):
        path = f"/api/v1/tickets/{self.ticket.pk}/images/"
        return self.client.generic("POST", path, jpeg_bytes(seed), "image/jpeg")

    def reconcile(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            reconcile()

    def read(self, image: Image) -> Image:
        return Image.objects.get(pk=image.pk)


class PostTests(AwayTestCase):
    def test_photo_goes_where_it_can(self):
        self.stop(self.a)
        for seed in (1, 2, 3):
            response = self.post(seed)
            self.assertEqual(response.status_code, 202)
            self.assertIs(server_of(response.json()["id"]), self.b)

    def test_photos_are_refused_while_none_answers(self):
        self.stop(self.a, self.b)
        self.assert_problem(self.post(), 503, "temporarily_unavailable")
        self.assertFalse(Image.objects.exists())

        self.start(self.a, self.b)
        self.assertEqual(self.post().status_code, 202)

    def test_server_that_stops_in_the_middle_of_a_photo_gets_no_other(self):
        image_id = id_on(self.a)
        store.write(image_id, b"x" * 100, offset=0, size=200)
        self.stop(self.a)
        with self.assertRaises(RedisConnectionError):
            store.write_last(image_id, b"x" * 100, offset=100)

        self.assertTrue(self.a.is_away())


class UploadTests(AwayTestCase):
    def test_requests_do_not_wait_each_for_a_server_that_did_not_answer_a_moment_ago(self):
        def hang():
            raise RedisConnectionError

        path = f"/api/v1/tickets/{self.ticket.pk}/uploads/{id_on(self.a)}/"
        asked = {"path": path, "headers": {"Tus-Resumable": "1.0.0"}}
        with self.assertRaises(RedisConnectionError):
            self.a.must_answer(hang)
        self.assertEqual(self.client.head(**asked).status_code, 503)

        self.a.must_answer(self.a.client.ping)
        self.assertEqual(self.client.head(**asked).status_code, 404)


class WaitingTests(AwayTestCase):
    """A photo on A, which is away."""

    def setUp(self):
        super().setUp()
        self.image = self.accepted_on(self.a, self.ticket)

    def wait(self) -> Image:
        self.stop(self.a)
        image = self.deliver(self.image)
        self.assertEqual((image.status, image.error_code), ("queued", "staging_unavailable"))
        self.assertEqual((image.attempts, image.attempts_counted), (1, 0))
        return image

    def come_back(self, **options) -> None:
        self.start(self.a, **options)
        make_due(self.image)
        self.reconcile()

    def test_it_waits_without_new_attempts_and_is_stored_once_its_server_is_back(self):
        self.wait()
        for _ in range(2 * settings.UPLOAD_MAX_ATTEMPTS):
            make_due(self.image)
            image = self.deliver(self.image)
            self.assertEqual((image.status, image.attempts), ("queued", 1))
            self.assertGreater(image.next_check_at, timezone.now())

        self.come_back()

        self.assertEqual(queued_images(), [str(self.image.pk)])
        self.assertEqual(self.deliver(self.image).status, "stored")
        self.assertEqual(staged_photos(), [])

    def test_server_that_is_back_without_it_has_lost_it(self):
        self.wait()

        self.come_back(emptied=True)

        image = self.read(self.image)
        self.assertEqual((image.status, image.error_code), ("failed", "bytes_lost"))
        self.assertFalse(image.holds_a_place)
        self.assertEqual(self.post().json()["position"], image.position)

    def test_reconciler_lets_it_wait_and_sees_to_the_others(self):
        other = self.accepted_on(self.b, self.ticket, seed=2)
        self.wait()
        for image in (self.image, other):
            make_due(image)

        with self.assertLogs("apps.common.jobs.periodic", "WARNING") as log:
            self.reconcile()

        self.assertEqual(queued_images(), [str(other.pk)])
        self.assertEqual(self.read(self.image).status, "queued")
        self.assertGreater(self.read(self.image).next_check_at, timezone.now())
        self.assertIn("settling photos has to wait", log.output[0])

    def test_bytes_of_nobody_go_from_those_that_answer(self):
        for server in (self.a, self.b):
            photo = self.stage_on(server, jpeg_bytes(5))
            server.client.zincrby(store.BUDGET_KEYS[0], -2 * reconciling.CLAIMED_WITHIN_SECONDS, str(photo.image_id))
        self.stop(self.a)

        with self.assertLogs("apps.common.jobs.periodic", "WARNING"):
            self.reconcile()

        self.assertEqual(store.bytes_in_use(self.b), 0)
        self.start(self.a)
        self.reconcile()
        self.assertEqual(staged_photos(), [str(self.image.pk)])

    def accepted_too_long_ago(self) -> None:
        long_ago = timezone.now() - timedelta(seconds=settings.STAGING_TTL_SECONDS + 1)
        Image.objects.filter(pk=self.image.pk).update(created_at=long_ago)
        make_due(self.image)

    def test_it_is_lost_when_its_bytes_have_expired_wherever_they_are(self):
        self.wait()
        self.accepted_too_long_ago()

        with self.assertLogs("apps.common.jobs.periodic", "WARNING"):
            self.reconcile()

        image = self.read(self.image)
        self.assertEqual((image.status, image.error_code), ("failed", "bytes_lost"))

    def test_its_bytes_expire_later_if_staff_had_it_tried_again(self):
        with self.captureOnCommitCallbacks(execute=True):
            outcomes.record_failed(self.image, code="cloudinary_unavailable", detail="")
            try_again(self.image.pk)
        self.stop(self.a)
        self.accepted_too_long_ago()

        with self.assertLogs("apps.common.jobs.periodic", "WARNING"):
            self.reconcile()

        self.assertEqual(self.read(self.image).status, "queued")

    def test_server_that_is_not_configured_any_more_is_awaited_too(self):
        make_due(self.image)
        with (
            override_settings(STAGING_REDIS_URL=self.b.url),
            self.assertLogs("apps.common.jobs.periodic", "WARNING"),
        ):
            self.reconcile()
            image = self.deliver(self.image)
        self.assertEqual((image.status, image.attempts), ("queued", 0))
        self.assertEqual(self.deliver(self.image).status, "stored")

    def test_attempt_whose_worker_was_lost_is_taken_over(self):
        self.stop(self.a)
        make_due(self.image, status="uploading", attempts=1)
        with self.assertLogs("apps.common.jobs.periodic", "WARNING"):
            self.reconcile()
        image = self.read(self.image)
        self.assertEqual((image.status, image.error_code), ("queued", "worker_lost"))


class StaffTests(AwayTestCase):
    def setUp(self):
        super().setUp()
        self.images = [self.accepted_on(server, self.ticket, seed=server.code) for server in (self.a, self.b)]

    def end(self, action) -> None:
        """With A away, whose photos go once it is back."""
        self.stop(self.a)
        with self.assertLogs("django.test", "ERROR"), self.captureOnCommitCallbacks(execute=True):
            action()
        self.assertEqual(store.bytes_in_use(self.b), 0)

        self.start(self.a)
        self.a.client.zincrby(store.BUDGET_KEYS[0], -2 * reconciling.CLAIMED_WITHIN_SECONDS, str(self.images[0].pk))
        self.reconcile()

        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))

    def test_ticket_is_cancelled_whole(self):
        self.end(lambda: cancel_ticket(self.ticket.pk))
        self.assertEqual(Image.objects.filter(error_code="ticket_cancelled").count(), 2)

    def test_ticket_is_deleted_whole(self):
        self.end(self.ticket.delete)
        self.assertFalse(Image.objects.exists())

    def test_photo_that_failed_is_tried_again_only_when_its_server_is_back(self):
        for image in self.images:
            with self.captureOnCommitCallbacks(execute=True):
                outcomes.record_failed(image, code="cloudinary_unavailable", detail="")
        self.stop(self.a)

        with self.assertRaisesMessage(ActionNotAllowed, "does not answer"):
            try_again(self.images[0].pk)
        try_again(self.images[1].pk)

        self.assertEqual([self.read(image).status for image in self.images], ["failed", "queued"])
        admin = make_user(is_staff=True, is_superuser=True)
        self.client.force_login(admin)
        self.assertContains(self.client.get(f"/admin/tickets/image/{self.images[0].pk}/change/"), "Try again")

        self.start(self.a)
        try_again(self.images[0].pk)
        self.assertEqual(self.read(self.images[0]).status, "queued")
