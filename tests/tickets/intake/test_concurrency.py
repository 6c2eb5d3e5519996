"""Many at once on one ticket, in real threads with real commits. What PostgreSQL's row locks decide, SQLite decides by
letting one transaction write at a time."""

from django.core.files.uploadedfile import SimpleUploadedFile

from apps.tickets.delivery.job import deliver_photo
from apps.tickets.lifecycle.signals import ticket_completed
from apps.tickets.models import Image, Ticket
from apps.tickets.staging import store
from tests.case import CommittingTestCase, at_once, default_queue, staged_photos
from tests.makers import client_for, jpeg_bytes, make_accepted_image, make_ticket, make_user, running_sandbox


class PlacesTests(CommittingTestCase):
    THREADS, PLACES = 32, 8

    def test_as_many_photos_are_accepted_as_there_are_places(self):
        owner = make_user()
        ticket = make_ticket(owner, num_images=self.PLACES)
        clients = [client_for(owner) for _ in range(self.THREADS)]

        def post(number):
            while True:
                photo = SimpleUploadedFile(f"{number}.jpg", jpeg_bytes(number), "image/jpeg")
                url = f"/api/v1/tickets/{ticket.pk}/images/"
                response = clients[number].post(url, {"image": photo}, format="multipart")
                if response.status_code != 503:  # more threads than database connections: as a client does, ask again
                    return response.status_code, response.json()

        answers = at_once(post, range(self.THREADS))

        accepted = [image for status, image in answers if status == 202]
        refused = [(status, problem["code"]) for status, problem in answers if status != 202]
        self.assertEqual(len(accepted), self.PLACES)
        self.assertEqual(refused, [(409, "ticket_full")] * (self.THREADS - self.PLACES))
        self.assertCountEqual([image["position"] for image in accepted], range(1, self.PLACES + 1))
        ids = [image["id"] for image in accepted]
        self.assertCountEqual(map(str, Image.objects.values_list("pk", flat=True)), ids)
        self.assertCountEqual(staged_photos(), ids)
        self.assertEqual(store.bytes_in_use(), sum(image["size"] for image in accepted))
        self.assertCountEqual([job.args[0] for job in default_queue().jobs], ids)


class CompletionTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.completed = []
        ticket_completed.connect(self.note)
        self.addCleanup(ticket_completed.disconnect, self.note)

    def note(self, *, ticket, **kwargs):
        self.completed.append(ticket.pk)

    def test_last_photos_finished_at_once_complete_the_ticket_once(self):
        owner = make_user()
        for photos in (2, 2, 2, 2, 2, 4, 4, 4, 8, 8):
            with self.subTest(photos=photos):
                self.completed.clear()
                ticket = make_ticket(owner, num_images=photos)
                images = [make_accepted_image(ticket, seed=number) for number in range(photos)]

                at_once(deliver_photo, [str(image.pk) for image in images])

                self.assertEqual(self.completed, [ticket.pk])
                self.assertEqual(Ticket.objects.get(pk=ticket.pk).status, "completed")
                self.assertEqual(ticket.progress().stored, photos)

    def test_one_job_run_by_several_workers_at_once_is_one_attempt(self):
        image = make_accepted_image(make_ticket(num_images=1))

        at_once(deliver_photo, [str(image.pk)] * 6)

        image.refresh_from_db()
        self.assertEqual((image.status, image.attempts), ("stored", 1))
        self.assertEqual(self.completed, [image.ticket_id])
        self.assertEqual(len(self.sandbox.uploads), 1)
