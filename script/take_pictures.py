"""Takes the pictures of the admin and of the guests' page in docs/pictures, from a hopla of its own after a busy hour.

`script/pictures guests` takes those of the guests' page alone.
"""

import io
import os
import sys

from script import servers
from script.browser import NEEDED, REQUIREMENTS, find_chromium
from script.children import ChildFailed, Children, StopAsked
from script.install import ROOT, install_extras
from script.run_newman import start_hopla

FOLDER = ROOT / "docs" / "pictures"
DESKTOP, PHONE, TALL = (1280, 900), (390, 844), (1280, 1500)
MAX_BYTES = 150_000  # of a file


def main() -> None:
    install_extras(REQUIREMENTS)
    path = find_chromium()
    if not path:
        sys.exit(f"script/pictures {NEEDED}")
    from apps.sandbox.server import SandboxServer

    with servers.private_folder() as folder, SandboxServer() as sandbox, Children() as children:
        started = {
            "CLOUDINARY_URL": sandbox.cloudinary_url,
            "CLOUDINARY_DELIVERY_URL": sandbox.url,
            "UPLOAD_TIMEOUT_SECONDS": "900",
        }
        _server, url = start_hopla(children, folder=folder, **started)
        os.environ |= {
            "DATABASE_URL": f"sqlite:///{folder / 'hopla.sqlite3'}",
            "DJANGO_SETTINGS_MODULE": "hopla.settings",
            "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # Playwright's own event loop runs in this thread
        }
        import django

        django.setup()
        from script.demo_data import live_through_a_busy_hour

        if sys.argv[1:] != ["guests"]:
            ticket, reviewed = live_through_a_busy_hour(url=url, sandbox=sandbox)
            photograph(path, url=url, ticket_id=ticket.pk, reviewed_id=reviewed.pk)
        photograph_guests(path, url=url)


def photograph(chromium: str, *, url: str, ticket_id: int, reviewed_id: int) -> None:
    from playwright.sync_api import sync_playwright

    from apps.accounts.management.commands.make_demo_user import PASSWORD, USERNAME

    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium) as browser:
        for name, path, scheme, (width, height) in (
            ("admin-overview", "/admin/", "light", DESKTOP),
            ("admin-overview-phone", "/admin/", "dark", PHONE),
            ("admin-tickets", "/admin/tickets/ticket/", "dark", DESKTOP),
            ("admin-ticket", f"/admin/tickets/ticket/{ticket_id}/change/", "light", TALL),
            ("admin-review", f"/admin/tickets/ticket/{reviewed_id}/review/", "light", DESKTOP),
        ):
            context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
            page = context.new_page()
            page.goto(f"{url}/admin/login/?next={path}")
            page.fill("#id_username", USERNAME)
            page.fill("#id_password", PASSWORD)
            page.press("#id_password", "Enter")
            page.wait_for_url(f"{url}{path}", wait_until="networkidle")
            save(page.screenshot(), FOLDER / f"{name}.webp")
            context.close()


def photograph_guests(chromium: str, *, url: str) -> None:
    """The page on a phone: opened, while photos are on their way, with one that is wanted again, and at the end."""
    from playwright.sync_api import sync_playwright

    from apps.tickets.models import Image
    from apps.tickets.upkeep.review import Rejection, request_retakes
    from script.demo_data import colourful_photo, open_for_a_guest, wait_until

    ticket, path = open_for_a_guest()
    names = [slot["name"] for slot in ticket.slots]
    photos = [
        {"name": "image.jpg", "mimeType": "image/jpeg", "buffer": colourful_photo(seed, size=(1600, 1200))}
        for seed in range(len(names) + 1)
    ]

    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium) as browser:

        def phone(scheme: str):
            width, height = PHONE
            size = {"width": width, "height": height}
            context = browser.new_context(color_scheme=scheme, viewport=size, is_mobile=True, has_touch=True)
            page = context.new_page()
            page.goto(f"{url}{path}")
            page.wait_for_selector("html[data-ready]", state="attached")
            return page

        def take(page, place: int, photo: dict) -> None:
            page.locator(f"#place-{place} input[type=file]").first.set_input_files([photo])

        page = phone("light")
        save(page.screenshot(), FOLDER / "guest-open.webp")
        take(page, 1, photos[0])
        page.wait_for_selector("#place-1[data-state=stored] img.photo")
        page.context.set_offline(True)
        for place in (2, 3):
            take(page, place, photos[place - 1])
            page.wait_for_selector(f"#place-{place}[data-state=waiting] canvas")
        save(page.screenshot(), FOLDER / "guest-offline.webp")
        page.context.set_offline(False)
        for place in range(4, len(names) + 1):
            take(page, place, photos[place - 1])
        page.wait_for_selector("body[data-state=completed]")
        image = Image.objects.get(ticket=ticket, position=1)
        note = "Please step back, so that the whole car is in the picture."
        request_retakes(ticket.pk, [Rejection(image.pk, "incomplete", note)])
        dark = phone("dark")
        dark.wait_for_selector("#place-1 .trouble:not([hidden])")
        save(dark.screenshot(), FOLDER / "guest-retake.webp")
        take(dark, 1, photos[-1])
        dark.wait_for_selector("body[data-state=completed]")
        wait_until(lambda: dark.locator("img.photo").count() == len(names))
        dark.wait_for_load_state("networkidle")
        save(dark.screenshot(), FOLDER / "guest-complete.webp")


def save(png: bytes, path) -> None:
    """As WebP, which shows text as well in a third of the bytes."""
    from PIL import Image as Picture

    Picture.open(io.BytesIO(png)).convert("RGB").save(path, "WEBP", quality=85, method=6)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    if size > MAX_BYTES:
        sys.exit(f"{path.name} is larger than {MAX_BYTES:,} bytes.")


if __name__ == "__main__":
    try:
        main()
    except StopAsked as stop:
        print("Stopped.", file=sys.stderr)
        sys.exit(stop.exit_code)
    except (ChildFailed, servers.NotInstalled) as error:
        sys.exit(f"script/pictures: {error}")
