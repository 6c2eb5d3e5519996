import json
import zipfile

from django.core.management import BaseCommand, CommandError

from apps.tickets.handover.signing import NotVerifiedError, public_keys
from apps.tickets.handover.verification import MANIFEST_MAX_BYTES, differences, signed_manifest_in, verified_manifest


class Command(BaseCommand):
    help = (
        "Checks a signed manifest: the signature, the canonical form and, with --zip, that an archive holds exactly "
        "its photos, byte for byte. Needs no database and no network. Ends with 1 when anything is wrong."
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("file", help="a manifest with its signature (manifest.jws), or an archive that has one")
        parser.add_argument("--jwks", help="a file with the keys, from /.well-known/jwks.json (default: our own keys)")
        parser.add_argument("--zip", help="the archive to compare (default: FILE, if that is one)")

    def handle(self, *, file, jwks, zip, **options):
        try:
            keys = keys_in(jwks) if jwks else public_keys()
            is_archive = zipfile.is_zipfile(file)
            content = verified_manifest(signed_manifest_in(file) if is_archive else text_of(file), keys)
        except NotVerifiedError as exc:
            raise CommandError(f"Not verified: {exc}") from exc
        self.stdout.write(
            "The manifest is signed and whole: ticket {ticket_id}, {status}, {number} of {num_images} photos, "
            "issued at {issued_at}.".format(number=len(content["photos"]), **content)
        )
        archive = zip or (file if is_archive else None)
        if archive is None:
            return
        found = list(differences(content, archive, keys))
        if found:
            raise CommandError("\n".join(["The archive differs from the manifest:", *found]))
        self.stdout.write("The archive holds exactly these photos, byte for byte.")


def text_of(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MANIFEST_MAX_BYTES).decode("ascii")
    except OSError as exc:
        raise CommandError(f"{path} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise NotVerifiedError("This is not a compact JWS: it has more than ASCII in it.") from exc
    if content.lstrip().startswith("{"):
        raise NotVerifiedError("This is the manifest without its signature: take manifest.jws of the same archive.")
    return content


def keys_in(path: str) -> dict:
    try:
        with open(path, "rb") as file:
            keys = json.load(file)
    except OSError as exc:
        raise CommandError(f"{path} cannot be read: {exc.strerror}.") from exc
    except (ValueError, RecursionError) as exc:
        raise CommandError(f"{path} is no JSON.") from exc
    if not isinstance(keys, dict) or not isinstance(keys.get("keys"), list):
        raise CommandError(f"{path} is no JWK Set: it has no list `keys`.")
    return keys
