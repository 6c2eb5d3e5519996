"""A direct upload counts once Cloudinary itself says what it holds, and only then."""

from datetime import timedelta

from django.test import override_settings
from django.utils import timezone

from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.models.transition import Transition
from apps.tickets.upkeep.reconcile import reconcile
from tests.makers import client_for, guest_client, make_guest_link, make_image, make_ticket, make_user
from tests.tickets.direct.case import NOTIFICATIONS, DirectTestCase


class NotificationTests(DirectTestCase):
    def setUp(self):
        super().setUp()
        self.image, self.form = self.begun()

    def outcome(self, told: dict, **how) -> str:
        response = self.notify(told, **how)
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()["outcome"]

    def test_photo_is_stored_with_the_facts_of_cloudinary(self):
        self.assertEqual(self.outcome(self.facts(self.image)), "stored")

        facts = self.facts(self.image)
        image = self.client.get(self.path(image_id=self.image.pk, of="images")).json()
        self.assertEqual((image["status"], image["size"], image["md5"]), ("stored", facts["bytes"], facts["etag"]))
        self.assertEqual((image["content_type"], image["format"]), ("image/jpeg", "jpeg"))
        self.assertEqual((image["width"], image["height"], image["sha256"]), (16, 12, None))
        self.assertTrue(image["url"].endswith(f"/v{facts['version']}/{self.image.public_id}.jpg"))
        self.assertIsNone(self.kept(self.image).next_check_at)

    def test_last_photo_completes_the_ticket(self):
        Ticket.objects.update(num_images=1)

        with self.captureOnCommitCallbacks(execute=True):
            self.outcome(self.facts(self.image))

        ticket = Ticket.objects.get()
        self.assertEqual((ticket.status, ticket.progress().stored), ("completed", 1))
        stored = Transition.objects.get(image_id=self.image.pk)
        self.assertEqual(
            (stored.from_status, stored.to_status, stored.actor), ("awaiting_upload", "stored", "cloudinary")
        )
        self.assertEqual(stored.request_id, self.image.request_id)

    def test_repeat_changes_nothing(self):
        self.outcome(self.facts(self.image))
        before = Ticket.objects.get().version, self.kept(self.image).stored_at

        self.assertEqual(self.outcome(self.facts(self.image)), "unchanged")

        self.assertEqual((Ticket.objects.get().version, self.kept(self.image).stored_at), before)
        self.assertEqual(AssetRemoval.objects.count(), 0)

    def test_sha256_is_taken_as_well_and_alone_where_the_account_says_so(self):
        self.assertEqual(self.outcome(self.facts(self.image), algorithm="sha256"), "stored")
        with override_settings(CLOUDINARY_URL=f"{self.sandbox.cloudinary_url}&signature_algorithm=sha256"):
            self.assert_problem(self.notify(self.facts(self.image)), 403, "notification_signature_invalid")
            self.assertEqual(self.outcome(self.facts(self.image), algorithm="sha256"), "unchanged")

    def test_forged_ones_are_refused(self):
        for response in (
            self.notify(self.facts(self.image), secret="another"),
            self.notify(self.facts(self.image), HTTP_X_CLD_SIGNATURE=""),
            self.notify(self.facts(self.image), HTTP_X_CLD_SIGNATURE="é" * 40),
            self.client.generic("POST", NOTIFICATIONS, b"{}", HTTP_X_CLD_TIMESTAMP="1735689600"),
        ):
            self.assert_problem(response, 403, "notification_signature_invalid")
        self.assertEqual(self.status_of(self.image)[0], "awaiting_upload")

    def test_old_ones_and_those_from_the_future_are_refused(self):
        for how in ({"age": 7300}, {"age": -600}, {"timestamp": ""}, {"timestamp": "soon"}, {"timestamp": "1e9"}):
            with self.subTest(how):
                self.assert_problem(self.notify(self.facts(self.image), **how), 403, "notification_time_invalid")
        self.assertEqual(self.status_of(self.image)[0], "awaiting_upload")
        self.assertEqual(self.outcome(self.facts(self.image), age=7000), "stored")

    def test_large_ones_are_refused(self):
        response = self.notify(self.facts(self.image) | {"context": "x" * 300_000})

        self.assert_problem(response, 413, "request_too_large")

    def test_other_ones_are_understood_and_ignored(self):
        facts = self.facts(self.image)
        for told in (
            facts | {"notification_type": "delete"},
            facts | {"public_id": "hopla/nothing"},
            facts | {"public_id": f"hopla/{self.ticket.pk}"},
            facts | {"public_id": str(self.image.pk)},
            facts | {"resource_type": "font"},
            facts | {"type": "private"},
            facts | {"bytes": "many"},
            facts | {"bytes": -1},
            facts | {"bytes": float("inf")},
            facts | {"width": -16},
            facts | {"version": 10**30},
            facts | {"etag": 5},
            facts | {"asset_id": "x" * 65},
            facts | {"asset_id": "a\0"},
            facts | {"asset_id": "\ud800"},
            {"notification_type": "upload"},
            ["a list"],
        ):
            with self.subTest(told):
                self.assertEqual(self.outcome(told), "unknown")
        ordinary = make_image(self.ticket, position=2, status="uploading", attempts=1)
        self.assertEqual(self.outcome(self.facts(ordinary)), "unknown")
        self.assertEqual((self.status_of(ordinary)[0], self.status_of(self.image)[0]), ("uploading", "awaiting_upload"))

    def test_facts_that_lack_some_have_cloudinary_asked(self):
        self.posted(self.form)
        for told in ({"etag": None}, {"etag": "x" * 40}, {"width": 0}):
            self.assertEqual(self.outcome(self.facts(self.image, **told)), "unchanged")
        self.assertEqual(self.status_of(self.image)[0], "awaiting_upload")
        reconcile()
        self.assertEqual(self.status_of(self.image)[0], "stored")

    def test_credentials_are_neither_needed_nor_read(self):
        self.assertEqual(self.outcome(self.facts(self.image), HTTP_AUTHORIZATION="Token wrong"), "stored")

    def test_deleted_photo(self):
        Ticket.objects.get().delete()

        self.assertEqual(self.outcome(self.facts(self.image)), "unknown")

    def test_equal_bytes_are_marked_as_a_duplicate(self):
        self.outcome(self.facts(self.image))
        second, _ = self.begun()
        self.assertIsNone(second.duplicate_of_id)

        self.outcome(self.facts(second))

        self.assertEqual(self.kept(second).duplicate_of_id, self.image.pk)


class MismatchTests(DirectTestCase):
    """What came is not what was announced, or no photo that is taken."""

    def assert_failed(self, code: str, *, announced: dict | None = None, facts: dict | None = None) -> None:
        image, _ = self.begun(**announced or {})

        response = self.notify(self.facts(image, **facts or {}))

        self.assertEqual(response.json()["outcome"], "failed")
        self.assertEqual(self.status_of(image), ("failed", code))
        self.assertTrue(self.client.get(self.path(image_id=image.pk, of="images")).json()["error"]["detail"])
        self.assertEqual(self.progress()["received"], 0)
        removal = AssetRemoval.objects.get(public_id=image.public_id)
        self.assertLessEqual(removal.due_at, timezone.now())
        self.assertEqual(removal.again_at, image.last_upload_at)
        # The first that came decides: its place is free for others.
        self.assertEqual(self.notify(self.facts(image)).json()["outcome"], "removed")
        self.assertEqual(self.status_of(image), ("failed", code))

    def test_another_size(self):
        self.assert_failed("direct_upload_size_mismatch", announced={"size": len(self.photo) + 1})

    def test_another_md5(self):
        self.assert_failed("direct_upload_md5_mismatch", announced={"md5": "0" * 32})

    def test_too_large(self):
        self.assert_failed("direct_upload_too_large", facts={"bytes": 10 * 1024 * 1024 + 1})

    def test_too_many_pixels(self):
        self.assert_failed("direct_upload_too_many_pixels", facts={"width": 64_001, "height": 1000})

    def test_no_photo(self):
        self.assert_failed("direct_upload_unsupported", facts={"format": "svg"})

    def test_what_was_announced_comes(self):
        image, _ = self.begun(size=len(self.photo), md5=self.facts(Image())["etag"].upper())

        self.assertEqual(self.notify(self.facts(image)).json()["outcome"], "stored")

    def test_file_that_is_no_image_is_removed_and_the_photo_still_awaited(self):
        image, form = self.begun()

        told = self.facts(image, resource_type="raw", format=None, width=None, height=None)
        self.assertEqual(self.notify(told).json()["outcome"], "removed")

        self.assertEqual(AssetRemoval.objects.get().public_id, f"raw:{image.public_id}")
        self.posted(form)
        with self.assertLogs("apps.tickets.storage.removal", "INFO"):
            reconcile()
        self.assertEqual((AssetRemoval.objects.count(), len(self.sandbox.assets)), (0, 1))
        self.assertEqual(self.notify(self.facts(image)).json()["outcome"], "stored")

    def test_svg_and_text_are_refused_by_cloudinary(self):
        _, form = self.begun()

        for content in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"no photo"):
            self.assertEqual(self.post(form, content).status, 400)

    def test_asset_goes_now_and_once_more_if_it_is_sent_again(self):
        image, form = self.begun(size=5)
        self.posted(form)
        self.notify(self.facts(image))

        reconcile()
        self.assertEqual(list(self.sandbox.assets), [])
        self.posted(form)  # its notification is lost
        AssetRemoval.objects.update(due_at=timezone.now())
        reconcile()

        self.assertEqual((list(self.sandbox.assets), AssetRemoval.objects.count()), ([], 0))


class EndedTicketTests(DirectTestCase):
    def setUp(self):
        super().setUp()
        self.image, self.form = self.begun()

    def test_cancelled_ticket_takes_none(self):
        cancel_ticket(self.ticket.pk)
        self.assertEqual(self.status_of(self.image), ("failed", "ticket_cancelled"))
        reconcile()
        self.posted(self.form)

        self.assertEqual(self.notify(self.facts(self.image)).json()["outcome"], "removed")

        reconcile()
        self.assertEqual((self.status_of(self.image)[0], list(self.sandbox.assets)), ("failed", []))

    def test_expired_ticket_takes_none(self):
        Ticket.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        reconcile()

        self.assertEqual(self.status_of(self.image), ("failed", "ticket_expired"))
        self.assertEqual(self.notify(self.facts(self.image)).json()["outcome"], "removed")

    def test_deleted_photo_leaves_no_asset(self):
        self.posted(self.form)
        with self.captureOnCommitCallbacks(execute=True):
            Image.objects.get(pk=self.image.pk).delete()

        reconcile()
        self.assertEqual(list(self.sandbox.assets), [])
        self.posted(self.form)
        AssetRemoval.objects.update(due_at=timezone.now())
        reconcile()
        self.assertEqual(list(self.sandbox.assets), [])


class ConfirmationTests(DirectTestCase):
    def setUp(self):
        super().setUp()
        self.image, self.form = self.begun()

    def test_signed_answer_has_cloudinary_asked_and_is_not_believed_itself(self):
        answer = self.posted(self.form) | {"bytes": 1, "etag": "0" * 32, "format": "svg"}

        response = self.client.post(f"{self.path(image_id=self.image.pk, of='images')}confirm/", answer)

        self.assertEqual((response.status_code, response.json()["status"]), (202, "awaiting_upload"))
        reconcile()
        kept = self.kept(self.image)
        self.assertEqual((kept.status, kept.size, kept.format), ("stored", len(self.photo), "jpeg"))
        stored = Transition.objects.get(image_id=kept.pk)
        self.assertEqual(stored.actor, "reconcile")

    def test_settled_photo_is_answered_with_200(self):
        self.notify(self.facts(self.image))

        response = self.confirm(self.image)

        self.assertEqual((response.status_code, response.json()["status"]), (200, "stored"))

    def test_signed_answer_without_a_photo_counts_for_nothing(self):
        self.assertEqual(self.confirm(self.image).status_code, 202)

        reconcile()

        self.assertEqual(self.status_of(self.image)[0], "awaiting_upload")

    def test_guest_confirms(self):
        link = make_guest_link(self.ticket)

        self.assertEqual(self.confirm(self.image, guest_client(link)).status_code, 202)

    def test_wrong_signatures(self):
        other, _ = self.begun()
        for changes in (
            {"secret": "another"},
            {"public_id": other.public_id},
            {"signature": "0" * 40},
            {"signature": "f"},
        ):
            with self.subTest(changes):
                self.assert_problem(self.confirm(self.image, **changes), 400, "confirmation_signature_invalid")

    def test_bad_input(self):
        response = self.client.post(f"{self.path(image_id=self.image.pk, of='images')}confirm/", {"version": "1"})

        self.assert_invalid(response, ("public_id", "required"), ("version", "invalid"), ("signature", "required"))

    def test_anonymous_and_stranger(self):
        self.assert_unauthenticated(self.confirm(self.image, client_for()))
        self.assert_problem(self.confirm(self.image, client_for(make_user())), 404, "not_found")

    def test_photo_that_came_through_hopla(self):
        ordinary = make_image(self.ticket, position=2)

        self.assert_problem(self.confirm(ordinary), 409, "not_a_direct_upload")

    def test_photo_of_another_ticket(self):
        other = make_ticket(self.owner)
        Image.objects.filter(pk=self.image.pk).update(ticket=other)

        self.assert_problem(self.confirm(self.image), 404, "not_found")
