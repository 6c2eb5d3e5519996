"""What notifications do not tell, the reconciler finds out: uploads that came, that did not, and that came late."""

import io
from datetime import timedelta

from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.tickets.direct import looking
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.lifecycle.outcomes import may_be_tried_again
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.upkeep.reconcile import reconcile
from apps.tickets.upkeep.staff_actions import ActionNotAllowed, try_again
from tests.makers import jpeg_bytes, make_awaited, make_image, make_ticket, make_user
from tests.tickets.direct.case import DirectTestCase


class LookingTests(DirectTestCase):
    def look(self) -> None:
        """As the reconciler does, without keeping its distance from the look before."""
        looking.redis_at(looking.settings.REDIS_URL).delete(looking.NEXT_LOOK)
        looking.look_for_uploads()

    def pass_late_time(self, *images: Image) -> None:
        """No asset can come any more."""
        past = timezone.now() - timedelta(hours=2)
        Image.objects.filter(pk__in=[image.pk for image in images]).update(upload_expires_at=past, next_check_at=past)

    def expired(self, **fields) -> tuple[Image, dict]:
        image, form = self.begun(**fields)
        self.run_out(image)
        self.look()
        self.assertEqual(self.status_of(image), ("failed", "direct_upload_expired"))
        return image, form

    def test_photo_of_which_nobody_told_is_found_at_the_end(self):
        image, form = self.begun()
        self.posted(form)
        self.run_out(image)

        self.look()

        kept = self.kept(image)
        self.assertEqual((kept.status, kept.md5, kept.width), ("stored", self.facts(image)["etag"], 16))

    def test_photo_that_did_not_come_fails_and_frees_its_place(self):
        self.expired()

        self.assertEqual(self.progress()["received"], 0)
        self.assertEqual(AssetRemoval.objects.count(), 0)

    def test_nothing_is_asked_before_it_is_due(self):
        self.begun()

        self.look()

        self.assertEqual(self.sandbox.requests["admin"], 0)

    def test_many_are_looked_for_with_one_call_for_a_hundred(self):
        ticket = make_ticket(self.owner, num_images=150)
        images = [make_awaited(ticket, position=position) for position in range(1, 131)]
        self.run_out(*images)

        for _ in range(2):  # a look ends after a time
            self.look()

        self.assertEqual(self.sandbox.requests["admin"], 2)
        self.assertEqual(Image.objects.filter(error_code="direct_upload_expired").count(), 130)

    def test_looks_keep_a_distance(self):
        first, _ = self.begun()
        self.run_out(first)
        reconcile()
        second, _ = self.begun()
        self.run_out(second)

        reconcile()

        self.assertEqual(self.sandbox.requests["admin"], 1)
        self.assertEqual(self.status_of(second)[0], "awaiting_upload")

    def test_while_cloudinary_is_away_everything_waits(self):
        image, form = self.begun()
        self.posted(form)
        self.run_out(image)
        away = self.sandbox.misbehave("refuse", action="admin", status=503)

        self.look()
        self.assertEqual(self.status_of(image)[0], "awaiting_upload")
        asked = self.sandbox.requests["admin"]
        self.look()
        self.assertEqual(self.sandbox.requests["admin"], asked, "it is not asked again at once")

        self.sandbox.behave(away)
        self.run_out(image)
        self.look()
        self.assertEqual(self.status_of(image)[0], "stored")

    def test_limit_of_the_admin_api_is_waited_for(self):
        image, _ = self.begun()
        self.run_out(image)
        self.sandbox.misbehave("refuse", action="admin", status=420, reset_in_seconds=600)

        self.look()

        self.assertEqual(self.status_of(image)[0], "awaiting_upload")
        left = looking.redis_at(looking.settings.REDIS_URL).pttl(looking.NEXT_LOOK)
        self.assertGreater(left, 500_000)

    def test_signed_photo_that_is_not_shown_yet_keeps_its_place(self):
        image, form = self.begun()
        self.posted(form)
        self.confirm(image)
        self.run_out(image)
        lag = self.sandbox.misbehave("admin_lag", seconds=600)

        self.look()
        self.assertEqual(self.status_of(image)[0], "awaiting_upload")

        self.sandbox.behave(lag)
        self.run_out(image)
        self.look()
        self.assertEqual(self.status_of(image)[0], "stored")

    def test_what_is_found_is_compared_too(self):
        image, form = self.begun(md5="0" * 32)
        self.posted(form)
        self.run_out(image)

        self.look()

        self.assertEqual(self.status_of(image), ("failed", "direct_upload_md5_mismatch"))

    # --- Late ---

    def test_late_photo_counts_while_its_place_is_free(self):
        Ticket.objects.update(num_images=1)
        image, form = self.expired()
        self.posted(form)

        with self.captureOnCommitCallbacks(execute=True):
            self.assertEqual(self.notify(self.facts(image)).json()["outcome"], "stored")

        kept = self.kept(image)
        self.assertEqual((kept.status, kept.error_code, kept.position), ("stored", "", 1))
        self.assertEqual(Ticket.objects.get().status, "completed")
        self.assertEqual(self.notify(self.facts(image)).json()["outcome"], "unchanged")

    def test_late_photo_takes_another_place_without_a_name(self):
        image, _ = self.expired()
        make_image(self.ticket, position=1)

        self.notify(self.facts(image))

        self.assertEqual((self.kept(image).status, self.kept(image).position), ("stored", 2))

    def test_late_photo_whose_place_is_taken_is_removed_and_never_counts(self):
        image, form = self.expired()
        others = [make_image(self.ticket, position=position) for position in (1, 2)]
        self.posted(form)

        self.assertEqual(self.notify(self.facts(image)).json()["outcome"], "removed")

        reconcile()
        self.assertEqual(list(self.sandbox.assets), [])
        others[0].delete()
        self.assertEqual(self.notify(self.facts(image)).json()["outcome"], "removed")
        self.assertEqual(self.status_of(image), ("failed", "direct_upload_expired"))

    def test_late_photo_that_its_client_has_taken_back_is_removed_and_never_counts(self):
        image, form = self.expired()
        self.assertEqual(self.client.delete(self.path(image_id=image.pk)).status_code, 204)
        self.posted(form)

        self.assertEqual(self.notify(self.facts(image)).json(), {"outcome": "removed"})

        self.assertEqual(self.status_of(image), ("failed", "direct_upload_expired"))
        reconcile()
        self.assertEqual(list(self.sandbox.assets), [])

    def test_late_photo_of_a_ticket_that_has_ended_is_removed(self):
        image, _ = self.expired()
        cancel_ticket(self.ticket.pk)

        self.assertEqual(self.notify(self.facts(image)).json()["outcome"], "removed")

    def test_late_photo_of_which_nobody_told_is_found_by_one_more_look(self):
        image, form = self.expired()
        self.posted(form)
        self.look()
        self.assertEqual(self.status_of(image)[0], "failed")  # it is not time yet

        self.pass_late_time(image)
        self.look()

        self.assertEqual(self.status_of(image)[0], "stored")

    def test_late_photo_of_which_nobody_told_is_removed_if_its_place_is_taken(self):
        image, form = self.expired()
        self.posted(form)
        for position in (1, 2):
            make_image(self.ticket, position=position)
        self.pass_late_time(image)

        self.look()
        reconcile()

        self.assertEqual((self.status_of(image)[0], list(self.sandbox.assets)), ("failed", []))

    def test_late_photo_is_hastened_by_its_confirmation(self):
        image, form = self.expired()
        self.posted(form)

        self.assertEqual(self.confirm(image).status_code, 202)
        self.look()

        self.assertEqual(self.status_of(image)[0], "stored")

    def test_after_the_last_look_nothing_is_looked_for_any_more(self):
        image, _ = self.expired()
        self.pass_late_time(image)
        self.look()

        self.assertIsNone(self.kept(image).next_check_at)
        self.assertEqual(self.confirm(image).status_code, 200)
        self.assertEqual(self.notify(self.facts(image)).json()["outcome"], "removed")

    # --- What else looks ---

    def test_audit_knows_awaited_photos(self):
        _, form = self.begun()
        self.posted(form)
        _, late = self.expired()
        self.posted(late)

        out = io.StringIO()
        call_command("audit_assets", stdout=out)

        self.assertIn("both sides agree", out.getvalue())

    def test_audit_knows_stored_ones(self):
        image, form = self.begun()
        self.posted(form)
        self.notify(self.facts(image))

        out = io.StringIO()
        call_command("audit_assets", "--grace=0", stdout=out)

        self.assertEqual(out.getvalue().splitlines(), ["1 stored images, 1 assets at Cloudinary", "both sides agree"])

    def test_reconciler_asks_the_database_once_where_there_is_none(self):
        make_image(self.ticket)

        with CaptureQueriesContext(connection) as captured:
            looking.look_for_uploads()

        self.assertEqual(len(captured), 1)


class StaffTests(DirectTestCase):
    """What the admin makes of them."""

    def test_cannot_have_one_tried_again(self):
        image, _ = self.begun()
        for status in ("awaiting_upload", "failed"):
            Image.objects.filter(pk=image.pk).update(status=status)
            with self.subTest(status), self.assertRaisesMessage(ActionNotAllowed, "does not have its bytes"):
                try_again(image.pk)
            self.assertFalse(may_be_tried_again(self.kept(image)))

    def test_pages_show_them(self):
        staff = make_user(is_staff=True, is_superuser=True)
        awaited, _ = self.begun()
        stored, _ = self.begun(filename="two.jpg")
        self.notify(self.facts(stored, jpeg_bytes(2)))
        self.client.force_login(staff)

        pages = [f"tickets/ticket/{self.ticket.pk}/change/", f"tickets/ticket/{self.ticket.pk}/review/"]
        pages += [f"tickets/image/{image.pk}/change/" for image in (awaited, stored)]
        for page in (*pages, "tickets/image/?status__exact=awaiting_upload", ""):
            with self.subTest(page):
                response = self.client.get(f"/admin/{page}")
                self.assertEqual(response.status_code, 200)
                self.assertIn("wait", response.content.decode())
