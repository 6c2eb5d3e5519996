from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.tickets.delivery.job import deliver_photo
from apps.tickets.lifecycle import moves, outcomes
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import Image, Ticket
from apps.tickets.models.transition import NeverChangedError, Transition, acting_as
from apps.tickets.upkeep.reconcile import reconcile
from tests.case import ApiTestCase, CommittingTestCase
from tests.faults.case import needs_postgres
from tests.makers import (
    begin_attempt,
    client_for,
    jpeg_bytes,
    make_accepted_image,
    make_image,
    make_ticket,
    running_sandbox,
)
from tests.tickets.upkeep.test_reconcile import make_due


class TransitionTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())

    def moves(self, **of) -> list[tuple]:
        found = Transition.objects.filter(**of).order_by("id")
        return [(bool(move.image_id), move.from_status, move.to_status, move.reason) for move in found]


class WrittenTests(TransitionTestCase):
    def test_way_of_a_photo_is_written_down(self):
        ticket = make_ticket(num_images=1)
        self.deliver(make_accepted_image(ticket))

        self.assertEqual(
            self.moves(ticket_id=ticket.pk),
            [
                (False, "pending", "in_progress", ""),
                (True, "queued", "uploading", ""),
                (True, "uploading", "stored", ""),
                (False, "in_progress", "completed", ""),
            ],
        )

    def test_retry_and_failure_have_their_reason(self):
        image = make_accepted_image(make_ticket())
        self.sandbox.misbehave("refuse", status=503, times=1)
        image = self.deliver(image)
        outcomes.record_failed(image, code="cloudinary_refused", detail="no")

        self.assertEqual(
            self.moves(image_id=image.pk)[1:],
            [(True, "uploading", "queued", "cloudinary_unavailable"), (True, "queued", "failed", "cloudinary_refused")],
        )

    def test_from_is_what_the_row_said_and_not_what_the_job_remembers(self):
        image = make_image(make_ticket(), status="uploading", attempts=1)
        Image.objects.update(status="queued")  # another worker considered its attempt lost

        outcomes.record_stored(image, asset_id="a", asset_version=1, asset_format="jpg")

        self.assertEqual(self.moves(), [(True, "queued", "stored", "")])

    def test_move_that_is_not_made_is_not_written(self):
        image = make_image(make_ticket(), status="stored")

        self.assertFalse(outcomes.record_failed(image, code="x", detail=""))
        self.assertFalse(cancel_ticket(make_ticket(status="completed").pk))

        self.assertEqual(self.moves(), [])

    def test_move_that_is_rolled_back_is_not_written(self):
        image = make_image(make_ticket(), status="uploading", attempts=1)
        with self.assertRaises(KeyError), transaction.atomic():
            moves.fail(image, code="x", detail="")
            raise KeyError

        self.assertEqual(self.moves(), [])

    def test_log_outlives_what_it_tells_of(self):
        ticket = make_ticket()
        image = make_accepted_image(ticket)
        pk, image_pk = ticket.pk, image.pk
        with acting_as("staff 1 (ana)"):
            Ticket.objects.get(pk=pk).delete()

        self.assertEqual(
            self.moves(ticket_id=pk)[-2:], [(True, "queued", "deleted", ""), (False, "in_progress", "deleted", "")]
        )
        self.assertEqual(Transition.objects.filter(image_id=image_pk).get().actor, "staff 1 (ana)")


class ActorTests(TransitionTestCase):
    def actors(self) -> list[str]:
        return list(Transition.objects.order_by("id").values_list("actor", flat=True))

    def test_user_by_whose_photo_it_began_and_the_request(self):
        ticket = make_ticket()
        headers = {"X-Request-ID": "follow-me-3"}
        client = client_for(ticket.owner)
        client.post(f"/api/v1/tickets/{ticket.pk}/images/", jpeg_bytes(), content_type="image/jpeg", headers=headers)
        self.deliver(Image.objects.get())

        self.assertEqual(self.actors(), [f"user {ticket.owner_id}", "job", "job"])
        self.assertEqual(set(Transition.objects.values_list("request_id", flat=True)), {"follow-me-3"})

    def test_job_has_its_id(self):
        image = make_accepted_image(make_ticket())

        class Job:
            id = "the-job"

        from rq.job import _job_stack

        _job_stack.push(Job)
        self.addCleanup(_job_stack.pop)
        deliver_photo(str(image.pk))

        self.assertIn("job the-job", self.actors())

    def test_reconciler(self):
        make_due(make_image(make_ticket(), status="uploading", attempts=1))
        reconcile()

        self.assertEqual(self.actors(), ["reconcile"])


class NeverChangedTests(TransitionTestCase):
    def setUp(self):
        super().setUp()
        self.deliver(make_accepted_image(make_ticket()))
        self.transition = Transition.objects.earliest("id")

    def test_python_refuses(self):
        for change in (
            self.transition.save,
            self.transition.delete,
            Transition.objects.all().delete,
            lambda: Transition.objects.update(actor="nobody"),
        ):
            with self.assertRaises(NeverChangedError):
                change()

    @needs_postgres
    def test_database_refuses(self):
        for sql in ("UPDATE tickets_transition SET actor = 'nobody'", "DELETE FROM tickets_transition"):
            with self.assertRaisesMessage(DatabaseError, "never changed"), transaction.atomic():
                connection.cursor().execute(sql)

    def test_image_id_is_a_uuid(self):
        self.assertIsInstance(Transition.objects.exclude(image_id=None).first().image_id, UUID)


class ToldTests(CommittingTestCase):
    def lines(self, make) -> list:
        with self.assertLogs("apps.tickets.models.transition", "INFO") as logs:
            make()
        return [(line.levelname, line.getMessage()) for line in logs.records]

    def test_log_tells_of_a_move_as_loudly_as_it_matters(self):
        image = make_image(make_ticket(num_images=2), status="uploading", attempts=1)
        name = f"image {image.pk} of ticket {image.ticket_id}"

        def make():
            outcomes.record_retry(image, moment=timezone.now(), code="cloudinary_unavailable", detail="")
            begin_attempt(image)
            moves.store(image, asset_id="a", asset_version=1, asset_format="jpg")
            outcomes.record_asset_lost(image, code="asset_missing", detail="")
            outcomes.record_failed(make_image(image.ticket, position=2), code="bytes_lost", detail="")

        *of_one, (level_of_other, _) = self.lines(make)

        self.assertEqual(
            of_one,
            [
                ("WARNING", f"{name}: uploading -> queued, cloudinary_unavailable"),
                ("INFO", f"{name}: queued -> uploading"),
                ("INFO", f"{name}: uploading -> stored"),
                ("ERROR", f"{name}: stored -> failed, asset_missing"),
            ],
        )
        self.assertEqual(level_of_other, "WARNING")

    def test_move_that_is_rolled_back_is_not_told(self):
        image = make_image(make_ticket(), status="uploading", attempts=1)
        with self.assertNoLogs("apps.tickets.models.transition"), self.assertRaises(KeyError), transaction.atomic():
            moves.fail(image, code="x", detail="")
            raise KeyError
