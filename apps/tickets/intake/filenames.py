"""The name that a client gives a photo, fit to be kept and shown."""

import re

FILENAME_MAX_LENGTH = 255


def clean_filename(name: str) -> str:
    """Returns the name's last part, printable, at most 255 characters with its ending kept; "" if nothing is left."""
    base = re.split(r"[/\\]", name)[-1]
    printable = "".join(character for character in base if character.isprintable()).strip()
    if not printable.strip("."):  # a folder's name for itself, or for the one above
        return ""
    if len(printable) <= FILENAME_MAX_LENGTH:
        return printable
    _, dot, ending = printable.rpartition(".")
    keep_ending = f"{dot}{ending}" if dot and len(ending) <= 8 else ""
    return printable[: FILENAME_MAX_LENGTH - len(keep_ending)] + keep_ending
