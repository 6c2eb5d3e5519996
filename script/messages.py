"""`script/messages`: bring hopla/locale up to date with the code, and compile it. `--check` only reports.

Needs Babel alone, where Django's makemessages needs GNU gettext. The compiled catalogues are committed, so that
running hopla needs neither.
"""

import io
import sys
from datetime import datetime, timezone
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "hopla" / "locale"
LANGUAGES = ("es", "pl")
NO_DATE = datetime(2000, 1, 1, tzinfo=timezone.utc)  # so that the files change only when their messages do
SOURCES = ("apps", "hopla")
KEYWORDS = DEFAULT_KEYWORDS | {
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
}


def collect() -> Catalog:
    """Every message of the code and the templates, with no translations."""
    catalog = Catalog(project="hopla")
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".py", ".html", ".txt") or "locale" in path.parts:
                continue
            source = path.read_text()
            if path.suffix != ".py":
                source = templatize(source, origin=str(path))
            for _, message, comments, context in extract("python", io.BytesIO(source.encode()), KEYWORDS):
                where = [(str(path.relative_to(ROOT)), 0)]
                catalog.add(message, locations=where, auto_comments=comments, context=context)
    return catalog


def updated(language: str, template: Catalog) -> Catalog:
    """The language's catalogue with new messages added, untranslated, and old ones removed."""
    path = po_path(language)
    if path.exists():
        with path.open("rb") as file:
            catalog = read_po(file, locale=language)
    else:
        catalog = Catalog(locale=language, project="hopla", fuzzy=False)
    catalog.update(template, no_fuzzy_matching=True)
    catalog.header_comment = "# hopla's messages. script/messages keeps this file; only the translations are by hand."
    catalog.last_translator = catalog.language_team = catalog.msgid_bugs_address = "hopla"
    catalog.obsolete.clear()
    catalog.creation_date = catalog.revision_date = NO_DATE
    return catalog


def po_path(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def as_po(catalog: Catalog) -> bytes:
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=120, omit_header=False, include_lineno=False, sort_output=True)
    return buffer.getvalue()


def as_mo(catalog: Catalog) -> bytes:
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def untranslated(catalog: Catalog) -> list[str]:
    """The messages that this language lacks, or has only as fuzzy."""
    lacking = []
    for message in catalog:
        texts = message.string if isinstance(message.string, (list, tuple)) else [message.string]
        if message.id and (message.fuzzy or not all(texts)):
            lacking.append(message.id if isinstance(message.id, str) else message.id[0])
    return lacking


def main() -> int:
    template = collect()
    complaints = []
    for language in LANGUAGES:
        catalog = updated(language, template)
        po, mo = as_po(catalog), as_mo(catalog)
        files = {po_path(language): po, po_path(language).with_suffix(".mo"): mo}
        if "--check" not in sys.argv:
            for path, content in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        for path, content in files.items():
            if not path.exists() or path.read_bytes() != content:
                complaints.append(f"{path.relative_to(ROOT)} is not up to date: run script/messages")
        complaints += [f"{language}: not translated: {text!r}" for text in untranslated(catalog)]
    print("\n".join(complaints) or "The catalogues are complete.")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
