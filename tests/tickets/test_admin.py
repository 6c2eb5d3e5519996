"""Tickets, images and removals as staff see them."""

from datetime import timedelta

from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.reconcile import reconcile
from apps.tickets.removal import schedule_removal
from tests.case import ApiTestCase, staged_photos
from tests.makers import make_accepted_image, make_image, make_ticket, make_user, running_sandbox

ADMIN = "/admin/tickets/"


class AdminTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.ticket = make_ticket(title="Hail damage", num_images=3)
        self.image = make_accepted_image(self.ticket)
        schedule_removal("hopla/of-nobody")
        self.removal = AssetRemoval.objects.get()
        self.admin = self.log_in(make_user(is_staff=True, is_superuser=True))

    @staticmethod
    def log_in(user) -> Client:
        client = Client()
        client.force_login(user)
        return client

    def staff_who_may(self, *codenames: str) -> Client:
        user = make_user(is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return self.log_in(user)

    def pages(self) -> list[str]:
        things = (("ticket", self.ticket), ("image", self.image), ("assetremoval", self.removal))
        return [f"{ADMIN}{name}/{page}" for name, thing in things for page in ("", f"{thing.pk}/change/")]

    def post(self, path: str, client=None, **form):
        with self.captureOnCommitCallbacks(execute=True):
            return (client or self.admin).post(f"{ADMIN}{path}", form, follow=True)

    def cancel(self, *tickets, client=None):
        return self.post("ticket/", client, action="cancel", _selected_action=[ticket.pk for ticket in tickets])


class PageTests(AdminTestCase):
    def test_every_page_opens(self):
        for page in self.pages():
            with self.subTest(page):
                self.assertEqual(self.admin.get(page).status_code, 200)

    def test_staff_with_the_permission_to_look_may_look(self):
        viewer = self.staff_who_may("view_ticket", "view_image", "view_assetremoval")
        for page in self.pages():
            with self.subTest(page):
                self.assertEqual(viewer.get(page).status_code, 200)

    def test_staff_without_permission_and_customers_see_nothing(self):
        for client, status in ((self.staff_who_may(), 403), (self.log_in(make_user()), 302), (Client(), 302)):
            for page in self.pages():
                with self.subTest(page, status=status):
                    self.assertEqual(client.get(page).status_code, status)

    def test_ticket_shows_its_images(self):
        failed = make_image(self.ticket, position=2, status="failed", error_code="cloudinary_refused")

        page = self.admin.get(f"{ADMIN}ticket/{self.ticket.pk}/change/")

        self.assertContains(page, "cloudinary_refused")
        self.assertContains(page, f"{ADMIN}image/{failed.pk}/change/")

    def test_search_takes_whatever_is_typed(self):
        for name, found in (("ticket", "Hail damage"), ("image", str(self.image.pk))):
            for typed in (found, str(self.ticket.pk), "abc", "é'\"%_\\", "99999999999999999999999", "0x1f", " "):
                with self.subTest(name, typed=typed):
                    self.assertEqual(self.admin.get(f"{ADMIN}{name}/", {"q": typed}).status_code, 200)
            self.assertContains(self.admin.get(f"{ADMIN}{name}/", {"q": found}), found)

    def test_nothing_is_added_here(self):
        for name in ("ticket", "image", "assetremoval"):
            with self.subTest(name):
                self.assertEqual(self.admin.get(f"{ADMIN}{name}/add/").status_code, 403)
                self.assertEqual(self.post(f"{name}/add/").status_code, 403)
                self.assertNotContains(self.admin.get(f"{ADMIN}{name}/"), f"{ADMIN}{name}/add/")

    def test_what_the_pipeline_writes_is_not_written_here(self):
        for path in (f"image/{self.image.pk}/change/", f"assetremoval/{self.removal.pk}/change/"):
            with self.subTest(path):
                self.assertEqual(self.post(path, status="stored", public_id="hopla/other").status_code, 403)

        self.assertEqual(Image.objects.get().status, "queued")
        self.assertEqual(AssetRemoval.objects.get().public_id, "hopla/of-nobody")


class EditTests(AdminTestCase):
    NO_IMAGES = {"images-TOTAL_FORMS": 0, "images-INITIAL_FORMS": 0}

    def edit(self, **form):
        form = {"title": "Hail damage", "description": "", "expires_at_0": "", "expires_at_1": ""} | form
        return self.post(f"ticket/{self.ticket.pk}/change/", **form, **self.NO_IMAGES)

    def test_texts_and_expiry_are_for_staff_to_change(self):
        self.edit(title="Storm", description="North side", expires_at_0="2099-12-31", expires_at_1="12:00:00")

        ticket = Ticket.objects.get()
        self.assertEqual((ticket.title, ticket.description), ("Storm", "North side"))
        self.assertEqual(ticket.expires_at.isoformat(), "2099-12-31T12:00:00+00:00")

    def test_everything_else_is_not(self):
        other = make_user()
        self.edit(status="completed", num_images=1, owner=other.pk, version=99, completed_at_0="2020-01-01")

        ticket = Ticket.objects.get()
        self.assertEqual((ticket.status, ticket.num_images, ticket.owner), ("in_progress", 3, self.ticket.owner))
        self.assertIsNone(ticket.completed_at)

    def test_edit_does_not_undo_what_the_pipeline_wrote_meanwhile(self):
        version = Ticket.objects.get().version
        self.edit(title="Storm")
        Ticket.objects.update(num_images=1)
        self.deliver(self.image)

        self.edit(title="Hail again")

        ticket = Ticket.objects.get()
        self.assertEqual((ticket.status, ticket.title), ("completed", "Hail again"))
        self.assertGreater(ticket.version, version + 2)

    def test_ticket_whose_expiry_is_set_to_the_past_expires(self):
        self.edit(expires_at_0="2020-01-01", expires_at_1="00:00:00")
        reconcile()

        self.assertEqual(Ticket.objects.get().status, "expired")


class CancelTests(AdminTestCase):
    def test_selected_tickets_are_cancelled(self):
        other, untouched = make_ticket(), make_ticket()

        page = self.cancel(self.ticket, other)

        self.assertContains(page, "2 tickets were cancelled.")
        statuses = dict(Ticket.objects.values_list("pk", "status"))
        self.assertEqual(statuses, {self.ticket.pk: "cancelled", other.pk: "cancelled", untouched.pk: "pending"})
        self.assertEqual(Image.objects.get().error_code, "ticket_cancelled")
        self.assertEqual(staged_photos(), [])

    def test_tickets_that_have_ended_stay_as_they_are(self):
        completed, expired = make_ticket(status="completed"), make_ticket(status="expired")

        page = self.cancel(completed, expired, self.ticket)

        self.assertContains(page, "1 ticket was cancelled.")
        completed.refresh_from_db()
        self.assertEqual(completed.status, "completed")

    def test_looking_is_not_cancelling(self):
        viewer = self.staff_who_may("view_ticket", "delete_ticket")
        self.assertNotContains(viewer.get(f"{ADMIN}ticket/"), 'value="cancel"')

        self.cancel(self.ticket, client=viewer)

        self.assertEqual(Ticket.objects.get().status, "in_progress")

    def test_staff_who_may_change_may_cancel(self):
        self.cancel(self.ticket, client=self.staff_who_may("view_ticket", "change_ticket"))

        self.assertEqual(Ticket.objects.get().status, "cancelled")


class DeleteTests(AdminTestCase):
    def setUp(self):
        super().setUp()
        self.removal.delete()
        self.stored = self.deliver(self.image)
        self.queued = make_accepted_image(self.ticket, seed=2)

    def assert_gone(self, *, left: list[Image]) -> None:
        AssetRemoval.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        reconcile()
        self.assertEqual(list(Image.objects.all()), left)
        self.assertEqual(staged_photos(), [str(image.pk) for image in left if image.status == "queued"])
        self.assertEqual(len(self.sandbox.assets), len([image for image in left if image.status == "stored"]))

    def test_deleted_ticket_takes_photos_and_assets_along(self):
        self.post(f"ticket/{self.ticket.pk}/delete/", post="yes")

        self.assertFalse(Ticket.objects.exists())
        self.assert_gone(left=[])

    def test_tickets_deleted_by_the_list_do_too(self):
        self.post("ticket/", action="delete_selected", _selected_action=self.ticket.pk, post="yes")

        self.assertFalse(Ticket.objects.exists())
        self.assert_gone(left=[])

    def test_deleted_image_takes_its_asset_along_and_no_other(self):
        self.post(f"image/{self.stored.pk}/delete/", post="yes")

        self.assert_gone(left=[self.queued])
        self.assertEqual(self.ticket.progress().remaining, 2)
