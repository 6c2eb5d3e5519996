from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import TicketStatus
from tests.case import ApiTestCase
from tests.makers import client_for, make_image, make_ticket, make_user

TICKETS = "/admin/tickets/ticket/"


def role_client(*groups: str, is_staff=True) -> Client:
    """The admin as a user in these groups sees it."""
    user = make_user(is_staff=is_staff)
    user.groups.set(Group.objects.filter(name__in=groups))
    assert user.groups.count() == len(groups)
    client = Client()
    client.force_login(user)
    return client


class GroupTests(ApiTestCase):
    def permissions_of(self, group: str) -> set[str]:
        names = Group.objects.get(name=group).permissions.values_list("content_type__app_label", "codename")
        return {f"{app}.{codename}" for app, codename in names}

    def test_roles_are_there_from_the_migration_on(self):
        self.assertEqual(set(Group.objects.values_list("name", flat=True)), {"users", "support agents", "operators"})

    def test_users_need_no_permission_for_their_own_things(self):
        self.assertEqual(self.permissions_of("users"), set())

    def test_agents_read_tickets_and_change_none(self):
        tickets = {name for name in self.permissions_of("support agents") if name.startswith("tickets.")}
        read = ("ticket", "image", "transition", "ticketkind", "kindslot")
        self.assertEqual(tickets, {f"tickets.view_{model}" for model in read})

    def test_agents_work_at_the_support_desk(self):
        desk = {name for name in self.permissions_of("support agents") if name.startswith("support.")}
        self.assertEqual(
            desk,
            {f"support.view_{model}" for model in ("supportticket", "message", "event", "email")}
            | {"support.change_supportticket", "support.change_email"},
        )

    def test_operators_change_and_delete_tickets_and_open_none(self):
        tickets = {name for name in self.permissions_of("operators") if name.startswith("tickets.")}
        self.assertEqual(
            tickets,
            {f"tickets.{verb}_{model}" for verb in ("view", "change", "delete") for model in ("ticket", "image")}
            | {"tickets.view_assetremoval", "tickets.view_transition"}
            | {
                f"tickets.{verb}_{model}"
                for verb in ("view", "add", "change", "delete")
                for model in ("ticketkind", "kindslot")
            },
        )

    def test_operators_see_to_the_emails_of_the_desk(self):
        desk = {name for name in self.permissions_of("operators") if name.startswith("support.")}
        self.assertEqual(desk, {"support.view_email", "support.change_email"})

    def test_no_role_governs_accounts_or_jobs(self):
        for role in ("users", "support agents", "operators"):
            with self.subTest(role):
                apps = {name.partition(".")[0] for name in self.permissions_of(role)}
                self.assertLessEqual(apps, {"tickets", "guests", "support", "integrations"})


class RoleTestCase(ApiTestCase):
    groups: tuple[str, ...] = ()

    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(title="Hail damage")
        self.image = make_image(self.ticket)
        self.page = reverse("admin:tickets_ticket_change", args=[self.ticket.pk])
        self.admin = role_client(*self.groups)

    def run_action(self, action: str, **fields):
        return self.admin.post(TICKETS, {"action": action, "_selected_action": [self.ticket.pk]} | fields)

    def status(self) -> str:
        return Ticket.objects.get(pk=self.ticket.pk).status


class AgentTests(RoleTestCase):
    groups = ("support agents",)

    def test_index_names_tickets_and_no_accounts(self):
        index = self.admin.get("/admin/")

        self.assertContains(index, TICKETS)
        self.assertNotContains(index, "/admin/accounts/")
        self.assertNotContains(index, "/admin/django_rq/")

    def test_ticket_and_its_photos_are_read(self):
        page = self.admin.get(self.page)

        self.assertContains(page, "Hail damage")
        self.assertContains(page, f"/admin/tickets/image/{self.image.pk}/")
        self.assertNotContains(page, 'name="_save"')

    def test_ticket_is_not_changed(self):
        self.assertEqual(self.admin.post(self.page, {"title": "Mine"}).status_code, 403)
        self.assertEqual(Ticket.objects.get().title, "Hail damage")

    def test_ticket_is_not_cancelled(self):
        self.assertNotContains(self.admin.get(TICKETS), 'value="cancel"')
        self.run_action("cancel")
        self.assertEqual(self.status(), TicketStatus.PENDING)

    def test_ticket_is_not_deleted(self):
        delete = reverse("admin:tickets_ticket_delete", args=[self.ticket.pk])
        self.assertEqual(self.admin.post(delete, {"post": "yes"}).status_code, 403)
        self.run_action("delete_selected", post="yes")
        self.assertTrue(Ticket.objects.exists())


class AgentAtTheDeskTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        request = {"title": "Where is my photo?", "body_text": "Please look.", "ticket": None}
        answer = client_for(make_user()).post("/api/v1/support/tickets/", request)
        self.page = reverse("admin:support_supportticket_change", args=[answer.json()["id"]])

    def test_agent_answers_and_closes_a_ticket(self):
        agent = role_client("support agents")
        inlines = {f"{name}-{count}_FORMS": 0 for name in ("messages", "events") for count in ("TOTAL", "INITIAL")}
        self.assertContains(agent.get(self.page), "Where is my photo?")

        response = agent.post(self.page, {"status": "CL", "answer": "It is stored."} | inlines)

        self.assertEqual(response.status_code, 302, response.content)
        page = agent.get(self.page)
        self.assertContains(page, "It is stored.")
        self.assertContains(page, '<option value="CL" selected>')

    def test_operator_does_not_enter(self):
        self.assertEqual(role_client("operators").get(self.page).status_code, 403)


class OperatorTests(RoleTestCase):
    groups = ("operators",)

    def test_ticket_is_cancelled(self):
        self.run_action("cancel")

        self.assertEqual(self.status(), TicketStatus.CANCELLED)

    def test_ticket_is_deleted_with_its_photos(self):
        self.admin.post(reverse("admin:tickets_ticket_delete", args=[self.ticket.pk]), {"post": "yes"})

        self.assertEqual((Ticket.objects.count(), Image.objects.count()), (0, 0))

    def test_several_tickets_are_deleted_at_once(self):
        self.run_action("delete_selected", post="yes")

        self.assertFalse(Ticket.objects.exists())

    def test_title_is_changed_and_what_the_pipeline_counts_is_not(self):
        form = {"title": "Storm", "description": "", "expires_at_0": "", "expires_at_1": "", "num_images": 99}
        inlines = {"images-TOTAL_FORMS": 0, "images-INITIAL_FORMS": 0}

        self.admin.post(self.page, form | inlines)

        ticket = Ticket.objects.get()
        self.assertEqual((ticket.title, ticket.num_images), ("Storm", self.ticket.num_images))

    def test_ticket_is_not_opened_here(self):
        self.assertEqual(self.admin.get(f"{TICKETS}add/").status_code, 403)

    def test_accounts_and_tokens_stay_closed(self):
        for path in ("accounts/user/", "accounts/authtoken/", "auth/group/", "token_blacklist/outstandingtoken/"):
            with self.subTest(path):
                self.assertEqual(self.admin.get(f"/admin/{path}").status_code, 403)


class OthersTests(RoleTestCase):
    def test_staff_without_a_role_sees_no_ticket(self):
        self.assertEqual(self.admin.get(TICKETS).status_code, 403)
        self.assertEqual(self.admin.get(self.page).status_code, 403)

    def test_role_alone_does_not_open_the_admin(self):
        visitor = role_client("operators", is_staff=False)

        self.assertRedirects(visitor.get(TICKETS), f"/admin/login/?next={TICKETS}", fetch_redirect_response=False)

    def test_group_of_users_opens_nothing(self):
        self.assertEqual(role_client("users").get(TICKETS).status_code, 403)
