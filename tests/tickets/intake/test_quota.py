"""How many bytes one user may upload a day."""

import io

from django.conf import settings
from django.test import SimpleTestCase, override_settings

from apps.common.redis.client import redis_at
from apps.tickets.errors import UploadQuotaExceededError
from apps.tickets.intake import quota
from apps.tickets.models import Image
from apps.tickets.staging import store
from tests.case import CommittingTestCase, HoplaAssertions, at_once
from tests.makers import client_for, jpeg_bytes, make_ticket, make_user
from tests.tickets.intake.test_stream import PHOTO, IntakeTestCase

KEY = "hopla:upload-bytes:{}"
PHOTO_OF_1000 = jpeg_bytes(1, size=1000)
A_DAY_SECONDS = 24 * 60 * 60


@override_settings(UPLOAD_BYTES_PER_DAY=2500)
class QuotaTests(IntakeTestCase):
    def setUp(self):
        super().setUp()
        self.ticket.num_images = 9
        self.ticket.save()

    def post(self, content=PHOTO_OF_1000, **options):
        return self.post_bare(content, **options)

    def assert_over_quota(self, response, *, images: int) -> None:
        self.assert_problem(response, 429, "upload_quota_exceeded")
        self.assertIn(int(response["Retry-After"]), range(1, A_DAY_SECONDS + 1))
        self.assertEqual(Image.objects.count(), images)
        self.assertEqual(store.bytes_in_use(), 1000 * images)

    def test_photos_are_taken_until_the_days_bytes_are_used_up(self):
        self.assertEqual([self.post().status_code for _ in range(2)], [202, 202])

        self.assert_over_quota(self.post(), images=2)

    @override_settings(UPLOAD_BYTES_PER_DAY=2000 + len(PHOTO))
    def test_photo_that_fits_to_the_last_byte_is_taken(self):
        for content in (PHOTO_OF_1000, PHOTO_OF_1000, PHOTO):
            self.assertEqual(self.post(content).status_code, 202)

        self.assert_problem(self.post(PHOTO), 429, "upload_quota_exceeded")

    def test_form_counts_too(self):
        self.assertEqual([self.post_form(PHOTO_OF_1000).status_code for _ in range(2)], [202, 202])

        self.assert_over_quota(self.post_form(PHOTO_OF_1000), images=2)

    def test_tickets_of_one_user_count_together_and_other_users_apart(self):
        for _ in range(2):
            self.post()
        self.assert_over_quota(self.post(url=self.url_of(make_ticket(self.owner))), images=2)

        other = make_user()
        answer = self.post(url=self.url_of(make_ticket(other)), client=client_for(other))
        self.assertEqual(answer.status_code, 202)

    def test_refused_photos_use_up_nothing(self):
        for _ in range(5):
            self.assertEqual(self.post(b"no photo at all." * 60).status_code, 415)

        self.assertEqual([self.post().status_code for _ in range(2)], [202, 202])

    def test_what_a_form_has_around_the_photo_uses_up_nothing(self):
        for _ in range(2):
            self.assertEqual(self.post_form(PHOTO_OF_1000, note="x" * 200).status_code, 202)

        self.assertEqual(self.taken_today(), 2000)

    def taken_today(self) -> int:
        return int(redis_at(settings.REDIS_URL).hget(KEY.format(self.owner.pk), "bytes") or 0)

    def test_photo_that_finds_no_place_uses_up_nothing(self):
        for _ in range(2):
            ticket = make_ticket(self.owner, num_images=1)
            self.assertEqual(self.post(url=self.url_of(ticket)).status_code, 202)
            self.assert_problem(self.post(url=self.url_of(ticket)), 409, "ticket_full")
        self.assertEqual(self.taken_today(), 2000)

    def test_photo_that_was_announced_longer_than_it_came_uses_up_nothing(self):
        response = self.post_stream(io.BytesIO(PHOTO_OF_1000), CONTENT_LENGTH=2000)

        self.assert_problem(response, 400, "body_incomplete")
        self.assertEqual(self.taken_today(), 0)

    def test_replayed_photo_uses_up_nothing(self):
        for _ in range(5):
            self.assertEqual(self.post(HTTP_IDEMPOTENCY_KEY="a").status_code, 202)

        self.assertEqual(self.post().status_code, 202)
        self.assert_over_quota(self.post(), images=2)

    @override_settings(UPLOAD_BYTES_PER_DAY=0)
    def test_zero_is_no_limit(self):
        self.assertEqual({self.post().status_code for _ in range(9)}, {202})


class UploadsAtOnceTests(CommittingTestCase):
    @override_settings(UPLOAD_BYTES_PER_DAY=5500)
    def test_uploads_side_by_side_share_what_is_left(self):
        owner = make_user()
        url = f"/api/v1/tickets/{make_ticket(owner, num_images=50).pk}/images/"

        def post(client):
            while (answer := client.generic("POST", url, PHOTO_OF_1000, "image/jpeg")).status_code == 503:
                pass  # more threads than database connections: as a client does, ask again
            return answer

        answers = at_once(post, [client_for(owner) for _ in range(16)])

        self.assertEqual(sorted(answer.status_code for answer in answers), [202] * 5 + [429] * 11)
        self.assertEqual(sum(image.size for image in Image.objects.all()), 5000)


class Owner:
    pk = 7


@override_settings(UPLOAD_BYTES_PER_DAY=2500, IMAGE_MAX_BYTES=1000)
class TakenTests(HoplaAssertions, SimpleTestCase):
    def taken_today(self) -> int:
        return int(redis_at(settings.REDIS_URL).hget(KEY.format(Owner.pk), "bytes") or 0)

    def take(self, size: int | None, *, become: int) -> None:
        with quota.taken_for_photo(Owner, size) as size_is:
            size_is(become)

    def test_true_size_is_what_stays(self):
        for announced, true in ((1000, 1000), (1000, 600), (None, 300), (300, 400)):
            before = self.taken_today()
            self.take(announced, become=true)
            self.assertEqual(self.taken_today(), before + true)

    def test_photo_of_unknown_size_takes_what_is_left_for_it(self):
        self.take(1000, become=1000)
        self.take(1000, become=1000)
        with quota.taken_for_photo(Owner, None) as size_is:
            self.assertEqual(self.taken_today(), 2500)
            size_is(400)
        self.assertEqual(self.taken_today(), 2400)

        with self.assertRaises(UploadQuotaExceededError) as caught:
            self.take(None, become=101)
        self.assertIn(caught.exception.wait, range(A_DAY_SECONDS - 600, A_DAY_SECONDS + 1))
        self.assertEqual(self.taken_today(), 2400)
        self.take(None, become=100)
        with self.assertRaises(UploadQuotaExceededError):
            self.take(None, become=1)

    def test_whatever_goes_wrong_gives_it_back(self):
        for error in (ValueError, KeyboardInterrupt):
            with self.assertRaises(error), quota.taken_for_photo(Owner, 1000) as size_is:
                size_is(600)
                raise error
        self.assertEqual(self.taken_today(), 0)

    def test_next_day_is_not_given_what_was_taken_of_the_one_before(self):
        with self.assertRaises(ValueError), quota.taken_for_photo(Owner, 1000):
            redis_at(settings.REDIS_URL).delete(KEY.format(Owner.pk))  # as its end does
            self.take(700, become=700)
            raise ValueError
        self.assertEqual(self.taken_today(), 700)

    def test_day_ends(self):
        self.take(1000, become=1000)

        self.assertIn(redis_at(settings.REDIS_URL).ttl(KEY.format(Owner.pk)), range(1, A_DAY_SECONDS + 1))
