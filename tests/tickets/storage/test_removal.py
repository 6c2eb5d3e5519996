"""Assets that must not stay at Cloudinary are removed in the background, however long that takes."""

import threading
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from apps.tickets.delivery.job import deliver_photo
from apps.tickets.lifecycle import outcomes
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.staging import store
from apps.tickets.storage import cloudinary
from apps.tickets.storage.removal import UNDER_WAY_SECONDS, remove_due_assets, schedule_removal
from apps.tickets.upkeep.reconcile import reconcile
from apps.tickets.upkeep.staff_actions import ActionNotAllowed, try_again
from tests.case import ApiTestCase, CommittingTestCase, at_once, staged_photos
from tests.faults.case import needs_postgres
from tests.makers import begin_attempt, jpeg_bytes, make_accepted_image, make_image, make_ticket, running_sandbox
from tests.tickets.upkeep.test_reconcile import make_due


def come_due() -> None:
    AssetRemoval.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def planned() -> list[str]:
    return [removal.public_id for removal in AssetRemoval.objects.order_by("pk")]


class RemovalTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.ticket = make_ticket(num_images=2)
        self.image = make_accepted_image(self.ticket)

    def assets(self) -> list[str]:
        return [asset.public_id for asset in self.sandbox.assets]

    def stored(self) -> Image:
        return self.deliver(self.image)

    def delete(self, thing) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            thing.delete()


@override_settings(UPLOAD_MAX_ATTEMPTS=1)
class FailedPhotoTests(RemovalTestCase):
    def fail(self, kind: str, **parameters) -> Image:
        self.sandbox.misbehave(kind, times=1, **parameters)
        image = self.deliver(self.image)
        self.assertEqual(image.status, "failed")
        return image

    def test_asset_that_landed_all_the_same_goes(self):
        image = self.fail("store_then_500")
        self.assertEqual((self.assets(), planned()), ([image.public_id], [image.public_id]))
        come_due()

        reconcile()

        self.assertEqual((self.assets(), planned()), ([], []))

    def test_nothing_goes_before_a_late_upload_could_have_landed(self):
        before = timezone.now()
        image = self.fail("store_then_drop")

        self.assertEqual(remove_due_assets(), 0)

        self.assertEqual(self.assets(), [image.public_id])
        longest = timedelta(seconds=settings.UPLOAD_TIMEOUT_SECONDS)
        self.assertGreaterEqual(AssetRemoval.objects.get().due_at, before + longest)

    def test_asset_that_never_was_is_no_trouble(self):
        self.fail("refuse", status=400)
        come_due()

        self.assertEqual(remove_due_assets(), 1)
        self.assertEqual((planned(), self.sandbox.requests["destroy"]), ([], 1))

    def test_photo_of_which_no_attempt_was_made_needs_no_removal(self):
        store.discard(self.image.pk)
        make_due(self.image)
        reconcile()

        self.assertEqual(Image.objects.get().error_code, "bytes_lost")
        self.assertEqual(planned(), [])


class LateTests(RemovalTestCase):
    def test_asset_that_lands_after_its_removal_goes_too(self):
        late = self.image
        begin_attempt(late)
        outcomes.record_failed(Image.objects.get(), code="bytes_lost", detail="-")
        come_due()
        remove_due_assets()
        asset = cloudinary.put(public_id=late.public_id, content=jpeg_bytes())

        counted = outcomes.record_stored(late, asset_id=asset.asset_id, asset_version=1, asset_format="jpg")

        self.assertEqual((counted, planned()), (False, [late.public_id]))
        come_due()
        reconcile()
        self.assertEqual((self.assets(), planned()), ([], []))


class WantedTests(RemovalTestCase):
    def test_asset_of_a_stored_image_stays(self):
        image = self.stored()
        schedule_removal(image.public_id)

        self.assertEqual(remove_due_assets(), 1)
        self.assertEqual((self.assets(), planned()), ([image.public_id], []))
        self.assertEqual(self.sandbox.requests["destroy"], 0)

    def test_asset_of_an_image_in_flight_stays(self):
        self.sandbox.misbehave("store_then_drop", times=1)
        image = self.deliver(self.image)
        self.assertEqual(image.status, "queued")
        schedule_removal(image.public_id)

        remove_due_assets()
        self.assertEqual(self.assets(), [image.public_id])

    def test_asset_that_has_no_name_of_ours_goes(self):
        for public_id in ("hopla/no-uuid", "hopla/", f"hopla/{self.image.pk}-copy"):
            schedule_removal(public_id)

        remove_due_assets()
        self.assertEqual((planned(), self.sandbox.requests["destroy"]), ([], 3))


class AwayTests(RemovalTestCase):
    def setUp(self):
        super().setUp()
        self.delete(self.stored())

    def test_trouble_is_written_down_and_tried_again_later(self):
        for kind, parameters in (
            ("refuse", {"status": 503}),
            ("refuse", {"status": 420}),
            ("refuse", {"status": 403}),
            ("wrong_credentials", {"action": "destroy"}),
            ("drop_before_reading", {}),
            ("null_body", {}),
            ("html_page", {}),
        ):
            with self.subTest(kind, **parameters):
                AssetRemoval.objects.update(attempts=0)
                come_due()
                self.sandbox.misbehave(kind, times=1, **{"action": "destroy"} | parameters)
                before = timezone.now()

                remove_due_assets()

                removal = AssetRemoval.objects.get()
                self.assertEqual(removal.attempts, 1)
                self.assertGreater(removal.due_at, before)
                self.assertRegex(removal.error, r"^cloudinary_\w+: .")
                self.assertNotIn("String to sign", removal.error)

    def test_it_succeeds_once_cloudinary_is_back(self):
        self.sandbox.misbehave("refuse", action="destroy", status=503, times=3)
        for _ in range(4):
            come_due()
            remove_due_assets()

        self.assertEqual((self.assets(), planned()), ([], []))

    def test_waits_grow_up_to_an_hour(self):
        self.sandbox.misbehave("refuse", action="destroy", status=503)
        for attempts, seconds in ((0, 10), (1, 20), (2, 40), (8, 2560), (9, 3600), (1000, 3600)):
            with self.subTest(attempts=attempts):
                AssetRemoval.objects.update(attempts=attempts)
                come_due()
                before = timezone.now()
                remove_due_assets()
                due_at, wait = AssetRemoval.objects.get().due_at, timedelta(seconds=seconds)
                self.assertGreaterEqual(due_at, before + wait)
                self.assertLessEqual(due_at, timezone.now() + wait)

    def test_turn_ends_at_the_first_trouble(self):
        for number in range(3):
            schedule_removal(f"hopla/gone-{number}")
        come_due()
        self.sandbox.misbehave("refuse", action="destroy", status=503)

        self.assertEqual(remove_due_assets(), 1)
        self.assertEqual(self.sandbox.requests["destroy"], 1)

        self.sandbox.behave()
        self.assertEqual(remove_due_assets(), 3)


class DeletionTests(RemovalTestCase):
    def test_deleted_image_takes_its_asset_along(self):
        image = self.stored()
        self.delete(Image.objects.get())
        self.assertEqual((self.assets(), planned()), ([image.public_id], [image.public_id]))

        reconcile()

        self.assertEqual((self.assets(), planned()), ([], []))

    def test_deleted_ticket_takes_everything_along(self):
        stored, queued = self.stored(), make_accepted_image(self.ticket, seed=2)
        self.assertEqual(staged_photos(), [str(queued.pk)])

        self.delete(Ticket.objects.filter(pk=self.ticket.pk))

        self.assertEqual(planned(), [stored.public_id])
        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))
        reconcile()
        self.assertEqual((self.assets(), planned()), ([], []))

    def test_image_that_was_never_sent_needs_no_removal(self):
        self.delete(self.image)

        self.assertEqual((planned(), staged_photos(), store.bytes_in_use()), ([], [], 0))

    def test_image_whose_upload_is_under_way_is_removed_after_its_deadline(self):
        before = timezone.now()
        begin_attempt(self.image)
        self.delete(self.image)

        longest = timedelta(seconds=settings.UPLOAD_TIMEOUT_SECONDS)
        self.assertGreaterEqual(AssetRemoval.objects.get().due_at, before + longest)

    def test_attempt_that_began_after_the_image_was_read_is_seen(self):
        read_before = Image.objects.get()
        begin_attempt(self.image)

        self.delete(read_before)

        self.assertEqual(planned(), [self.image.public_id])

    def test_bytes_stay_until_the_deletion_is_committed(self):
        image_id = str(self.image.pk)
        self.image.delete()

        self.assertEqual(staged_photos(), [image_id])


class UnderWayTests(CommittingTestCase):
    """An image or ticket that is deleted while its photo is being uploaded."""

    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.ticket = make_ticket(num_images=2)
        self.image = make_accepted_image(self.ticket)
        self.sandbox.misbehave("latency", seconds=0.5)

    def delete_during_upload(self, thing) -> None:
        delivery = threading.Thread(target=at_once, args=(deliver_photo, [str(self.image.pk)]))
        delivery.start()
        self.wait_until(lambda: self.sandbox.requests["upload"])
        thing.delete()
        delivery.join()

    def assert_asset_goes(self):
        self.assertEqual(len(self.sandbox.assets), 1)  # the upload had gone too far
        come_due()
        reconcile()
        self.assertEqual((list(self.sandbox.assets), planned()), ([], []))

    def test_asset_of_a_ticket_deleted_meanwhile_goes(self):
        self.delete_during_upload(self.ticket)

        self.assert_asset_goes()

    def test_asset_of_an_image_deleted_meanwhile_goes(self):
        self.delete_during_upload(self.image)

        self.assert_asset_goes()

    def test_several_at_once_remove_each_asset_once(self):
        for number in range(6):
            make_image(self.ticket, position=number + 10)
            schedule_removal(f"hopla/gone-{number}")

        at_once(lambda _: remove_due_assets(), range(4))

        self.assertEqual((planned(), self.sandbox.requests["destroy"]), ([], 6))


class RevivedTests(CommittingTestCase):
    """A failed photo whose asset is being removed while staff have it tried again."""

    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.image = make_accepted_image(make_ticket(num_images=1))
        begin_attempt(self.image)
        cloudinary.put(public_id=self.image.public_id, content=jpeg_bytes())  # the response to which is lost
        outcomes.record_failed(Image.objects.get(), code="cloudinary_unavailable", detail="-")
        come_due()

    def start_removal(self) -> threading.Thread:
        """Until Cloudinary has been asked, and takes its time."""
        slow = self.sandbox.misbehave("latency", action="destroy", seconds=1)
        removal = threading.Thread(target=at_once, args=(lambda _: remove_due_assets(), [None]))
        removal.start()
        self.addCleanup(removal.join)
        self.wait_until(lambda: slow.fired)
        return removal

    def deliver_again(self) -> Image:
        try_again(self.image.pk)
        at_once(deliver_photo, [str(self.image.pk)])
        return Image.objects.get()

    def assert_stored_for_good(self, image: Image):
        self.assertEqual((image.status, planned()), ("stored", []))
        come_due()
        remove_due_assets()
        self.assertEqual([asset.public_id for asset in self.sandbox.assets], [image.public_id])

    @needs_postgres
    def test_no_lock_is_held_during_the_call(self):
        removal = self.start_removal()

        with transaction.atomic():
            AssetRemoval.objects.select_for_update(nowait=True).get()

        self.assertTrue(removal.is_alive())

    @needs_postgres
    def test_photo_is_not_tried_again_while_its_asset_is_being_removed(self):
        removal = self.start_removal()

        with self.assertRaisesMessage(ActionNotAllowed, "being removed"):
            try_again(self.image.pk)

        self.assertTrue(removal.is_alive())
        removal.join()
        self.assert_stored_for_good(self.deliver_again())

    def test_photo_that_was_tried_again_before_keeps_its_asset(self):
        image = self.deliver_again()

        remove_due_assets()

        self.assert_stored_for_good(image)

    def test_call_without_an_answer_may_still_be_carried_out_for_a_while(self):
        self.sandbox.misbehave("drop_before_reading", action="destroy", times=1)
        remove_due_assets()

        with self.assertRaisesMessage(ActionNotAllowed, "being removed"):
            try_again(self.image.pk)

        AssetRemoval.objects.update(under_way_until=timezone.now() - timedelta(seconds=1))
        self.assert_stored_for_good(self.deliver_again())

    def test_removal_of_a_killed_worker_is_done_by_the_next(self):
        until = timezone.now() + timedelta(seconds=UNDER_WAY_SECONDS)
        AssetRemoval.objects.update(due_at=until, under_way_until=until)
        self.assertEqual(remove_due_assets(), 0)

        come_due()
        remove_due_assets()

        self.assertEqual((list(self.sandbox.assets), planned()), ([], []))

    @needs_postgres
    def test_asset_that_is_to_go_once_more_meanwhile_does(self):
        removal = self.start_removal()
        schedule_removal(self.image.public_id, due_at=timezone.now() + timedelta(minutes=1))
        removal.join()

        self.assertEqual(planned(), [self.image.public_id])

    @needs_postgres
    def test_photos_tried_again_while_their_assets_go_are_stored_or_failed_with_what_that_means(self):
        """Many at once, in any order: a stored photo has its asset, and no other asset stays."""
        images = [make_accepted_image(make_ticket(num_images=1), seed=seed) for seed in range(1, 9)]
        for image in images:
            begin_attempt(image)
            outcomes.record_failed(Image.objects.get(pk=image.pk), code="cloudinary_unavailable", detail="-")
        come_due()
        self.sandbox.misbehave("latency", action="destroy", seconds=0.02)

        def revive(image):
            try:
                try_again(image.pk)
            except ActionNotAllowed:
                return
            deliver_photo(str(image.pk))

        at_once(lambda do: do(), [remove_due_assets] * 3 + [partial(revive, image) for image in images])

        stored = {image.public_id for image in Image.objects.filter(status="stored")}
        assets = {asset.public_id for asset in self.sandbox.assets}
        self.assertEqual(stored - assets, set())
        self.assertLessEqual(assets - stored, {self.image.public_id})
