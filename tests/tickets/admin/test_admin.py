"""Tickets, images and removals as staff see them."""

import re
import uuid
from datetime import timedelta
from unittest import mock

from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.tickets.lifecycle import outcomes
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.models.transition import Transition
from apps.tickets.staging import quarantine
from apps.tickets.storage.removal import schedule_removal
from apps.tickets.upkeep.reconcile import reconcile
from tests.case import ApiTestCase, staged_photos
from tests.makers import make_accepted_image, make_image, make_ticket, make_user, running_sandbox
from tests.tickets.api.test_sets import slots

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
        move = Transition.objects.first()
        things = (
            ("ticket", self.ticket),
            ("image", self.image),
            ("assetremoval", self.removal),
            ("transition", move),
        )
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

    def test_what_a_photo_says_of_itself_stands_apart_from_what_was_measured(self):
        claims = {"captured_at": "2026-11-26T10:00:00", "latitude": 52.25, "longitude": -21.5, "camera": "Canon <7D>"}
        image = make_image(self.ticket, position=3, **claims)
        page = self.admin.get(f"{ADMIN}image/{image.pk}/change/").content.decode()

        measured, claimed = page.split("As the photo says")
        for claim in ("2026-11-26T10:00:00", "52.25, -21.5", "Canon &lt;7D&gt;"):
            self.assertIn(claim, claimed)
            self.assertNotIn(claim, measured)
        self.assertIn(image.sha256, measured)
        with self.settings(KEEP_PHOTO_LOCATION=False):
            page = self.admin.get(f"{ADMIN}image/{image.pk}/change/").content.decode()
            self.assertNotIn("52.25", page)
            self.assertIn("Canon &lt;7D&gt;", page)

    def test_staff_with_the_permission_to_look_may_look(self):
        viewer = self.staff_who_may("view_ticket", "view_image", "view_assetremoval", "view_transition")
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

    def test_ticket_shows_how_long_a_photo_took(self):
        self.deliver(self.image)
        Image.objects.update(stored_at=self.image.created_at + timedelta(minutes=3, seconds=5))
        first = Transition.objects.get(to_status="uploading")
        began = (first.at - self.image.created_at).total_seconds()

        page = self.admin.get(f"{ADMIN}ticket/{self.ticket.pk}/change/")

        self.assertContains(page, f"first attempt after {began:.1f} s")
        self.assertContains(page, "after 3 min 5 s")

    def test_pages_say_what_they_leave_out(self):
        pages = [f"{ADMIN}ticket/{self.ticket.pk}/change/", f"{ADMIN}image/{self.image.pk}/change/"]
        self.deliver(self.image)
        make_image(self.ticket, position=2)
        for page in pages:
            self.assertNotContains(self.admin.get(page), "are shown.")

        with (
            mock.patch("apps.tickets.admin.tickets.PHOTOS_SHOWN", 1),
            mock.patch("apps.tickets.admin.parts.TRANSITIONS_SHOWN", 1),
        ):
            for page, everything in (
                (pages[0], f"{ADMIN}image/?q={self.ticket.pk}"),
                (pages[0], f"{ADMIN}transition/?q={self.ticket.pk}"),
                (pages[1], f"{ADMIN}transition/?q={self.image.pk}"),
            ):
                with self.subTest(everything):
                    self.assertContains(self.admin.get(page), f'<a href="{everything}">See all</a>')

    def test_search_takes_whatever_is_typed(self):
        for name, found in (("ticket", "Hail damage"), ("image", str(self.image.pk))):
            for typed in (found, str(self.ticket.pk), "abc", "é'\"%_\\", "99999999999999999999999", "0x1f", " "):
                with self.subTest(name, typed=typed):
                    self.assertEqual(self.admin.get(f"{ADMIN}{name}/", {"q": typed}).status_code, 200)
            self.assertContains(self.admin.get(f"{ADMIN}{name}/", {"q": found}), found)

    def test_photos_are_searched_by_what_an_index_knows(self):
        for typed in (str(self.image.pk), str(self.ticket.pk)):
            with self.subTest(typed), CaptureQueriesContext(connection) as queries:
                self.assertContains(self.admin.get(f"{ADMIN}image/", {"q": typed}), str(self.image.pk))
            searches = [query["sql"] for query in queries if 'FROM "tickets_image"' in query["sql"]]
            self.assertTrue(searches)
            for sql in searches:
                self.assertNotRegex(sql, "::text|UPPER|LIKE")

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


class ListTests(AdminTestCase):
    def listed(self, name: str = "ticket", client=None, **query) -> list[int]:
        page = (client or self.admin).get(f"{ADMIN}{name}/", query)
        self.assertEqual(page.status_code, 200)
        return [row.pk for row in page.context["cl"].result_list]

    def test_bars_show_how_far_each_ticket_is(self):
        self.deliver(self.image)
        make_image(self.ticket, position=2, status="failed")
        make_image(self.ticket, position=2)

        page = self.admin.get(f"{ADMIN}ticket/")

        self.assertContains(
            page, '<progress class="progress" max="3" value="1" aria-label="1 of 3"></progress>', html=True
        )
        self.assertContains(page, "1 of 3, 1 on their way, 1 failed")

    def test_queries_do_not_grow_with_the_rows(self):
        for name in ("ticket", "image", "assetremoval", "transition"):
            with self.subTest(name):
                with CaptureQueriesContext(connection) as few:
                    self.listed(name)
                for number in range(20):
                    ticket = make_ticket()
                    make_accepted_image(ticket, seed=100 + number)
                    schedule_removal(f"hopla/of-nobody-{ticket.pk}")
                with self.assertNumQueries(len(few)):
                    self.assertGreater(len(self.listed(name)), 20)

    def test_no_list_counts_or_scans_a_whole_table(self):
        for name in ("ticket", "image", "assetremoval", "transition"):
            with self.subTest(name), CaptureQueriesContext(connection) as captured:
                self.listed(name)
            counts = [query["sql"] for query in captured if "COUNT(" in query["sql"] and "tickets_" in query["sql"]]
            for sql in counts:
                self.assertTrue("LIMIT" in sql or "GROUP BY" in sql, sql)
            self.assertNotIn("DISTINCT", " ".join(query["sql"] or "" for query in captured))

    def test_more_than_are_counted_are_told(self):
        make_ticket()
        with mock.patch("apps.common.admin.lists.COUNT_LIMIT", 1):
            self.assertContains(self.admin.get(f"{ADMIN}ticket/"), "There are more than 1.")

    def test_filters(self):
        other = make_ticket(status="completed", owner=make_user("ana", email="ana@example.com"))
        Ticket.objects.filter(pk=other.pk).update(created_at="2020-02-03T23:30:00Z")
        make_image(other, status="failed")
        for query in (
            {"status__exact": "completed"},
            {"failures": "yes"},
            {"owner_is": "ANA"},
            {"owner_is": "ana@example.com"},
            {"last_day": "2020-02-03"},
            {"first_day": "2020-02-03", "last_day": "2020-02-03"},
            {"created_at__year": 2020},
            {"created_at__year": 2020, "created_at__month": 2, "created_at__day": 3},
        ):
            with self.subTest(query):
                self.assertEqual(self.listed(**query), [other.pk])
        for query in ({"owner_is": "nobody"}, {"first_day": "2020-02-31"}, {"last_day": "2020-02-02"}):
            with self.subTest(query):
                self.assertEqual(self.listed(**query), [])

    def test_owner_in_the_list_leads_to_the_tickets_of_that_owner(self):
        ana = make_user("ana+claims")
        theirs = make_ticket(owner=ana)

        page = self.admin.get(f"{ADMIN}ticket/")

        link = re.search(r'href="([^"]+)">ana\+claims', page.text).group(1)
        found = self.admin.get(f"{ADMIN}ticket/{link}").context["cl"].result_list
        self.assertEqual([ticket.pk for ticket in found], [theirs.pk])

    def test_dates_lead_from_years_to_days(self):
        Ticket.objects.update(created_at="2020-02-03T12:00:00Z")
        for query, link in (
            ({}, "?created_at__year=2020"),
            ({"created_at__year": 2020}, "?created_at__month=2&amp;created_at__year=2020"),
            (
                {"created_at__year": 2020, "created_at__month": 2},
                "?created_at__day=29&amp;created_at__month=2&amp;created_at__year=2020",
            ),
        ):
            with self.subTest(query):
                self.assertContains(self.admin.get(f"{ADMIN}ticket/", query), link)

    def test_search_by_number_owner_and_words_of_the_title(self):
        ana = make_user("ana", email="ana@example.com")
        storm = make_ticket(owner=ana, title="Storm, roof")
        make_ticket(owner=ana, title="Storm, door")
        for typed in (str(storm.pk), "ana roof", "ana@example.com roof", "storm roof"):
            with self.subTest(typed):
                self.assertEqual(self.listed(q=typed), [storm.pk])
        self.assertEqual(len(self.listed(q="ana")), 2)
        self.assertEqual(self.listed(q="bert"), [])

    def test_photos_by_status_and_code(self):
        failed = make_image(self.ticket, position=2, status="failed", error_code="cloudinary_refused")
        for query in ({"status__exact": "failed"}, {"code": "cloudinary_refused"}, {"q": str(failed.pk)}):
            with self.subTest(query):
                self.assertEqual(self.listed("image", **query), [failed.pk])

    def test_photos_that_wait_after_an_error_are_found_by_its_code(self):
        waiting = make_image(self.ticket, position=2, error_code="cloudinary_unavailable")
        self.assertEqual(self.listed("image", code="cloudinary_unavailable"), [waiting.pk])

    def test_moves_by_ticket_and_photo(self):
        self.deliver(self.image)
        make_accepted_image(make_ticket())
        self.assertEqual(len(self.listed("transition", q=str(self.ticket.pk))), 4 - 1)
        self.assertEqual(len(self.listed("transition", q=str(self.image.pk))), 2)
        self.assertEqual(self.listed("transition", q="nonsense"), [])

    def test_moves_of_a_deleted_photo_are_found_by_its_id(self):
        pk = str(self.image.pk)
        Ticket.objects.get().delete()
        self.assertEqual(len(self.listed("transition", q=pk)), 1)
        self.assertEqual(self.listed("transition", q=str(uuid.uuid4())), [])


class TryAgainTests(AdminTestCase):
    def setUp(self):
        super().setUp()
        with self.captureOnCommitCallbacks(execute=True):
            outcomes.record_failed(self.image, code="cloudinary_refused", detail="no")

    def status(self) -> str:
        return Image.objects.get(pk=self.image.pk).status

    def of_ticket(self, client=None):
        return self.post("ticket/", client, action="try_failed_photos_again", _selected_action=self.ticket.pk)

    def of_photo(self, client=None):
        return self.post("image/", client, action="try_again", _selected_action=self.image.pk)

    def test_pages_offer_it(self):
        for page in (f"ticket/{self.ticket.pk}", f"image/{self.image.pk}"):
            with self.subTest(page):
                self.assertContains(self.admin.get(f"{ADMIN}{page}/change/"), 'value="try_')

    def test_photo_is_tried_again_and_stored(self):
        self.assertContains(self.of_photo(), "1 photo is tried again.")
        self.assertEqual(self.deliver(self.image).status, "stored")

    def test_all_failed_photos_of_a_ticket_are(self):
        self.assertContains(self.of_ticket(), "1 photo is tried again.")
        self.assertEqual(self.deliver(self.image).status, "stored")

    def test_history_and_log_name_who_did_it(self):
        self.of_photo()

        user = get_user_model().objects.get(is_superuser=True)
        self.assertEqual(LogEntry.objects.get().change_message, "Tried again.")
        move = Transition.objects.get(image_id=self.image.pk, to_status="queued")
        self.assertEqual((move.actor, move.reason), (f"staff {user.pk} ({user.username})", "tried_again"))
        self.assertContains(self.admin.get(f"{ADMIN}ticket/{self.ticket.pk}/change/"), "tried_again")

    def test_photo_whose_bytes_are_gone_is_refused_with_the_reason(self):
        quarantine.drop(self.image.pk)

        for act in (self.of_photo, self.of_ticket):
            with self.subTest(act.__name__):
                self.assertContains(act(), "1 photo cannot be tried again: Its bytes are gone")
        self.assertEqual(self.status(), "failed")

    def test_who_may_only_look_may_not(self):
        viewer = self.staff_who_may("view_ticket", "view_image")
        for page in (f"ticket/{self.ticket.pk}", f"image/{self.image.pk}"):
            self.assertNotContains(viewer.get(f"{ADMIN}{page}/change/"), 'value="try_')
        for act in (self.of_photo, self.of_ticket):
            act(viewer)
        self.assertEqual(self.status(), "failed")

    def test_customers_and_the_anonymous_may_not(self):
        for client in (self.log_in(self.ticket.owner), Client()):
            for act in (self.of_photo, self.of_ticket):
                act(client)
        self.assertEqual(self.status(), "failed")

    def test_operator_may(self):
        self.of_photo(self.staff_who_may("view_image", "change_image"))
        self.assertEqual(self.status(), "queued")


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

    def test_expired_ticket_is_given_more_time(self):
        Ticket.objects.update(status="expired")

        self.edit(expires_at_0="2099-12-31", expires_at_1="12:00:00")

        self.assertEqual(Ticket.objects.get().status, "in_progress")
        self.assertIn("staff ", Transition.objects.get(from_status="expired").actor)

    def test_ended_ticket_is_not(self):
        Ticket.objects.update(status="cancelled")

        page = self.edit(expires_at_0="2099-12-31", expires_at_1="12:00:00")

        self.assertContains(page, "The ticket has ended.")
        self.assertIsNone(Ticket.objects.get().expires_at)

    def test_time_that_passes_while_the_form_is_saved_is_refused_in_words(self):
        Ticket.objects.update(status="expired")
        with mock.patch("apps.tickets.upkeep.staff_actions.timezone") as clock:
            clock.now.side_effect = [timezone.now(), timezone.now() + timedelta(days=40_000)]
            page = self.edit(title="Storm", expires_at_0="2099-12-31", expires_at_1="12:00:00")

        self.assertContains(page, "That time has passed already.")
        self.assertEqual((Ticket.objects.get().status, Ticket.objects.get().title), ("expired", "Hail damage"))

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

    def test_all_on_every_page_are_cancelled_when_their_number_was_told(self):
        self.cancel_all(make_ticket())

        self.assertEqual(list(Ticket.objects.values_list("status", flat=True)), ["cancelled", "cancelled"])

    def test_nobody_cancels_more_than_the_list_has_counted(self):
        other = make_ticket()
        with mock.patch("apps.common.admin.lists.COUNT_LIMIT", 1):
            page = self.cancel_all(other)

        self.assertContains(page, "More than 1 match, so nothing was done.")
        self.assertFalse(Ticket.objects.filter(status="cancelled").exists())

    def cancel_all(self, ticket):
        return self.post("ticket/", action="cancel", select_across="1", _selected_action=ticket.pk)

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

    def test_page_says_what_goes(self):
        page = self.admin.get(f"{ADMIN}ticket/{self.ticket.pk}/delete/")

        self.assertContains(page, "2 photos, 1 stored at Cloudinary")
        self.assertNotContains(page, self.stored.pk)

    def test_deletion_is_written_down(self):
        pk = self.ticket.pk
        self.post(f"ticket/{pk}/delete/", post="yes")

        deleted = Transition.objects.filter(ticket_id=pk, to_status="deleted")
        self.assertEqual(deleted.count(), 3)
        self.assertTrue(all(move.actor.startswith("staff ") for move in deleted))

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


class SetsPagesTests(AdminTestCase):
    """What staff see of a ticket's slots, its reference and its metadata."""

    def setUp(self):
        super().setUp()
        self.named = make_ticket(
            num_images=3,
            slots=slots("front", "odometer"),
            reference="ORDER-12",
            metadata={"branch": "<b>Łódź</b>"},
            status="in_progress",
        )
        self.photo = make_image(self.named, position=1)

    def test_ticket_shows_its_slots_and_own_data(self):
        page = self.admin.get(f"{ADMIN}ticket/{self.named.pk}/change/")

        for text in ("odometer", "missing", "received", "ORDER-12", "branch: &lt;b&gt;Łódź&lt;/b&gt;"):
            self.assertContains(page, text)

    def test_photo_shows_its_slot(self):
        self.assertContains(self.admin.get(f"{ADMIN}image/{self.photo.pk}/change/"), "front")

    def test_reference_is_found(self):
        for query in ("q=ORDER-12", "reference_is=ORDER-12"):
            found = self.admin.get(f"{ADMIN}ticket/?{query}").context["cl"].result_list
            self.assertEqual([ticket.pk for ticket in found], [self.named.pk], query)
