"""The IETF's resumable uploads, interop versions 6 and 8, without what happens on the wire."""

import uuid

from django.test import override_settings

from apps.tickets.models import Image
from apps.tickets.staging import store
from tests.makers import client_for, make_image, make_ticket, make_user
from tests.tickets.resumable.case import PHOTO, TusTestCase
from tests.tickets.resumable.test_tus import digest

SIZE = len(PHOTO)
MISMATCH = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"


class IetfTestCase(TusTestCase):
    version = "8"

    @property
    def images_path(self) -> str:
        return f"/api/v1/tickets/{self.ticket.pk}/images/"

    def request(self, method: str, path: str, body: bytes = b"", **headers):
        named = {"Tus_Resumable": None, "Upload_Draft_Interop_Version": self.version} | headers
        return self.tus(method, path, body, **named)

    def post(self, body: bytes = PHOTO, *, complete="?1", path: str | None = None, **headers):
        headers = {"Content_Type": "image/jpeg", "Upload_Complete": complete} | headers
        return self.request("POST", path or self.images_path, body, **headers)

    def begun(self, body: bytes = b"", **headers) -> str:
        response = self.post(body, complete="?0", **headers)
        self.assertEqual((response.status_code, response["Upload-Complete"]), (201, "?0"), response.content)
        return response["Location"].removeprefix("http://testserver")

    def append(self, path: str, offset: int, body: bytes, *, complete="?1", **headers):
        headers = {"Content_Type": "application/partial-upload", "Upload_Complete": complete} | headers
        return self.request("PATCH", path, body, Upload_Offset=offset, **headers)

    def head(self, path: str, **headers):
        return self.request("HEAD", path, **headers)

    def progress(self, path: str) -> tuple:
        response = self.head(path)
        self.assertEqual(response.status_code, 204, response.headers)
        return response["Upload-Complete"], int(response["Upload-Offset"])


class PostedPhotoTests(IetfTestCase):
    def test_photo_that_comes_at_once_gets_the_plain_answer(self):
        response = self.post(Content_Disposition='attachment; filename="kitchen.jpg"')

        self.assertEqual((response.status_code, response["Upload-Complete"]), (202, "?1"))
        image = response.json()
        self.assertEqual((image["status"], image["filename"], image["size"]), ("queued", "kitchen.jpg", SIZE))
        self.assertEqual(response["Location"], f"http://testserver{self.images_path}{image['id']}/")
        self.assertEqual(bytes(store.read(image["id"], SIZE)), PHOTO)

    def test_photo_goes_on_where_it_broke_off(self):
        path = self.begun(PHOTO[:1000], Upload_Length=SIZE)
        self.assertEqual(self.progress(path), ("?0", 1000))

        more = self.append(path, 1000, PHOTO[1000:5000], complete="?0")
        self.assertEqual((more.status_code, more["Upload-Offset"], more["Upload-Complete"]), (204, "5000", "?0"))
        last = self.append(path, 5000, PHOTO[5000:])

        self.assertEqual((last.status_code, last["Upload-Complete"]), (202, "?1"))
        self.assertEqual(path.split("/")[-2], last.json()["id"])
        self.assertEqual(last["Location"], f"http://testserver{self.images_path}{last.json()['id']}/")
        self.assertEqual(bytes(store.read(last.json()["id"], SIZE)), PHOTO)
        self.assertEqual(self.progress(path), ("?1", SIZE))

    def test_length_need_not_be_known_before_the_end(self):
        path = self.begun()
        self.assertNotIn("Upload-Length", self.head(path).headers)
        self.append(path, 0, PHOTO[:1000], complete="?0")
        self.assertEqual(self.append(path, 1000, PHOTO[1000:]).status_code, 202)

    def test_empty_request_may_end_it(self):
        path = self.begun(PHOTO)
        self.assertFalse(Image.objects.exists())
        self.assertEqual(self.append(path, SIZE, b"").status_code, 202)
        self.assertEqual(Image.objects.get().size, SIZE)

    def test_last_request_repeated_after_a_lost_answer_gets_it_again(self):
        path = self.begun(PHOTO[:1000])
        first = self.append(path, 1000, PHOTO[1000:])
        again = self.append(path, SIZE, b"")
        self.assertEqual((again.status_code, again.json()["id"]), (202, first.json()["id"]))
        self.assertEqual(Image.objects.count(), 1)

    def test_photo_for_a_slot_takes_its_place(self):
        self.ticket = make_ticket(self.owner, slots=[{"name": "front"}, {"name": "odometer"}])
        path = self.begun(PHOTO[:1000], path=f"{self.images_path}?slot=odometer")
        self.assertEqual(self.append(path, 1000, PHOTO[1000:]).json()["slot"], "odometer")

    def test_tus_client_may_go_on(self):
        path = self.begun(PHOTO[:1000], Upload_Length=SIZE)
        self.assertEqual(self.offset_of(path), 1000)
        self.assertEqual(self.send(path, 1000, PHOTO[1000:]).status_code, 204)
        self.assertEqual(self.progress(path), ("?1", SIZE))

    def test_digest_of_the_whole_is_compared_at_the_end(self):
        for name in ("Content_Digest", "Repr_Digest"):
            self.assertEqual(self.post(**{name: digest(PHOTO)}).status_code, 202)
            self.assert_problem(self.post(**{name: digest(b"x")}), 400, "digest_mismatch")
            Image.objects.all().delete()
        path = self.begun(PHOTO[:10], Repr_Digest=digest(PHOTO))
        self.assertEqual(self.append(path, 10, PHOTO[10:]).status_code, 202)

    def test_same_key_gets_the_same_photo(self):
        first = self.post(Idempotency_Key="a")
        again = self.post(Idempotency_Key="a")
        self.assertEqual((again.status_code, again.json()["id"]), (202, first.json()["id"]))
        self.assertEqual(again["Idempotent-Replayed"], "true")
        self.assertEqual(Image.objects.count(), 1)
        self.assert_problem(self.post(PHOTO + b"x", Idempotency_Key="a"), 422, "idempotency_key_reused")

    def test_same_key_of_an_unfinished_one_begins_anew_in_its_stead(self):
        path = self.begun(PHOTO[:1000], Idempotency_Key="a", Upload_Length=SIZE)
        other = self.begun(PHOTO[:2000], Idempotency_Key="a", Upload_Length=SIZE)
        self.assertNotEqual(path, other)
        self.assertEqual(self.head(path).status_code, 404)
        self.assertEqual(self.progress(other), ("?0", 2000))


class InteropSixTests(PostedPhotoTests):
    version = "6"

    def test_limits_are_not_told(self):
        path = self.begun()
        self.assertEqual(self.head(path)["Upload-Draft-Interop-Version"], "6")
        self.assertNotIn("Upload-Limit", self.head(path).headers)


class AnswersTests(IetfTestCase):
    def test_head_tells_all_and_is_not_kept(self):
        path = self.begun(PHOTO[:10], Upload_Length=SIZE)
        told = self.head(path)
        self.assertEqual((told["Upload-Length"], told["Cache-Control"]), (str(SIZE), "no-store"))
        self.assertEqual(told["Upload-Draft-Interop-Version"], "8")
        self.assertEqual(told["Upload-Limit"], "max-size=10485760, max-append-size=10485760, max-age=3600")
        self.assertNotIn("Tus-Resumable", told.headers)
        self.assertEqual(self.head(path.replace(path.split("/")[-2], str(uuid.uuid4()))).status_code, 404)

    def test_wrong_offset_says_the_right_one(self):
        path = self.begun(PHOTO[:1000])
        response = self.append(path, 7, PHOTO[7:])
        self.assertEqual(
            (response.status_code, response["Upload-Offset"], response["Upload-Complete"]), (409, "1000", "?0")
        )
        problem = response.json()
        self.assertEqual(problem["type"], MISMATCH)
        self.assertEqual((problem["expected-offset"], problem["provided-offset"]), (1000, 7))
        self.assertEqual(problem["code"], "upload_offset_mismatch")
        self.assertEqual(self.progress(path), ("?0", 1000))

    def test_wrong_offset_of_a_finished_one_says_that_it_is_complete(self):
        path = self.begun(PHOTO[:1000])
        self.append(path, 1000, PHOTO[1000:])
        response = self.append(path, 7, PHOTO[7:])
        self.assertEqual(
            (response.status_code, response["Upload-Offset"], response["Upload-Complete"]), (409, str(SIZE), "?1")
        )

    def test_limits_are_told_before_a_photo_is_sent(self):
        for path in (self.images_path, self.begun(PHOTO[:10])):
            with self.subTest(path):
                self.assertIn("max-size=10485760", self.request("OPTIONS", path)["Upload-Limit"])

    def test_upload_is_taken_back(self):
        path = self.begun(PHOTO[:1000])
        self.assertEqual(self.request("DELETE", path).status_code, 204)
        self.assertEqual(self.head(path).status_code, 404)
        self.assert_nothing_kept()

    def test_finished_one_is_not_taken_back(self):
        path = self.begun(PHOTO[:1000])
        self.append(path, 1000, PHOTO[1000:])
        self.assert_problem(self.request("DELETE", path), 403, "upload_finished")

    def test_others_find_nothing(self):
        path = self.begun(PHOTO[:1000])
        for client, status in ((client_for(make_user()), 404), (client_for(), 401)):
            self.assertEqual(self.head(path, client=client).status_code, status)
            self.assertEqual(self.append(path, 1000, PHOTO[1000:], client=client).status_code, status)
            self.assertEqual(self.post(client=client).status_code, status)
            self.assertEqual(self.request("DELETE", path, client=client).status_code, status)


class RefusalTests(IetfTestCase):
    def test_complete_must_be_a_boolean(self):
        for value in ("1", "", "?2", "?1, ?0", "true"):
            with self.subTest(value):
                self.assert_problem(self.post(complete=value), 400, "upload_complete_invalid")
        path = self.begun()
        for value in ("1", None):
            self.assert_problem(self.append(path, 0, PHOTO, complete=value), 400, "upload_complete_invalid")

    def test_body_of_another_type_is_not_appended(self):
        path = self.begun()
        response = self.append(path, 0, PHOTO, Content_Type="image/jpeg", Upload_Draft_Interop_Version="8")
        self.assertEqual(response.status_code, 412)  # neither protocol's

    def test_lengths_that_do_not_agree_are_refused_before_the_body(self):
        self.assert_problem(self.post(Upload_Length=SIZE + 1), 400, "upload_length_invalid")
        path = self.begun(PHOTO[:1000], Upload_Length=SIZE)
        self.assert_problem(self.append(path, 1000, PHOTO[1000:-1]), 400, "upload_length_invalid")
        self.assert_problem(self.append(path, 1000, PHOTO[1000:] + b"x"), 413, "upload_too_long")
        self.assertEqual(self.progress(path), ("?0", 1000))

    def test_what_stands_against_the_photo_answers_the_request_that_shows_it(self):
        self.assert_problem(self.post(b"%PDF" * 100), 415, "unsupported_image")
        self.assert_problem(self.post(b""), 400, "image_empty")
        self.assert_problem(self.post(complete="?0", Upload_Length=10**8), 413, "image_too_large")
        path = self.begun(PHOTO[:100])
        for position in (1, 2):
            make_image(self.ticket, position=position)
        self.assert_problem(self.append(path, 100, PHOTO[100:]), 409, "ticket_full")
        self.assertEqual(self.head(path).status_code, 404)
        self.assert_problem(self.post(), 409, "ticket_full")
        self.assert_nothing_kept(images=2)

    def test_creations_are_counted_once(self):
        with override_settings(THROTTLE_RATES={"uploads": "1/hour"}):
            path = self.begun()
            self.assertEqual(self.append(path, 0, PHOTO).status_code, 202)
            self.assert_problem(self.post(), 429, "throttled")


class UnaskedTests(IetfTestCase):
    def test_other_versions_and_forms_get_the_plain_answer(self):
        for headers in (
            {"Upload_Draft_Interop_Version": "3"},
            {"Upload_Draft_Interop_Version": "7"},
            {"Upload_Draft_Interop_Version": None},
            {"Upload_Complete": None},
        ):
            with self.subTest(headers):
                response = self.post(**headers)
                self.assertEqual(response.status_code, 202)
                for name in ("Upload-Complete", "Upload-Offset", "Upload-Limit", "Upload-Draft-Interop-Version"):
                    self.assertNotIn(name, response.headers)
                Image.objects.all().delete()
