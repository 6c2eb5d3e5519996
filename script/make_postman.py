"""Writes the Postman collection, its local environment and the sample photo: `python -m script.make_postman`."""

import json
import os
from pathlib import Path

from script.install import ROOT
from script.postman import SAMPLE

COLLECTION_FILE = ROOT / "docs" / "hopla.postman_collection.json"
ENVIRONMENT_FILE = ROOT / "docs" / "local.postman_environment.json"
SAMPLE_FILE = ROOT / SAMPLE


def main() -> None:
    # Here, and not at the top: the collection's fields are those of the serializers, which take Django's settings.
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hopla.settings")
    import django

    django.setup()
    from script.postman.collection import COLLECTION, ENVIRONMENT

    COLLECTION_FILE.write_text(as_text(COLLECTION))
    ENVIRONMENT_FILE.write_text(as_text(ENVIRONMENT))
    if not SAMPLE_FILE.exists():  # its bytes depend on the version of Pillow, so an existing one is kept
        SAMPLE_FILE.parent.mkdir(exist_ok=True)
        make_sample_photo(SAMPLE_FILE)


def as_text(content: dict) -> str:
    return json.dumps(content, indent="\t", ensure_ascii=False) + "\n"  # a tab, as Postman exports


def make_sample_photo(path: Path) -> None:
    """A JPEG of 32 x 24 pixels and a few hundred bytes: a disc in the evening sky."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (32, 24), "midnightblue")
    ImageDraw.Draw(picture).ellipse((12, 6, 24, 18), fill="gold")
    picture.save(path, "JPEG", quality=60)


if __name__ == "__main__":
    main()
