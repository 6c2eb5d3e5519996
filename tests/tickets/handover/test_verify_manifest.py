import io
import json
import tempfile
import zipfile
from pathlib import Path

import jwt
from django.core.management import CommandError, call_command
from django.test import SimpleTestCase, override_settings

from apps.tickets.handover import signing
from apps.tickets.handover.archive import Archive
from apps.tickets.handover.manifest import Manifest, canonical, read_manifest
from apps.tickets.handover.verification import differences, verified_manifest
from tests.case import ApiTestCase
from tests.makers import jpeg_bytes, make_user
from tests.tickets.handover.makers import make_stored_ticket, running_delivery

ONE, TWO = b"1" * 32, b"2" * 32
CONTENT = {"ticket_id": 1, "num_images": 1, "status": "completed", "issued_at": "2026-11-21T10:05:00Z", "photos": []}


@override_settings(MANIFEST_SIGNING_KEY=[ONE])
class SignatureTests(SimpleTestCase):
    def assert_refused(self, signed: str, word: str = "", jwks: dict | None = None) -> None:
        with self.assertRaisesRegex(signing.NotVerifiedError, word):
            verified_manifest(signed, jwks or signing.public_keys())

    def test_what_was_signed_is_verified(self):
        signed = signing.sign(canonical(CONTENT))
        self.assertEqual(verified_manifest(signed, signing.public_keys()), CONTENT)
        self.assertEqual(verified_manifest(f"{signed}\n", signing.public_keys()), CONTENT)

    def test_no_character_can_be_another(self):
        signed = signing.sign(canonical(CONTENT))
        for place, character in enumerate(signed):
            for other in "AQgw_.":  # also those whose last bits do not matter to a careless reader
                if other != character:
                    self.assert_refused(signed[:place] + other + signed[place + 1 :])

    def test_no_part_can_go_or_be_added(self):
        signed = signing.sign(canonical(CONTENT))
        head, payload, signature = signed.split(".")
        for changed in (
            "",
            ".",
            "..",
            f"{head}.{payload}.",
            f"{head}..{signature}",
            f"{signed}.{signature}",
            signed + "=",
        ):
            self.assert_refused(changed)

    def test_another_algorithm_is_refused(self):
        key = signing.signing_keys()[0]
        headers = {"typ": signing.TYPE, "kid": key.id}
        for algorithm, secret in (("none", None), ("HS256", key.jwk["x"] * 2)):
            self.assert_refused(jwt.PyJWS().encode(canonical(CONTENT), secret, algorithm, headers), "header")

    def test_what_the_key_signed_as_something_else_is_no_manifest(self):
        key = signing.signing_keys()[0]
        signed = jwt.PyJWS().encode(canonical(CONTENT), key._private_key, "EdDSA", {"typ": "JWT", "kid": key.id})
        self.assert_refused(signed, "header")

    def test_an_unknown_key_is_refused(self):
        with override_settings(MANIFEST_SIGNING_KEY=[TWO]):
            signed = signing.sign(canonical(CONTENT))
        self.assert_refused(signed, "not among")

    def test_a_key_under_the_name_of_another_is_refused(self):
        signed = signing.sign(canonical(CONTENT))
        other = signing.SigningKey(TWO).jwk | {"kid": signing.SigningKey(ONE).id}
        self.assert_refused(signed, "not that of the key", {"keys": [other]})

    def test_keys_that_are_none_are_refused(self):
        signed, kid = signing.sign(canonical(CONTENT)), signing.SigningKey(ONE).id
        for key in ({}, {"x": 1}, {"x": "short"}, {"x": "ü"}, {"x": None}):
            self.assert_refused(signed, "none of Ed25519", {"keys": [key | {"kid": kid}]})
        self.assert_refused(signed, "not among", {"keys": ["nonsense", None, 7]})

    def test_what_is_not_canonical_is_refused(self):
        for payload in (json.dumps(CONTENT).encode(), canonical(CONTENT) + b" ", b'{"a":1,"a":1}'):
            self.assert_refused(signing.sign(payload), "canonical")

    def test_what_is_no_manifest_is_refused(self):
        for payload in (b"", b"no JSON", b"[" * 100_000, b"\xff"):
            self.assert_refused(signing.sign(payload), "no JSON")
        for content in (
            [],
            {},
            1,
            None,
            CONTENT | {"photos": [1]},
            CONTENT | {"photos": [{}]},
            CONTENT | {"ticket_id": True},
        ):
            self.assert_refused(signing.sign(canonical(content)), "no manifest")


class ArchiveComparisonTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.enterContext(running_delivery())
        self.user = make_user()
        self.ticket = make_stored_ticket(self.user, [jpeg_bytes(number, size=5000) for number in range(2)])
        self.manifest = read_manifest(self.ticket.pk, reader=self.user)
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        with zipfile.ZipFile(io.BytesIO(b"".join(Archive([self.manifest])))) as opened:
            self.files = {name: opened.read(name) for name in opened.namelist()}

    def zip_of(self, *files: tuple[str, bytes], **options) -> io.BytesIO:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", **options) as writing:
            for name, content in files:
                writing.writestr(name, content)
        return made

    def found(self, archive) -> list[str]:
        return list(differences(self.manifest.content, archive, signing.public_keys()))

    def assert_differs(self, *files: tuple[str, bytes], says: str) -> None:
        [sentence] = self.found(self.zip_of(*files))
        self.assertIn(says, sentence)

    def test_the_archive_itself_is_right_and_so_is_one_packed_anew(self):
        self.assertEqual(self.found(self.zip_of(*self.files.items())), [])
        self.assertEqual(self.found(self.zip_of(*self.files.items(), compression=zipfile.ZIP_DEFLATED)), [])

    def test_a_photo_that_is_missing_added_or_twice_is_told(self):
        files = list(self.files.items())
        self.assert_differs(*files[:-1], says="'002-photo.jpg' is missing")
        self.assert_differs(*files, ("003-photo.jpg", b"x"), says="is in the archive and not in the manifest")
        self.assert_differs(*files, ("../../etc/passwd", b"x"), says="'../../etc/passwd' is in the archive")
        self.assert_differs(*files, ("folder/", b""), says="'folder/' is in the archive")
        with self.assertWarns(UserWarning):
            self.assert_differs(*files, files[-1], says="2 times")

    def test_a_photo_of_other_bytes_is_told(self):
        content = self.files["002-photo.jpg"]
        for changed, says in (
            (content[:-1] + b"x", "sha256"),
            (content[:-1], "4999 bytes"),
            (content + b"x", "5001 bytes"),
            (b"", "0 bytes"),
        ):
            self.assert_differs(*(self.files | {"002-photo.jpg": changed}).items(), says=says)

    def test_a_manifest_that_was_changed_is_told(self):
        other = Manifest(self.manifest.content | {"photos": self.manifest.content["photos"][:1]}, [])
        for name, content, says in (
            ("manifest.json", b"{}", "'manifest.json' is not what"),
            ("manifest.json", b"\xff", "cannot be read"),
            ("manifest.jws", b"a.b.c", "'manifest.jws' in the archive"),
        ):
            self.assert_differs(*(self.files | {name: content}).items(), says=says)
        both = {"manifest.json": other.canonical, "manifest.jws": other.signed.encode()}
        self.assert_differs(*(self.files | both).items(), says="names other photos")

    def test_one_that_was_issued_later_is_as_good(self):
        later = Manifest(self.manifest.content | {"issued_at": "2030-01-01T00:00:00Z"}, [])
        both = {"manifest.json": later.canonical, "manifest.jws": later.signed.encode()}
        self.assertEqual(self.found(self.zip_of(*(self.files | both).items())), [])

    def test_no_changed_byte_of_the_archive_passes_for_a_photo(self):
        """Each either says that something differs, or has changed nothing of the photos and manifests."""
        whole = b"".join(Archive([self.manifest]))
        for place in range(0, len(whole), 97):
            changed = bytearray(whole)
            changed[place] ^= 0x41
            if not self.found(io.BytesIO(changed)):
                with zipfile.ZipFile(io.BytesIO(changed)) as opened:
                    self.assertEqual({name: opened.read(name) for name in opened.namelist()}, self.files)

    def test_what_is_no_zip_or_half_of_one_is_told(self):
        whole = b"".join(Archive([self.manifest]))
        for content in (b"", b"no zip", whole[: len(whole) // 2], whole[:-30]):
            self.assertEqual(len(self.found(io.BytesIO(content))), 1)

    def test_one_of_several_tickets_is_compared_with_its_folder(self):
        other = make_stored_ticket(self.user, [jpeg_bytes(9)])
        both = Archive([self.manifest, read_manifest(other.pk, reader=self.user)])
        self.assertEqual(self.found(io.BytesIO(b"".join(both))), [])
        folder = f"ticket-{self.ticket.pk}/"
        hidden = {folder + name: content for name, content in self.files.items()}
        self.assertTrue(self.found(self.zip_of(*hidden.items(), ("photo.jpg", b"beside the folder"))))

    # --- The command ---

    def run_command(self, *arguments: str) -> str:
        out = io.StringIO()
        call_command("verify_manifest", *map(str, arguments), stdout=out)
        return out.getvalue()

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def test_command_checks_signature_and_archive_offline(self):
        signed = self.write("manifest.jws", self.manifest.signed)
        archive = self.write("ticket.zip", b"".join(Archive([self.manifest])))
        keys = self.write("jwks.json", json.dumps(signing.public_keys()))
        with self.assertNumQueries(0):
            self.assertIn(f"ticket {self.ticket.pk}, completed, 2 of 2 photos", self.run_command(signed))
            told = self.run_command(signed, "--jwks", keys, "--zip", archive)
            self.assertIn("exactly these photos", told)
            self.assertEqual(self.run_command(archive), told)  # with the manifest in it

    def test_command_fails_with_a_sentence(self):
        signed = self.write("manifest.jws", self.manifest.signed)
        wrong = self.write("wrong.zip", self.zip_of(*list(self.files.items())[:-1]).getvalue())
        for arguments, says in (
            ((self.folder / "nothing",), "cannot be read"),
            ((self.write("manifest.json", self.manifest.canonical),), "without its signature"),
            ((self.write("bytes", b"\xff\xfe"),), "ASCII"),
            ((self.write("text", "a.b.c"),), "Not verified"),
            ((signed, "--zip", wrong), "'002-photo.jpg' is missing"),
            ((signed, "--zip", self.folder / "nothing"), "cannot be read"),
            ((self.write("empty.zip", self.zip_of().getvalue()),), "has no manifest.jws"),
            ((signed, "--jwks", self.folder / "nothing"), "cannot be read"),
            ((signed, "--jwks", self.write("list", "[]")), "no JWK Set"),
            ((signed, "--jwks", self.write("nonsense", "{")), "no JSON"),
        ):
            with self.subTest(says), self.assertRaisesMessage(CommandError, says):
                self.run_command(*arguments)
