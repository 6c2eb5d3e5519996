"""The desk's e-mails: who is told of an event, what the mail says, and how it leaves exactly once.

A mail is a row written with its event. The job sends it under the row's lock and marks it sent, so that a job that runs
twice sends once. While the mail server is away the worker tries again, and in the end reports it.

To an owner's address that nobody has verified goes no text that a user wrote, neither owner nor staff, and few mails a
day: anybody can open an account with anybody's address.
"""

import logging
from datetime import timedelta
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection, transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from apps.common.jobs.backoff import Backoff
from apps.common.jobs.queue import default_queue, job_function, jobs
from apps.common.observability.request_id import has_no_words, on_behalf_of
from apps.support.models import Audience, Email, EmailState, Event, EventKind
from apps.support.subscriptions import unsubscribe_url

logger = logging.getLogger(__name__)

# 30 s, 1 min, 2 min … at most an hour apart: about a day in all.
BACKOFF = Backoff(base_seconds=30, cap_seconds=60 * 60)
MAX_ATTEMPTS = 30
# Should the job get lost, the worker enqueues another after this long.
LOOK_AGAIN = timedelta(seconds=60)
BATCH = 100


def announce(event: Event) -> None:
    """Write down the e-mails that this event calls for; they leave after the commit. Call it in its transaction."""
    ticket = event.ticket
    by_owner = event.actor_id == ticket.owner_id
    if ticket.owner_subscribed and (event.kind != EventKind.MESSAGE or not by_owner):
        _write(event, Audience.OWNER, to=ticket.owner.email, language=ticket.owner.language or ticket.language)
    if settings.SUPPORT_EMAIL and by_owner and event.kind != EventKind.STATUS:
        _write(event, Audience.SUPPORT, to=settings.SUPPORT_EMAIL, language=settings.LANGUAGE_CODE)


def _write(event: Event, audience: str, *, to: str, language: str) -> None:
    email = Email.objects.create(
        event=event, audience=audience, to=to, language=language, due_at=timezone.now() + LOOK_AGAIN
    )
    # Robust: with the queue away the event stands, and the worker enqueues the mail later.
    transaction.on_commit(lambda: enqueue_email(email.pk), robust=True)


def enqueue_email(email_id: int) -> None:
    default_queue().enqueue(send_email, email_id, result_ttl=0)


@job_function
def send_email(email_id: int) -> None:
    """The job. Sends the mail if it is still owed. Safe to run twice and side by side."""
    if not _may_leave(email_id):
        return
    with transaction.atomic():
        skip_locked = connection.features.has_select_for_update_skip_locked
        owed = Email.objects.select_for_update(skip_locked=skip_locked, of=("self",)).filter(state=EmailState.QUEUED)
        email = owed.select_related("event__ticket__owner", "event__message").filter(pk=email_id).first()
        if email is None:
            return
        with on_behalf_of(email.event.request_id):
            _attempt(email)
        email.save()


def _may_leave(email_id: int) -> bool:
    """Whether its address may have another mail today. Asked outside of the lock: what is counted stays counted."""
    owed = Email.objects.filter(pk=email_id, state=EmailState.QUEUED).select_related("event__ticket__owner").first()
    if owed is None:
        return False
    owner = owed.event.ticket.owner
    if owed.audience != Audience.OWNER or owner.may_be_mailed(owed.to, mail_id=f"support-{owed.pk}"):
        return True
    withheld = {"state": EmailState.WITHHELD, "due_at": None, "error": "not verified, and had its mails of the day"}
    Email.objects.filter(pk=email_id, state=EmailState.QUEUED).update(**withheld)
    logger.warning("e-mail %s: withheld, its address is not verified and has had its mails of the day", owed.pk)
    return False


def _attempt(email: Email) -> None:
    email.attempts += 1
    try:
        with transaction.atomic():  # a code that could not be sent is none
            mail = compose(email)
            with jobs.away():
                mail.send()
    except (SMTPException, OSError) as error:
        _postpone_or_fail(email, error)
    else:
        email.state, email.sent_at, email.due_at, email.error = EmailState.SENT, timezone.now(), None, ""
        logger.info("e-mail %s of support ticket %s: sent", email.pk, email.event.ticket_id)


def enqueue_due_emails() -> int:
    """Enqueue the mails that are due again, and answer how many. The worker calls it every second."""
    now = timezone.now()
    due = Email.objects.filter(state=EmailState.QUEUED, due_at__lte=now).order_by("due_at")
    pks = list(due.values_list("pk", flat=True)[:BATCH])
    # Move each on before it is enqueued, so that two workers do not both take it.
    mine = [pk for pk in pks if Email.objects.filter(pk=pk, due_at__lte=now).update(due_at=now + LOOK_AGAIN)]
    for pk in mine:
        enqueue_email(pk)
    return len(mine)


def send_again(email_id: int) -> bool:
    """Send it now, with all its attempts before it, given up or not. Answers whether it is owed: a sent one is not."""
    with transaction.atomic():
        owed = Email.objects.filter(pk=email_id).exclude(state=EmailState.SENT)
        if not owed.update(state=EmailState.QUEUED, attempts=0, due_at=timezone.now() + LOOK_AGAIN):
            return False
        transaction.on_commit(lambda: enqueue_email(email_id), robust=True)
    return True


def compose(email: Email) -> EmailMultiAlternatives:
    """The mail in its reader's language, as text and HTML, with the headers that keep one ticket in one thread."""
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
            "unsubscribe_url": unsubscribe_url(ticket) if for_owner else "",
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
    """Message-ID follows from the row, so a mail that was sent twice after all is one mail to a mailbox."""
    domain = settings.EMAIL_DOMAIN
    thread = f"<support-{email.event.ticket_id}@{domain}>"
    headers = {
        "Message-ID": f"<support-{email.event.ticket_id}-{email.event_id}-{email.audience}@{domain}>",
        "In-Reply-To": thread,
        "References": thread,
        "Auto-Submitted": "auto-generated",
        "X-Request-ID": email.event.request_id,
    }
    if unsubscribe:  # RFC 8058
        headers["List-Unsubscribe"] = f"<{unsubscribe}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _postpone_or_fail(email: Email, error: Exception) -> None:
    email.error = f"{type(error).__name__}: {error}"[:500]
    if email.attempts >= MAX_ATTEMPTS or _is_permanent(error):
        email.state, email.due_at = EmailState.FAILED, None
        logger.error("e-mail %s: given up after %s attempts, %s", email.pk, email.attempts, type(error).__name__)
        return
    seconds = BACKOFF.seconds_after(email.attempts)
    email.due_at = timezone.now() + timedelta(seconds=seconds)
    logger.warning("e-mail %s: again in %s seconds, %s", email.pk, seconds, type(error).__name__)


def _is_permanent(error: Exception) -> bool:
    """Whether the server refused the mail for good (5xx): another try would end the same."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    # A refused log-in (535) is our configuration's fault, not the mail's: it can be mended meanwhile.
    return isinstance(error, SMTPResponseException) and error.smtp_code >= 500 and error.smtp_code != 535
