"""Staff approve a ticket's photos, or want another of some; and what readers of the API see of that."""

from datetime import timedelta
from unittest import skipUnless
from uuid import uuid4

from django.db import connection
from django.utils import timezone

from apps.common.observability import metrics
from apps.tickets.lifecycle import outcomes
from apps.tickets.lifecycle.signals import image_rejected, ticket_approved, ticket_completed, ticket_reopened
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.models.slots import slot_as_kept
from apps.tickets.models.transition import Transition
from apps.tickets.storage import cloudinary
from apps.tickets.storage.removal import remove_due_assets
from apps.tickets.upkeep.audit import audit_assets
from apps.tickets.upkeep.review import Rejection, approve, request_retakes
from apps.tickets.upkeep.staff_actions import ActionNotAllowed, try_again
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.makers import client_for, jpeg_bytes, make_image, make_ticket, make_user, running_sandbox
from tests.tickets.handover.makers import store_photo

NOTE = "Hold the phone still, please."


class ReviewTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.owner = make_user()
        self.client = client_for(self.owner)

    def completed(self, *names: str, num_images: int = 2) -> Ticket:
        slots = [slot_as_kept(name) for name in names]
        ticket = make_ticket(self.owner, num_images=len(names) or num_images, slots=slots)
        for position in range(1, ticket.num_images + 1):
            store_photo(ticket, jpeg_bytes(position), position=position if names else None)
        ticket.refresh_from_db()
        self.assertEqual(ticket.status, "completed")
        return ticket

    def photo(self, ticket: Ticket, position: int = 1) -> Image:
        return ticket.images.holding_a_place().get(position=position)

    def reject(self, *images: Image, reason: str = "blurred", note: str = NOTE, **options) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            request_retakes(images[0].ticket_id, [Rejection(image.pk, reason, note) for image in images], **options)

    def approve(self, ticket: Ticket) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            approve(ticket.pk, seen_version=Ticket.objects.get(pk=ticket.pk).version)

    def read(self, ticket: Ticket, path: str = "") -> dict:
        return self.client.get(f"/api/v1/tickets/{ticket.pk}/{path}").json()

    def signals(self, *listened) -> list:
        """Returns the list of the signals that are sent from now on."""
        sent = []
        for signal in listened:

            def receive(signal, **kwargs):
                sent.append(signal)

            signal.connect(receive, weak=False)
            self.addCleanup(signal.disconnect, receive)
        return sent

    def assert_not_allowed(self, words: str, function, *arguments, **options) -> None:
        tickets, images = list(Ticket.objects.order_by("pk").values()), list(Image.objects.order_by("pk").values())
        with self.assertRaisesMessage(ActionNotAllowed, words):
            function(*arguments, **options)
        self.assertEqual(list(Ticket.objects.order_by("pk").values()), tickets)
        self.assertEqual(list(Image.objects.order_by("pk").values()), images)


class RetakeTests(ReviewTestCase):
    def test_rejected_photo_gives_its_place_back_and_tells_why(self):
        ticket = self.completed("front", "odometer")
        sent = self.signals(image_rejected, ticket_reopened)

        self.reject(self.photo(ticket, 2), reason="too_dark")

        read = self.read(ticket)
        self.assertEqual((read["status"], read["completed_at"]), ("in_progress", None))
        self.assertEqual(read["review"], "retake_requested")
        self.assertEqual(
            read["progress"],
            {"declared": 2, "received": 1, "stored": 1, "failed": 0, "rejected": 1, "remaining": 1, "percent": 50},
        )
        self.assertEqual(read["missing"], ["odometer"])
        good, bad = read["images"]
        self.assertIsNone(good["review"])
        self.assertEqual((bad["status"], bad["slot"]), ("rejected", "odometer"))
        self.assertEqual((bad["review"]["reason"], bad["review"]["note"]), ("too_dark", NOTE))
        self.assertTrue(bad["review"]["at"].endswith("Z"))
        self.assertTrue(bad["url"])
        self.assertEqual(self.read(ticket, "status/")["review"], "retake_requested")
        self.assertEqual(sent, [image_rejected, ticket_reopened])

    def test_list_tells_of_the_review_too(self):
        ticket = self.completed()
        self.reject(self.photo(ticket))
        [listed] = self.client.get("/api/v1/tickets/").json()["results"]
        self.assertEqual((listed["review"], listed["progress"]["rejected"]), ("retake_requested", 1))

    def test_ticket_completes_again_once_and_waits_for_review_again(self):
        ticket = self.completed("front", "odometer")
        first_completed_at = ticket.completed_at
        self.reject(self.photo(ticket, 1), self.photo(ticket, 2))
        completions = self.signals(ticket_completed)

        store_photo(ticket, jpeg_bytes(8), position=2)
        self.assertEqual(self.read(ticket)["review"], "retake_requested")
        store_photo(ticket, jpeg_bytes(9), position=1)

        read = self.read(ticket)
        self.assertEqual((read["status"], read["review"], read["missing"]), ("completed", None, []))
        self.assertEqual((read["progress"]["stored"], read["progress"]["rejected"]), (2, 2))
        self.assertEqual(completions, [ticket_completed])
        self.assertGreater(Ticket.objects.get(pk=ticket.pk).completed_at, first_completed_at)

    def test_retake_through_the_api_takes_the_place_of_what_it_replaces(self):
        ticket = self.completed(num_images=3)
        self.reject(self.photo(ticket, 2))

        response = self.client.post(
            f"/api/v1/tickets/{ticket.pk}/images/",
            jpeg_bytes(7),
            content_type="image/jpeg",
            headers={"content-disposition": "attachment; filename=again.jpg"},
        )

        self.assertEqual(response.status_code, 202, response.content)
        self.assertEqual((response.json()["position"], response.json()["review"]), (2, None))

    def test_a_repeat_of_the_first_request_does_not_send_the_rejected_photo_again(self):
        ticket = make_ticket(self.owner, num_images=1)

        def post():
            return self.client.post(
                f"/api/v1/tickets/{ticket.pk}/images/",
                jpeg_bytes(1),
                content_type="image/jpeg",
                headers={"content-disposition": "attachment; filename=a.jpg", "idempotency-key": "one"},
            )

        first = post()
        image = Image.objects.get(pk=first.json()["id"])
        self.deliver(image)
        self.reject(image)

        again = post()

        self.assertEqual((again.status_code, again.json()["id"]), (202, first.json()["id"]))
        self.assertEqual(again["Idempotent-Replayed"], "true")
        self.assertEqual(ticket.images.count(), 1)

    def test_same_bytes_are_no_duplicate_of_a_rejected_photo(self):
        ticket = self.completed()
        image = self.photo(ticket)
        self.reject(image)
        self.assertIsNone(store_photo(ticket, jpeg_bytes(1)).duplicate_of)

    def test_photos_of_a_ticket_in_progress_can_be_rejected_too(self):
        ticket = make_ticket(self.owner, num_images=2)
        image = store_photo(ticket, jpeg_bytes(1))
        sent = self.signals(ticket_reopened)
        self.reject(image)
        self.assertEqual(self.read(ticket)["status"], "in_progress")
        self.assertEqual(self.read(ticket)["review"], "retake_requested")
        self.assertEqual(sent, [])

    def test_approved_ticket_can_be_reopened(self):
        ticket = self.completed()
        self.approve(ticket)
        self.reject(self.photo(ticket))
        self.assertEqual(self.read(ticket)["review"], "retake_requested")

    def test_each_move_is_in_the_log_of_transitions(self):
        ticket = self.completed()
        image = self.photo(ticket)
        self.reject(image, reason="incomplete")
        moves = Transition.objects.filter(ticket_id=ticket.pk).order_by("-id")
        self.assertEqual(
            list(moves.values_list("image_id", "from_status", "to_status", "reason")[:2]),
            [
                (None, "completed", "in_progress", "retake_requested"),
                (image.pk, "stored", "rejected", "incomplete"),
            ],
        )

    def test_readers_that_poll_see_the_change(self):
        ticket = self.completed()
        etag = self.client.get(f"/api/v1/tickets/{ticket.pk}/status/")["ETag"]
        self.reject(self.photo(ticket))
        polled = self.client.get(f"/api/v1/tickets/{ticket.pk}/status/", headers={"if-none-match": etag})
        self.assertEqual(polled.status_code, 200)

    def test_asset_of_a_rejected_photo_stays_and_no_audit_calls_it_an_orphan(self):
        ticket = self.completed()
        image = self.photo(ticket)
        self.reject(image)
        self.assertFalse(AssetRemoval.objects.exists())
        findings = audit_assets(grace=timedelta())
        self.assertTrue(findings.agree, findings)
        self.assertIn(image.public_id, {asset.public_id for asset in cloudinary.list_assets()})

    def test_asset_of_a_rejected_photo_goes_with_the_photo(self):
        image = self.photo(self.completed())
        self.reject(image)
        image.refresh_from_db()
        image.delete()
        [removal] = AssetRemoval.objects.all()
        self.assertLessEqual(removal.due_at, timezone.now())

    def test_rejected_photo_is_no_part_of_the_set(self):
        ticket = self.completed("front", "odometer")
        self.reject(self.photo(ticket, 1))
        manifest = self.read(ticket, "manifest/")
        self.assertEqual([photo["slot"] for photo in manifest["photos"]], ["odometer"])

    def test_rejected_photo_is_not_tried_again(self):
        image = self.photo(self.completed())
        self.reject(image)
        self.assert_not_allowed("It is not waiting", try_again, image.pk)

    def test_late_outcome_of_its_upload_changes_nothing(self):
        image = self.photo(self.completed())
        late = Image.objects.get(pk=image.pk)
        self.reject(image)
        self.assertFalse(outcomes.record_stored(late, asset_id="a", asset_version=1, asset_format="jpg"))
        self.assertFalse(outcomes.record_failed(late, code="worker_lost", detail=""))
        self.assertFalse(outcomes.record_asset_lost(late, code="asset_missing", detail=""))
        image.refresh_from_db()
        self.assertEqual(image.status, "rejected")
        AssetRemoval.objects.update(due_at=timezone.now())
        remove_due_assets()
        self.assertIn(image.public_id, {asset.public_id for asset in cloudinary.list_assets()})

    def test_is_counted_by_reason(self):
        before = metrics.totals().get(("hopla_photos_rejected", ("other",), ""), 0)
        self.reject(self.photo(self.completed()), reason="other")
        self.assertEqual(metrics.totals()["hopla_photos_rejected", ("other",), ""], before + 1)

    def test_only_stored_photos_of_this_ticket_can_be_rejected_and_all_or_none(self):
        ticket, other = self.completed(), self.completed()
        stored, foreign = self.photo(ticket), self.photo(other)
        failed = make_image(ticket, position=9, status="failed")
        for refused in (failed.pk, foreign.pk, uuid4()):
            rejections = [Rejection(stored.pk, "blurred"), Rejection(refused, "blurred")]
            self.assert_not_allowed("is not stored any more", request_retakes, ticket.pk, rejections)
        self.assert_not_allowed("Mark the photos", request_retakes, ticket.pk, [])

    def test_tickets_that_ended_otherwise_are_not_reopened(self):
        for status in ("cancelled", "expired", "pending"):
            ticket = make_ticket(status=status)
            image = make_image(ticket, status="stored")
            rejections = [Rejection(image.pk, "blurred")]
            self.assert_not_allowed("has ended without its photos", request_retakes, ticket.pk, rejections)

    def test_ticket_whose_time_is_over_needs_a_new_one(self):
        ticket = self.completed()
        past, future = timezone.now() - timedelta(minutes=1), timezone.now() + timedelta(days=1)
        Ticket.objects.filter(pk=ticket.pk).update(expires_at=past)
        rejections = [Rejection(self.photo(ticket).pk, "blurred")]
        for too_early in (None, past):
            self.assert_not_allowed("say until when", request_retakes, ticket.pk, rejections, expires_at=too_early)
        self.reject(self.photo(ticket), expires_at=future)
        ticket.refresh_from_db()
        self.assertEqual((ticket.status, ticket.expires_at), ("in_progress", future))

    def test_another_time_changes_nothing_where_the_ticket_has_one_left(self):
        ticket = self.completed()
        soon = timezone.now() + timedelta(hours=1)
        Ticket.objects.filter(pk=ticket.pk).update(expires_at=soon)
        self.reject(self.photo(ticket), expires_at=soon + timedelta(days=1))
        ticket.refresh_from_db()
        self.assertEqual(ticket.expires_at, soon)


class ApprovalTests(ReviewTestCase):
    def test_approved_ticket_stays_completed_and_says_so(self):
        ticket = self.completed()
        sent = self.signals(ticket_approved)
        before = metrics.totals().get(("hopla_tickets_approved", (), ""), 0)
        self.assertIsNone(self.read(ticket)["review"])

        self.approve(ticket)

        self.assertEqual((self.read(ticket)["status"], self.read(ticket)["review"]), ("completed", "approved"))
        self.assertEqual(self.read(ticket, "status/")["review"], "approved")
        self.assertEqual(sent, [ticket_approved])
        self.assertEqual(metrics.totals()["hopla_tickets_approved", (), ""], before + 1)
        move = Transition.objects.filter(ticket_id=ticket.pk).order_by("id").last()
        self.assertEqual((move.from_status, move.to_status, move.reason), ("completed", "completed", "approved"))

    def test_approving_twice_is_as_once(self):
        ticket = self.completed()
        self.approve(ticket)
        sent = self.signals(ticket_approved)
        version = Ticket.objects.get(pk=ticket.pk).version
        self.approve(ticket)
        self.assertEqual((sent, Ticket.objects.get(pk=ticket.pk).version), ([], version))

    def test_only_a_completed_ticket_can_be_approved(self):
        for status in ("pending", "in_progress", "cancelled", "expired"):
            ticket = make_ticket(status=status)
            self.assert_not_allowed("Only a completed ticket", approve, ticket.pk, seen_version=ticket.version)

    def test_photos_that_came_after_the_look_are_not_approved_unseen(self):
        ticket = self.completed()
        seen = ticket.version
        self.reject(self.photo(ticket))
        store_photo(ticket, jpeg_bytes(9))
        self.assert_not_allowed("has changed since you opened it", approve, ticket.pk, seen_version=seen)

    def test_nobody_can_undo_a_review_through_the_api(self):
        ticket = self.completed()
        self.reject(self.photo(ticket))
        urls = [f"/api/v1/tickets/{ticket.pk}/", f"/api/v1/tickets/{ticket.pk}/images/{ticket.images.first().pk}/"]
        for client in (self.client, client_for(make_user(is_staff=True))):
            for url in urls:
                for method in ("put", "patch", "delete"):
                    response = getattr(client, method)(url, {"review": None, "status": "stored"}, format="json")
                    self.assertEqual(response.status_code, 405, (method, url))
        self.assertEqual(self.read(ticket)["review"], "retake_requested")

    def test_new_ticket_cannot_be_opened_as_approved(self):
        opened = self.client.post("/api/v1/tickets/", {"num_images": 1, "review": "approved"}, format="json").json()
        self.assertIsNone(opened["review"])


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's locks of rows")
class ConcurrentReviewTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.enterContext(running_sandbox())
        self.ticket = make_ticket(num_images=2)
        self.images = [store_photo(self.ticket, jpeg_bytes(number)) for number in (1, 2)]

    def tried(self, function):
        try:
            function()
        except ActionNotAllowed:
            return False
        return True

    def test_of_approval_and_rejection_at_once_one_is_made(self):
        version = Ticket.objects.get(pk=self.ticket.pk).version
        approval = lambda: approve(self.ticket.pk, seen_version=version)  # noqa: E731
        rejection = lambda: request_retakes(self.ticket.pk, [Rejection(self.images[0].pk, "blurred")])  # noqa: E731

        approved, rejected = at_once(self.tried, [approval, rejection])

        self.assertTrue(rejected)  # also after the approval: it is newer
        self.ticket.refresh_from_db()
        self.assertEqual((self.ticket.status, self.ticket.review), ("in_progress", "retake_requested"))
        moves = Transition.objects.filter(ticket_id=self.ticket.pk, reason="approved")
        self.assertEqual(moves.count(), int(approved))

    def test_two_who_reject_one_photo_at_once_reject_it_once(self):
        rejection = [Rejection(self.images[0].pk, "blurred")]
        made = at_once(self.tried, [lambda: request_retakes(self.ticket.pk, rejection)] * 2)
        self.assertEqual(sorted(made), [False, True])
        self.assertEqual(Transition.objects.filter(to_status="rejected").count(), 1)

    def test_of_two_retakes_for_one_place_at_once_one_is_taken(self):
        request_retakes(self.ticket.pk, [Rejection(self.images[0].pk, "blurred")])
        client = client_for(self.ticket.owner)

        def post(seed):
            return client.post(
                f"/api/v1/tickets/{self.ticket.pk}/images/",
                jpeg_bytes(seed),
                content_type="image/jpeg",
                headers={"content-disposition": "attachment; filename=a.jpg"},
            )

        answers = at_once(post, [11, 12])

        self.assertEqual(sorted(answer.status_code for answer in answers), [202, 409])
        self.assertEqual(self.ticket.images.holding_a_place().count(), 2)

    def test_oldest_ticket_that_waits_for_review_is_found_by_its_index(self):
        owner = self.ticket.owner
        tickets = [
            Ticket(owner=owner, num_images=1, status="completed", review="approved", completed_at=timezone.now())
            for _ in range(3000)
        ]
        Ticket.objects.bulk_create(tickets)
        waiting = Ticket.objects.filter(status="completed", review="").order_by("completed_at", "id")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tickets_ticket")
        self.assertIn("ticket_to_review", waiting[:20].explain())
