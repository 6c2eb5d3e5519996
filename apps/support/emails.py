"""The desk's e-mails: who gets one for an event, and what it says. apps/common/mail/outbox.py sends each exactly once.

E-mails to an owner's address that is not verified contain no text that a user or staff wrote, and are few a day: anyone
can open an account with any address.
"""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import override

from apps.common.jobs.queue import job_function
from apps.common.mail.outbox import Outbox
from apps.common.mail.subscriptions import one_click
from apps.common.observability.request_id import has_no_words
from apps.support.models import Audience, Email, Event, EventKind
from apps.support.subscriptions import links


def announce(event: Event) -> None:
    """Create the e-mails for this event, sent after the commit. Call it in the transaction that creates the event."""
    ticket = event.ticket
    by_owner = event.actor_id == ticket.owner_id
    if ticket.owner_subscribed and (event.kind != EventKind.MESSAGE or not by_owner):
        _write(event, Audience.OWNER, to=ticket.owner.email, language=ticket.owner.language or ticket.language)
    if settings.SUPPORT_EMAIL and by_owner and event.kind != EventKind.STATUS:
        _write(event, Audience.SUPPORT, to=settings.SUPPORT_EMAIL, language=settings.LANGUAGE_CODE)


def _write(event: Event, audience: str, *, to: str, language: str) -> None:
    outbox.post(event=event, audience=audience, to=to, language=language)


@job_function
def send_email(email_id: int) -> None:
    """Job: send the mail if it is still queued. Safe to run twice and at the same time."""
    outbox.send(email_id)


def _may_be_sent(email: Email) -> bool:
    owner = email.event.ticket.owner
    return email.audience != Audience.OWNER or owner.may_be_mailed(email.to, mail_id=f"support-{email.pk}")


def compose(email: Email) -> EmailMultiAlternatives:
    """Return the mail in its reader's language, as text and HTML, with headers that keep a ticket in one thread."""
    event = email.event
    ticket = event.ticket
    for_owner = email.audience == Audience.OWNER
    with_texts = not for_owner or ticket.owner.has_verified(email.to)
    with override(email.language):
        context = {
            "with_texts": with_texts,
            "verification": ticket.owner.first_code() if for_owner and email.to == ticket.owner.email else None,
            "ticket": ticket,
            "event": event,
            "for_owner": for_owner,
            "old_status": event.get_old_status_display(),
            "new_status": event.get_new_status_display(),
            "unsubscribe_url": links.url_of(ticket.pk) if for_owner else "",
        }
        title = " ".join(ticket.title.split()) if with_texts else _("Your ticket")
        subject = _("[hopla #{number}] {title}").format(number=ticket.pk, title=title)
        if event.kind != EventKind.OPENED:
            subject = f"Re: {subject}"
        text = render_to_string("support/email.txt", context)
        html = render_to_string("support/email.html", context)
    mail = EmailMultiAlternatives(
        subject=subject, body=text, to=[email.to], reply_to=[settings.SUPPORT_EMAIL] if settings.SUPPORT_EMAIL else None
    )
    mail.attach_alternative(html, "text/html")
    mail.extra_headers = _headers(email, context["unsubscribe_url"])
    if not with_texts and not has_no_words(event.request_id):
        del mail.extra_headers["X-Request-ID"]
    return mail


def _headers(email: Email, unsubscribe: str) -> dict:
    """Message-ID is derived from the row, so mailboxes show a mail that was sent twice after all as one."""
    domain = settings.EMAIL_DOMAIN
    thread = f"<support-{email.event.ticket_id}@{domain}>"
    headers = {
        "Message-ID": f"<support-{email.event.ticket_id}-{email.event_id}-{email.audience}@{domain}>",
        "In-Reply-To": thread,
        "References": thread,
        "Auto-Submitted": "auto-generated",
        "X-Request-ID": email.event.request_id,
    }
    return headers | one_click(unsubscribe) if unsubscribe else headers


outbox = Outbox(
    model=Email,
    job=lambda: send_email,
    compose=compose,
    may_be_sent=_may_be_sent,
    related=("event__ticket__owner", "event__message"),
)
