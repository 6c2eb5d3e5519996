"""Kinds of tickets as staff make them."""

from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from apps.tickets.models import ExamplePicture, KindSlot, TicketKind
from tests.case import ApiTestCase
from tests.makers import client_for, jpeg_bytes, make_kind, make_user, running_sandbox

KINDS = "/admin/tickets/ticketkind/"


def texts(name: str, english: str = "", spanish: str = "", polish: str = "") -> dict:
    return {f"{name}_0": english, f"{name}_1": spanish, f"{name}_2": polish}


def slot_fields(name: str, order: int, **fields) -> dict:
    return texts("titles") | texts("instructions") | {"name": name, "order": order, "source": "any"} | fields


class KindAdminTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        user = make_user(is_staff=True)
        user.groups.add(Group.objects.get(name="operators"))
        self.admin = Client()
        self.admin.force_login(user)

    def form(self, *slots: dict, kind: TicketKind | None = None, **fields) -> dict:
        """The form of a kind as a browser sends it. A slot with an `id` is one that is there."""
        sent = texts("titles", "A car") | texts("instructions") | {"name": "car", "is_active": "on", "num_images": ""}
        sent |= {"expires_in_seconds_0": "", "expires_in_seconds_1": "days"}
        initial = sum("id" in slot for slot in slots)
        sent |= {"slots-TOTAL_FORMS": len(slots), "slots-INITIAL_FORMS": initial}
        for number, slot in enumerate(slots):
            sent |= {f"slots-{number}-{name}": value for name, value in slot.items()}
            sent[f"slots-{number}-kind"] = kind.pk if kind else ""
        return sent | fields

    def save(self, *slots: dict, kind: TicketKind | None = None, **fields):
        path = f"{KINDS}{kind.pk}/change/" if kind else f"{KINDS}add/"
        return self.admin.post(path, self.form(*slots, kind=kind, **fields))

    def assert_saved(self, response) -> TicketKind:
        errors = response.context and [response.context["errors"]]
        self.assertEqual(response.status_code, 302, errors)
        return TicketKind.objects.get()

    def assert_refused(self, response, told: str) -> None:
        self.assertEqual(response.status_code, 200)
        self.assertContains(response, told)


class MakeTests(KindAdminTestCase):
    def test_kind_is_made_with_its_slots_in_all_languages(self):
        front = slot_fields("front", 2, source="camera") | texts("titles", "Front", "Frente", "Przód")
        back = slot_fields("back", 1, example_link="https://example.com/back.jpg") | texts("instructions", polish="Tył")

        kind = self.assert_saved(
            self.save(front, back, expires_in_seconds_0="2", expires_in_seconds_1="hours", titles_1="Un coche")
        )

        self.assertEqual((kind.version, kind.expires_in_seconds), (1, 7200))
        self.assertEqual(kind.titles, {"en": "A car", "es": "Un coche"})
        shown = [(slot.name, slot.titles, slot.instructions, slot.source) for slot in kind.slots.all()]
        self.assertEqual(
            shown,
            [
                ("back", {}, {"pl": "Tył"}, "any"),
                ("front", {"en": "Front", "es": "Frente", "pl": "Przód"}, {}, "camera"),
            ],
        )

    def test_kind_of_a_number_alone_is_made(self):
        self.assertEqual(self.assert_saved(self.save(num_images=7)).number_of_places, 7)

    def test_title_in_one_language_is_needed_and_enough(self):
        self.assert_refused(self.save(num_images=1, titles_0=""), "This field is required.")
        self.assertEqual(
            self.assert_saved(self.save(num_images=1, titles_0="", titles_2="Auto")).titles, {"pl": "Auto"}
        )

    def test_names_are_checked(self):
        for name in ("Front", "-front", "front door", "ñ", "a" * 65, "front\n."):
            with self.subTest(name):
                self.assertEqual(self.save(slot_fields(name, 1)).status_code, 200)
                self.assertEqual(self.save(num_images=1, name=name).status_code, 200)
        self.assertEqual(TicketKind.objects.count(), 0)

    def test_slot_names_are_there_once(self):
        self.assertEqual(self.save(slot_fields("front", 1), slot_fields("front", 2)).status_code, 200)
        self.assertEqual(TicketKind.objects.count(), 0)

    def test_number_of_photos_and_slots_go_together(self):
        slots = slot_fields("front", 1), slot_fields("back", 2)
        self.assert_refused(self.save(), "Add slots, or say the number of photos above.")
        self.assert_refused(self.save(*slots, num_images=1), "There are more slots than photos")
        self.assertEqual(self.assert_saved(self.save(*slots, num_images=3)).number_of_places, 3)

    @override_settings(TICKET_MAX_IMAGES=2)
    def test_kind_of_more_photos_than_a_ticket_takes_is_refused(self):
        self.assert_refused(self.save(num_images=3), "A ticket takes at most 2 photos.")

    def test_addresses_of_examples_are_https(self):
        for address in ("http://example.com/a.jpg", "javascript:alert(1)", "ftp://example.com/a.jpg"):
            with self.subTest(address):
                self.assertEqual(self.save(slot_fields("front", 1, example_link=address)).status_code, 200)

    def test_sixty_slots_with_all_their_fields_fit_into_a_form(self):
        """Browsers send an empty file for each picture that was not chosen."""
        nothing = SimpleUploadedFile("nothing", b"")
        slots = [slot_fields(f"slot-{n}", n, picture=nothing, example="") for n in range(60)]
        body = encode_multipart(BOUNDARY, self.form(*slots)).replace(b'filename="nothing"', b'filename=""')

        response = self.admin.generic("POST", f"{KINDS}add/", body, MULTIPART_CONTENT)

        self.assertEqual(self.assert_saved(response).number_of_places, 60)


class ChangeTests(KindAdminTestCase):
    def setUp(self):
        super().setUp()
        self.kind = make_kind("car", slots=["front", "back"], titles={"en": "A car"}, num_images=None)
        self.front, self.back = self.kind.slots.all()

    def slots(self, **changes_of_front) -> list[dict]:
        front = slot_fields("front", 1, id=self.front.pk) | changes_of_front
        return [front, slot_fields("back", 2, id=self.back.pk)]

    def change(self, *slots: dict, **fields) -> TicketKind:
        return self.assert_saved(self.save(*(slots or self.slots()), kind=self.kind, **fields))

    def test_version_is_raised_by_each_change_that_is_saved(self):
        self.assertEqual(self.change().version, 1, "nothing was changed")
        self.assertEqual(self.change(titles_1="Un coche").version, 2)
        self.assertEqual(self.change(*self.slots(source="camera"), titles_1="Un coche").version, 3)

    def test_version_is_raised_when_slots_come_go_or_move(self):
        front, back = self.slots()
        self.assertEqual(self.change(front | {"order": 2}, back | {"order": 1}).version, 2)
        self.assertEqual(self.change(front, back, slot_fields("left", 3)).version, 3)
        left = KindSlot.objects.get(name="left")
        self.assertEqual(self.change(front, back, slot_fields("left", 3, id=left.pk, DELETE="on")).version, 4)
        self.assertEqual([slot.name for slot in self.kind.slots.all()], ["front", "back"])

    def test_refused_change_changes_nothing(self):
        self.assertEqual(self.save(*self.slots(name="Bad name"), kind=self.kind, titles_0="B").status_code, 200)
        kind = TicketKind.objects.get()
        self.assertEqual((kind.version, kind.titles), (1, {"en": "A car"}))

    def test_page_shows_the_kind_in_every_language(self):
        KindSlot.objects.filter(pk=self.front.pk).update(titles={"en": "Front", "pl": "Przód"})

        page = self.admin.get(f"{KINDS}{self.kind.pk}/change/")

        self.assertContains(page, "<strong>Front</strong>", count=2)  # Spanish has none of its own
        self.assertContains(page, "<strong>Przód</strong>", count=1)

    def test_list_shows_the_title_in_the_readers_language(self):
        TicketKind.objects.update(titles={"en": "A car", "es": "Un coche"}, expires_in_seconds=172800)

        page = self.admin.get(KINDS, HTTP_ACCEPT_LANGUAGE="es")

        self.assertContains(page, "Un coche")

    def test_copy_is_saved_as_new(self):
        slots = [slot | {"id": ""} for slot in self.slots()]
        form = self.form(*self.slots(), kind=self.kind, name="truck", _saveasnew="yes")
        self.assertEqual(len(slots), 2)

        self.assertEqual(self.admin.post(f"{KINDS}{self.kind.pk}/change/", form).status_code, 302)

        copy = TicketKind.objects.get(name="truck")
        self.assertEqual(([slot.name for slot in copy.slots.all()], copy.version), (["front", "back"], 1))
        self.assertEqual(self.kind.slots.count(), 2)


class PictureTests(KindAdminTestCase):
    def setUp(self):
        super().setUp()
        self.kind = make_kind("car", slots=["front"], titles={"en": "A car"})
        self.slot = self.kind.slots.get()

    def save_slot(self, content: bytes | None = None, **fields):
        if content is not None:
            fields["picture"] = SimpleUploadedFile("front.jpg", content, "image/jpeg")
        return self.save(slot_fields("front", 1, id=self.slot.pk) | fields, kind=self.kind)

    def example_url(self) -> str | None:
        return client_for(make_user()).get("/api/v1/kinds/car/").json()["slots"][0]["example_url"]

    def test_picture_goes_to_cloudinary_under_a_name_of_its_own(self):
        self.assert_saved(self.save_slot(jpeg_bytes(1)))

        picture = ExamplePicture.objects.get()
        self.assertEqual(KindSlot.objects.get().example, picture)
        self.assertEqual(picture.public_id, f"hopla-examples/{picture.pk}")
        self.assertIn(picture.public_id, self.example_url())
        self.assertEqual(picture.size, len(jpeg_bytes(1)))
        self.assertEqual(TicketKind.objects.get().version, 2)

    def test_what_is_no_picture_is_refused(self):
        self.assert_refused(self.save_slot(b"<svg onload=alert(1)>" * 9), "This is not a picture.")
        self.assertEqual(ExamplePicture.objects.count(), 0)

    def test_formats_that_browsers_do_not_show_are_refused(self):
        bmp = b"BM" + (70).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
        bmp += (2).to_bytes(4, "little") * 2 + b"\x01\x00\x18\x00" + bytes(40)

        self.assert_refused(self.save_slot(bmp), "Not every browser shows such a picture")

    def test_picture_is_kept_while_something_else_is_wrong(self):
        refused = self.save_slot(jpeg_bytes(1), name="Bad name")

        picture = ExamplePicture.objects.get()
        self.assert_refused(refused, f'value="{picture.pk}"')

    def test_trouble_with_cloudinary_is_told_and_nothing_saved(self):
        self.sandbox.misbehave("refuse", status=503, times=1)

        self.assert_refused(self.save_slot(jpeg_bytes(1), source="camera"), "Cloudinary did not take the picture")
        self.assertEqual((KindSlot.objects.get().source, ExamplePicture.objects.count()), ("any", 0))

    def test_picture_can_be_removed_and_tickets_keep_it(self):
        self.save_slot(jpeg_bytes(1))
        url, picture = self.example_url(), ExamplePicture.objects.get()

        self.assert_saved(self.save_slot(example=str(picture.pk), remove_picture="on"))

        self.assertIsNone(self.example_url())
        self.assertIn(str(ExamplePicture.objects.get().pk), url)

    def test_picture_and_address_together_are_refused(self):
        refused = self.save_slot(jpeg_bytes(1), example_link="https://example.com/a.jpg")

        self.assert_refused(refused, "Give a picture or an address, not both")

    def test_too_large_pictures_are_left_out_and_the_rest_is_saved(self):
        with override_settings(FILE_UPLOAD_MAX_MEMORY_SIZE=2000):
            response = self.save_slot(jpeg_bytes(1, size=3000), source="camera")

        self.assert_saved(response)
        self.assertEqual((KindSlot.objects.get().source, ExamplePicture.objects.count()), ("camera", 0))
        self.assertContains(self.admin.get(KINDS), "they were left out")

    def test_who_may_only_look_stores_nothing(self):
        agent = make_user(is_staff=True)
        agent.groups.add(Group.objects.get(name="support agents"))
        self.admin.force_login(agent)

        self.assertEqual(self.admin.get(f"{KINDS}{self.kind.pk}/change/").status_code, 200)
        self.assertEqual(self.save_slot(jpeg_bytes(1)).status_code, 403)
        self.assertEqual(ExamplePicture.objects.count(), 0)
