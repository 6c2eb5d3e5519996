from django.test import Client

from apps.common.mail.outbox import EmailState
from apps.integrations.models import WebhookEmail
from apps.integrations.webhooks.disabling import disable_and_tell
from tests.case import ApiTestCase
from tests.integrations.webhooks.makers import make_endpoint
from tests.makers import make_user

EMAILS = "/admin/integrations/webhookemail/"


class EmailsAdminTests(ApiTestCase):
    def test_email_that_failed_is_sent_again(self):
        admin = Client()
        admin.force_login(make_user(is_staff=True, is_superuser=True))
        disable_and_tell(make_endpoint(), "gone")
        WebhookEmail.objects.update(state=EmailState.FAILED, attempts=30, due_at=None)
        email = WebhookEmail.objects.get()
        self.assertContains(admin.get(EMAILS), email.to)

        admin.post(EMAILS, {"action": "send_now", "_selected_action": [email.pk]}, follow=True)

        email.refresh_from_db()
        self.assertEqual((email.state, email.attempts), (EmailState.QUEUED, 0))
