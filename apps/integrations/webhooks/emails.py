"""The e-mail to the owner of an endpoint that hopla has disabled.

An address that is not verified gets no text that a user wrote, not even the URL, and few mails a day.
"""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import override

from apps.common.jobs.queue import job_function
from apps.common.mail.outbox import Outbox
from apps.common.observability.request_id import has_no_words
from apps.integrations.models import Endpoint, WebhookEmail


def tell_that_it_was_disabled(endpoint: Endpoint) -> None:
    """Create the mail, sent after the commit."""
    owner = endpoint.owner
    if owner.email:
        outbox.post(endpoint=endpoint, to=owner.email, language=owner.language or settings.LANGUAGE_CODE)


@job_function
def send_webhook_email(email_id: int) -> None:
    """Job: send the mail if it is still queued. Safe to run twice and at the same time."""
    outbox.send(email_id)


def is_needed(email: WebhookEmail) -> bool:
    return not email.endpoint.enabled and email.endpoint.owner.is_active


def _may_be_sent(email: WebhookEmail) -> bool:
    """What is not needed is not counted."""
    return not is_needed(email) or email.endpoint.owner.may_be_mailed(email.to, mail_id=f"webhook-{email.pk}")


def compose(email: WebhookEmail) -> EmailMultiAlternatives | None:
    if not is_needed(email):
        return None
    endpoint = email.endpoint
    with_texts = endpoint.owner.has_verified(email.to)
    with override(email.language):
        context = {"endpoint": endpoint, "with_texts": with_texts, "reason": endpoint.disabled_reason}
        mail = EmailMultiAlternatives(
            subject=_("hopla sends no more webhooks to one of your endpoints"),
            body=render_to_string("integrations/disabled.txt", context),
            to=[email.to],
        )
        mail.attach_alternative(render_to_string("integrations/disabled.html", context), "text/html")
    mail.extra_headers = {"Auto-Submitted": "auto-generated"}
    if with_texts or has_no_words(email.request_id):
        mail.extra_headers["X-Request-ID"] = email.request_id
    return mail


outbox = Outbox(
    model=WebhookEmail,
    job=lambda: send_webhook_email,
    compose=compose,
    may_be_sent=_may_be_sent,
    related=("endpoint__owner",),
)
