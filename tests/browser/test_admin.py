from django.urls import reverse
from rq import SimpleWorker

from apps.accounts.models import AuthToken
from apps.accounts.tokens import new_jwt_pair
from apps.integrations.keys.scopes import Scope
from apps.integrations.models import ApiKey
from apps.support.models import Email, SupportTicket
from apps.tickets.delivery.job import deliver_photo
from apps.tickets.models import Image, Ticket, TicketKind
from tests.browser.case import DESKTOP, PHONE, BrowserTestCase
from tests.case import default_queue
from tests.makers import make_accepted_image, make_api_key, make_image, make_kind, make_ticket, token_for
from tests.support.makers import make_support_ticket

QUEUE = "/admin/django_rq/dashboard/"
BROKEN_WORDS = """
headings => headings.filter(heading => {
    const words = document.createRange();
    words.selectNodeContents(heading);
    return words.getClientRects().length > heading.textContent.trim().split(/\\s+/).length;
}).map(heading => heading.textContent)
"""
HAS_ITS_PICTURE = "image => image.decode().then(() => image.naturalWidth > 0)"


class AdminPageTests(BrowserTestCase):
    """Every page of the admin, in light on a desktop and in dark on a phone, in the languages with the longer words."""

    def setUp(self):
        super().setUp()
        ticket = make_ticket(self.superuser, num_images=4, title="Claim 7, with a title that is rather long")
        deliver_photo(str(make_accepted_image(ticket).pk))
        default_queue().empty()
        make_image(ticket, position=2, status="failed", error_code="cloudinary_rejected", filename="a-long-name" * 9)
        make_image(ticket, position=3)
        make_support_ticket(self.superuser)
        make_kind(slots=["front", {"name": "back", "titles": {"en": "A back with a title that is long" * 3}}])
        token_for(self.superuser)
        make_api_key(self.superuser, name="A key with a name that is rather long", scopes=list(Scope))
        new_jwt_pair(self.superuser)
        self.worker = SimpleWorker([default_queue()], connection=default_queue().connection)
        self.worker.register_birth()

    def pages(self) -> list[str]:
        models = ["tickets.ticket", "tickets.image", "tickets.transition", "tickets.assetremoval", "tickets.ticketkind"]
        models += ["support.supportticket", "support.email", "accounts.user", "accounts.authtoken", "auth.group"]
        models += ["token_blacklist.outstandingtoken", "integrations.apikey"]
        lists = [reverse(f"admin:{model.replace('.', '_')}_changelist") for model in models]
        rows = [Ticket.objects.get(), Image.objects.first(), SupportTicket.objects.get(), Email.objects.first()]
        rows += [self.superuser, AuthToken.objects.get(), TicketKind.objects.get(), ApiKey.objects.get()]
        changes = [reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk]) for row in rows]
        user = reverse("admin:accounts_user_change", args=[self.superuser.pk])
        others = [
            "/admin/",
            "/admin/tickets/",
            "/admin/password_change/",
            "/admin/accounts/user/add/",
            "/admin/tickets/ticketkind/add/",
            "/admin/integrations/apikey/add/",
            user.replace("change", "history"),
            user.replace("change", "delete"),
            user.replace("change", "password"),
            reverse("admin:tickets_ticket_delete", args=[Ticket.objects.get().pk]),
        ]
        return others + lists + changes

    def queue_pages(self) -> list[str]:
        job_id = default_queue().job_ids[0]
        pages = ("", "queues/0/", f"queues/0/{job_id}/", "queues/0/finished/", "queues/0/failed/", "queues/0/empty/")
        return [QUEUE + page for page in (*pages, "workers/0/", f"workers/0/{self.worker.key}/")]

    def test_pages_open_without_a_complaint_and_fit_the_window(self):
        for scheme, size, language in (("light", DESKTOP, "es"), ("dark", PHONE, "pl")):
            tab = self.open_browser(user=self.superuser, scheme=scheme, size=size, language=language)
            for path in [*self.pages(), *self.queue_pages()]:
                with self.subTest(path, scheme=scheme, width=size["width"]):
                    self.assertEqual(tab.open(path), [])
                    self.assertLessEqual(tab.overflow(), 0)
                    self.assertEqual(tab.cut_off(), [])
                    self.assertEqual(tab.is_dark(), scheme == "dark")

    def test_login_page_needs_no_user(self):
        tab = self.open_browser(user=None, size=PHONE)

        self.assertEqual(tab.open("/admin/"), [])

        self.assertTrue(tab.page.get_by_label("Username").is_visible())
        self.assertLessEqual(tab.overflow(), 0)

    def test_theme_is_switched_by_its_button_and_kept(self):
        tab = self.open_browser(user=self.superuser, scheme="light")
        tab.open("/admin/")

        while not tab.is_dark():
            tab.page.locator("#user-tools .theme-toggle").click()

        tab.open("/admin/auth/group/")
        self.assertTrue(tab.is_dark())

    def test_language_is_switched_by_its_button_and_kept(self):
        tab = self.open_browser(user=self.superuser)
        for language, name, groups in (("pl", "PL", "Grupy"), ("es", "ES", "Grupos"), ("en", "EN", "Groups")):
            with self.subTest(language):
                tab.open("/admin/auth/group/")
                tab.page.get_by_role("button", name=name, exact=True).click()
                tab.page.wait_for_selector(f"html[lang={language}]")
                self.assertIn(groups, tab.page.locator(".breadcrumbs").inner_text())
                self.assertEqual(tab.complaints(), [])

    def test_first_page_shows_its_stats(self):
        make_image(Ticket.objects.get(), position=4, status="uploading")
        tab = self.open_browser(user=self.superuser, size=PHONE)
        tab.open("/admin/")
        self.assertEqual(tab.page.locator(".scrolling th").evaluate_all(BROKEN_WORDS), [])

        figures = tab.page.locator(".dashboard-figures")
        text = figures.inner_text()
        for shown in ("Photos on their way", "cloudinary_rejected", "Workers alive: 1", self.worker.name[:12]):
            with self.subTest(shown):
                self.assertIn(shown, text)
        heights = tab.page.locator(".plot rect").evaluate_all(
            "bars => bars.map(bar => bar.getBoundingClientRect().height)"
        )
        self.assertEqual((len(heights), len([height for height in heights if height > 50])), (60, 1))

    def test_ticket_shows_its_progress_and_its_photos(self):
        ticket = Ticket.objects.get()
        for scheme, size in (("light", DESKTOP), ("dark", PHONE)):
            tab = self.open_browser(user=self.superuser, scheme=scheme, size=size)
            for path in ("/admin/tickets/ticket/", f"/admin/tickets/ticket/{ticket.pk}/change/"):
                with self.subTest(path, scheme=scheme):
                    tab.open(path)
                    bar = tab.page.locator("progress.progress")
                    self.assertEqual([bar.get_attribute("value"), bar.get_attribute("max")], ["1", "4"])
                    self.assertGreater(bar.bounding_box()["width"], 50)
            thumbnail = tab.page.locator("img.thumbnail")
            thumbnail.scroll_into_view_if_needed()
            self.assertTrue(thumbnail.evaluate(HAS_ITS_PICTURE))

    def test_box_in_the_head_of_the_queue_ticks_every_job(self):
        tab = self.open_browser(user=self.superuser)
        tab.open(f"{QUEUE}queues/0/")

        tab.page.locator("#action-toggle").check()

        boxes = tab.page.locator("tr input.action-select")
        self.assertEqual([box.is_checked() for box in boxes.all()], [True] * default_queue().count)
        self.assertGreater(default_queue().count, 0)
