"""One key is one photo, whether it is posted at once or by an upload that goes on, and whatever Redis has forgotten."""

from datetime import timedelta
from unittest import mock

from django.db import OperationalError
from django.utils import timezone

from apps.tickets.models import IdempotencyKey, Image, Ticket
from apps.tickets.resumable import beginning, finishing
from apps.tickets.staging import store
from tests.case import CommittingTestCase, at_once, default_queue, staged_photos, staging_redis
from tests.makers import client_for, guest_client, make_guest_link, make_image, make_ticket
from tests.tickets.resumable.case import PHOTO, TusMixin, TusTestCase, metadata
from tests.tickets.resumable.test_ietf import IetfTestCase
from tests.tickets.resumable.test_tus import digest

SIZE = len(PHOTO)
OTHER = PHOTO[:-1] + b"\1"  # of the same length


class KeyedMixin(TusMixin):
    """Uploads and posts of a photo with one key."""

    key = "photo-17 of claim 4"

    @property
    def images_path(self) -> str:
        return f"/api/v1/tickets/{self.ticket.pk}/images/"

    def create(self, *arguments, **options):
        return self.begin(*arguments, **{"Idempotency_Key": self.key} | options)

    def upload(self, content: bytes = PHOTO, **options) -> str:
        """The path of an upload in two pieces, whose photo has been accepted."""
        path = self.begun(content[:1000], **{"Idempotency_Key": self.key, "length": len(content)} | options)
        response = self.send(path, 1000, content[1000:], client=options.get("client"))
        self.assertEqual(response.status_code, 204, response.content)
        return path

    def post_at_once(self, content: bytes = PHOTO, *, path: str | None = None, client=None):
        """As a client that knows nothing of uploads."""
        headers = {"Tus_Resumable": None, "Content_Type": "image/jpeg", "Idempotency_Key": self.key}
        return self.tus("POST", path or self.images_path, content, client=client, **headers)

    def assert_one_photo(self) -> Image:
        image = Image.objects.get()
        self.assertEqual(staged_photos(), [str(image.pk)])
        return image


class KeyedTestCase(KeyedMixin, TusTestCase):
    def assert_replays(self, response, image: Image) -> None:
        self.assertEqual((response.status_code, response.headers.get("Idempotent-Replayed")), (202, "true"))
        self.assertEqual(response.json()["id"], str(image.pk))
        self.assertEqual(response["Location"], f"http://testserver{self.images_path}{image.pk}/")

    def assert_finished(self, response, image: Image) -> None:
        """The answer to a creation whose photo is there: nothing is left to send."""
        self.assertEqual((response.status_code, response.headers.get("Idempotent-Replayed")), (201, "true"))
        self.assertEqual(response["Upload-Offset"], str(image.size))
        self.assertEqual(response["Content-Location"], f"{self.images_path}{image.pk}/")
        self.assertEqual(self.offset_of(response["Location"]), image.size)


class PostAfterUploadTests(KeyedTestCase):
    """A client that gave up going on posts the photo, whose upload had in truth been finished."""

    def test_same_photo_gets_the_answer_of_one_posted_at_once(self):
        self.upload()
        image = self.assert_one_photo()
        as_read = self.client.get(f"{self.images_path}{image.pk}/").json()

        response = self.post_at_once()

        self.assert_replays(response, image)
        self.assertEqual(response.json(), as_read)
        self.assert_one_photo()

    def test_other_bytes_are_refused(self):
        self.upload()
        self.assert_problem(self.post_at_once(OTHER), 422, "idempotency_key_reused")
        self.assert_one_photo()

    def test_photo_on_another_ticket_is_refused(self):
        self.upload()
        other = f"/api/v1/tickets/{make_ticket(self.owner).pk}/images/"
        self.assert_problem(self.post_at_once(path=other), 422, "idempotency_key_reused")
        self.assert_one_photo()

    def test_slot_counts(self):
        self.ticket = make_ticket(self.owner, slots=[{"name": "front"}, {"name": "odometer"}])
        self.upload(Upload_Metadata=metadata(slot="front"))

        self.assert_problem(self.post_at_once(path=f"{self.images_path}?slot=odometer"), 422, "idempotency_key_reused")
        response = self.post_at_once(path=f"{self.images_path}?slot=front")
        self.assert_replays(response, self.assert_one_photo())
        self.assertEqual(response.json()["slot"], "front")

    def test_photo_that_comes_with_the_creation(self):
        self.create(PHOTO)
        self.assert_replays(self.post_at_once(), self.assert_one_photo())

    def test_photo_accepted_by_whoever_asked_next(self):
        path = self.begun(PHOTO[:1000], Idempotency_Key=self.key)
        with mock.patch.object(finishing, "_accept_once", side_effect=OperationalError):
            self.assertEqual(self.send(path, 1000, PHOTO[1000:]).status_code, 503)
        self.assertFalse(IdempotencyKey.objects.exists())

        self.assertEqual(self.offset_of(path), SIZE)
        self.assert_replays(self.post_at_once(), self.assert_one_photo())

    def test_photo_that_failed_since_is_taken_anew(self):
        self.upload()
        Image.objects.update(status="failed")
        response = self.post_at_once()
        self.assertEqual((response.status_code, "Idempotent-Replayed" in response), (202, False))
        self.assertEqual(Image.objects.count(), 2)

    def test_key_is_forgotten_after_a_day(self):
        self.upload()
        IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
        response = self.post_at_once()
        self.assertEqual((response.status_code, "Idempotent-Replayed" in response), (202, False))

    def test_refused_photo_keeps_no_key(self):
        path = self.begun(Idempotency_Key=self.key)
        self.assertEqual(self.send(path, 0, b"%PDF" * 100).status_code, 415)
        self.assertEqual(self.post_at_once().status_code, 202)

    def test_upload_without_a_key_keeps_none(self):
        self.upload(Idempotency_Key=None)
        self.assertFalse(IdempotencyKey.objects.exists())

    def test_key_of_a_guest_stays_the_guests_whoever_ends_the_upload(self):
        self.ticket = make_ticket(self.owner, num_images=3)
        guest = guest_client(make_guest_link(self.ticket))
        path = self.begun(PHOTO[:1000], Idempotency_Key=self.key, client=guest)
        self.assertEqual(self.send(path, 1000, PHOTO[1000:]).status_code, 204)
        image = self.assert_one_photo()

        self.assert_replays(self.post_at_once(client=guest), image)
        for client in (self.client, guest_client(make_guest_link(self.ticket))):
            response = self.post_at_once(client=client)
            self.assertEqual((response.status_code, "Idempotent-Replayed" in response), (202, False))


class CreationAfterPhotoTests(KeyedTestCase):
    """A creation whose photo is there begins nothing, though Redis knows of no upload."""

    def test_redis_that_was_emptied_begins_no_second_photo(self):
        path = self.upload()
        staging_redis().flushdb()

        again = self.create()

        self.assert_finished(again, Image.objects.get())
        self.assertEqual(again["Location"], path)

    def test_full_ticket_and_full_staging_do_not_matter(self):
        self.upload()
        make_image(self.ticket, position=2)
        for status in ("in_progress", "completed", "cancelled"):
            with self.subTest(status):
                Ticket.objects.filter(pk=self.ticket.pk).update(status=status)
                staging_redis().flushdb()
                self.assertEqual(self.create()["Upload-Offset"], str(SIZE))

    def test_photo_that_was_posted_at_once(self):
        image_id = self.post_at_once().json()["id"]
        self.assert_finished(self.create(PHOTO), Image.objects.get(pk=image_id))
        self.assert_one_photo()

    def test_other_things_asked_with_the_key_are_refused(self):
        self.ticket = make_ticket(self.owner, num_images=3, slots=[{"name": "front"}])
        self.upload(Upload_Metadata=metadata(slot="front"))
        front = {"Upload_Metadata": metadata(slot="front")}
        other_ticket = {"path": f"/api/v1/tickets/{make_ticket(self.owner).pk}/uploads/"}
        for other in ({}, front | {"length": 7}, front | {"Repr_Digest": digest(b"")}, other_ticket):
            with self.subTest(other):
                self.assert_problem(self.create(**other), 422, "idempotency_key_reused")

        for same in (front, front | {"Repr_Digest": digest(PHOTO)}):
            self.assert_finished(self.create(**same), Image.objects.get())
        self.assertEqual(self.create(length=None, Upload_Defer_Length="1", **front)["Upload-Offset"], str(SIZE))

    def test_key_of_an_opened_ticket_is_taken(self):
        self.client.post("/api/v1/tickets/", {"num_images": 1}, headers={"Idempotency-Key": self.key})
        self.assert_problem(self.create(), 422, "idempotency_key_reused")

    def test_photo_that_failed_since_begins_anew(self):
        path = self.upload()
        Image.objects.update(status="failed")
        staging_redis().flushdb()
        again = self.create()
        self.assertEqual((again.status_code, again["Upload-Offset"]), (201, "0"))
        self.assertNotEqual(again["Location"], path)


class PostDuringUploadTests(KeyedTestCase):
    """A photo posted at once takes over: its upload can only end as that photo."""

    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(self.owner, num_images=1)
        self.path = self.begun(PHOTO[:1000], Idempotency_Key=self.key)
        self.assertEqual(self.post_at_once().status_code, 202)

    def test_upload_of_the_same_bytes_ends_as_that_photo(self):
        response = self.send(self.path, 1000, PHOTO[1000:])

        image = self.assert_one_photo()
        self.assertEqual((response.status_code, response["Upload-Offset"]), (204, str(SIZE)))
        self.assertEqual(response["Content-Location"], f"{self.images_path}{image.pk}/")
        self.assertEqual(self.ask(self.path).status_code, 404)

    def test_upload_of_other_bytes_is_refused_and_gone(self):
        self.assert_problem(self.send(self.path, 1000, OTHER[1000:]), 422, "idempotency_key_reused")
        self.assertEqual(self.ask(self.path).status_code, 404)
        self.assert_one_photo()

    def test_upload_on_a_ticket_that_the_photo_completed_leads_to_it_by_a_new_creation(self):
        Ticket.objects.update(status="completed")
        self.assert_problem(self.send(self.path, 1000, PHOTO[1000:]), 409, "ticket_completed")
        self.assertEqual(self.ask(self.path).status_code, 404)
        self.assert_finished(self.create(), self.assert_one_photo())

    def test_repeated_creation_leads_to_that_photo(self):
        self.assert_finished(self.create(), Image.objects.get())

    def test_key_that_became_another_tickets_photo(self):
        IdempotencyKey.objects.all().delete()
        Image.objects.all().delete()
        elsewhere = make_ticket(self.owner)
        self.assertEqual(self.post_at_once(path=f"/api/v1/tickets/{elsewhere.pk}/images/").status_code, 202)

        self.assert_problem(self.send(self.path, 1000, PHOTO[1000:]), 422, "idempotency_key_reused")
        self.assertEqual(Image.objects.get().ticket, elsewhere)


class IetfTests(KeyedMixin, IetfTestCase):
    def resume(self, content: bytes = PHOTO, **headers):
        return self.post(content, Idempotency_Key=self.key, **headers)

    def test_photo_that_went_on_is_replayed_to_a_plain_post(self):
        path = self.begun(PHOTO[:1000], Idempotency_Key=self.key, Upload_Length=SIZE)
        first = self.append(path, 1000, PHOTO[1000:])
        again = self.post_at_once()
        self.assertEqual((again.status_code, again["Idempotent-Replayed"]), (202, "true"))
        self.assertEqual((again.json(), again["Location"]), (first.json(), first["Location"]))
        self.assert_problem(self.post_at_once(OTHER), 422, "idempotency_key_reused")

    def test_photo_that_came_at_once_is_replayed_to_a_plain_post(self):
        first = self.resume()
        again = self.post_at_once()
        self.assertEqual((again.json(), again["Location"]), (first.json(), first["Location"]))
        self.assert_one_photo()

    def test_repeat_after_redis_was_emptied_makes_no_second_photo(self):
        first = self.resume()
        staging_redis().flushdb()
        again = self.resume()
        self.assertEqual((again.status_code, again["Idempotent-Replayed"]), (202, "true"))
        self.assertEqual(again.json()["id"], first.json()["id"])
        self.assertEqual(Image.objects.count(), 1)

    def test_repeat_of_a_plain_post_is_the_same_photo(self):
        first = self.post_at_once()
        self.assertEqual(self.resume().json()["id"], first.json()["id"])
        self.assert_one_photo()

    def test_other_bytes_of_the_same_length_are_refused(self):
        self.resume()
        self.assert_problem(self.resume(OTHER), 422, "idempotency_key_reused")
        self.assert_one_photo()


class TogetherTests(KeyedMixin, CommittingTestCase):
    """With real commits and threads; a key in flight, overtaken or no room: as a client does, ask again."""

    def finish(self, client):
        """Goes on with the upload, or finds that it is over. Returns the path of the image."""
        for _attempt in range(200):
            asked = self.ask(self.path, client=client)
            if asked.status_code == 404:  # begin anew
                begun = self.create(client=client)
                if begun.status_code == 201 and "Content-Location" in begun:
                    return begun["Content-Location"]
                continue
            if asked.status_code != 200:
                continue
            offset = int(asked["Upload-Offset"])
            sent = self.send(self.path, offset, PHOTO[offset:], client=client)
            if sent.status_code == 204 and "Content-Location" in sent:
                return sent["Content-Location"]
        return None

    def post_until_accepted(self, client):
        for _attempt in range(200):
            response = self.post_at_once(client=client)
            if response.status_code == 202:
                return response["Location"].removeprefix("http://testserver")
            self.assertIn(response.status_code, (409, 503), response.content)
        return None

    def test_ends_of_an_upload_and_posts_with_its_key_at_once_are_one_photo(self):
        self.ticket = make_ticket(self.owner, num_images=20)
        clients = [client_for(self.owner) for _ in range(6)]
        ways = [self.finish, self.post_until_accepted] * 3
        for number in range(1, 6):
            self.key = f"photo {number}"
            self.path = self.begun(PHOTO[:50_000], Idempotency_Key=self.key)

            locations = at_once(lambda index: ways[index](clients[index]), range(len(clients)))

            image = IdempotencyKey.objects.get(key=self.key).image
            self.assertEqual(locations, [f"{self.images_path}{image.pk}/"] * len(clients))
            self.assertEqual(Image.objects.count(), number)
            self.assertEqual(len(default_queue().job_ids), number)
        self.assertEqual(staged_photos(), sorted(str(pk) for pk in Image.objects.values_list("pk", flat=True)))
        self.assertEqual(store.bytes_in_use(), 5 * SIZE)

    def test_uploads_with_one_key_that_end_on_two_tickets_at_once_are_one_photo(self):
        clients = [client_for(self.owner) for _ in range(2)]
        self.ticket, other = make_ticket(self.owner, num_images=20), make_ticket(self.owner, num_images=20)
        for number in range(1, 6):
            self.key = f"photo {number}"
            paths = [self.begun(PHOTO[:1000], Idempotency_Key=self.key)]
            staging_redis().delete(*staging_redis().keys(f"{beginning.KEYS}*"))  # or the second would be refused
            path = f"/api/v1/tickets/{other.pk}/uploads/"
            paths.append(self.begun(PHOTO[:1000], Idempotency_Key=self.key, path=path))

            def finish(index, paths=paths):
                for _attempt in range(200):
                    asked = self.ask(paths[index], client=clients[index])
                    if asked.status_code != 200:
                        return asked.status_code
                    offset = int(asked["Upload-Offset"])
                    sent = self.send(paths[index], offset, PHOTO[offset:], client=clients[index])
                    if sent.status_code not in (409, 503):
                        return sent.status_code
                return None

            self.assertCountEqual(at_once(finish, range(2)), [204, 422])
            self.assertEqual(Image.objects.count(), number)
        self.assertEqual(staged_photos(), sorted(str(pk) for pk in Image.objects.values_list("pk", flat=True)))
