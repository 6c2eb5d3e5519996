"""E-mails to whoever got a guest link: the invitation, reminders of what is missing, and that another photo is wanted.

Nobody has verified these addresses, so the mails contain no text that a user wrote, and are few a day. What staff
wrote they may contain: the slots' titles of a kind, and the note of a review. What a mail says, and whether it is still
needed, is decided when it is sent.
"""

from datetime import timedelta

from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import Q
from django.dispatch import receiver
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from apps.accounts.models import MailAllowance
from apps.common.encryption import SecretUnreadableError
from apps.common.jobs.queue import job_function
from apps.common.mail.outbox import CannotBeComposedError, Outbox
from apps.common.mail.subscriptions import one_click
from apps.common.observability.request_id import has_no_words
from apps.guests.links import link_made, token_of, url_of
from apps.guests.models import GuestEmail, GuestEmailKind, GuestLink, LinkState
from apps.guests.subscriptions import links as subscription_links
from apps.tickets.lifecycle.signals import retake_requested
from apps.tickets.models import Ticket, slots_now
from apps.tickets.models.statuses import ImageStatus, SlotStatus

MOST_NAMED = 50


@receiver(link_made, sender=GuestLink)
def invite_and_plan_reminders(*, link: GuestLink, **kwargs):
    if link.email:
        invite(link)
        for seconds in link.remind_before_seconds:
            due_at = link.expires_at - timedelta(seconds=seconds)
            if due_at > timezone.now():
                outbox.plan(due_at, **_to(link, GuestEmailKind.REMINDER))


@receiver(retake_requested, sender=Ticket)
def ask_for_other_photos(*, ticket: Ticket, **kwargs):
    in_use = ticket.guest_links.filter(revoked_at=None, expires_at__gt=timezone.now(), wants_emails=True)
    for link in in_use.exclude(email=""):
        outbox.post(**_to(link, GuestEmailKind.RETAKE))


def invite(link: GuestLink) -> None:
    """Mail the link to its address, after the commit."""
    with transaction.atomic():
        outbox.post(**_to(link, GuestEmailKind.INVITATION))


def _to(link: GuestLink, kind: str) -> dict:
    return {"link": link, "kind": kind, "to": link.email, "language": link.language}


@job_function
def send_guest_email(email_id: int) -> None:
    """Job: send the mail if it is still queued. Safe to run twice and at the same time."""
    outbox.send(email_id)


def is_needed(email: GuestEmail) -> bool:
    """Whether it still has something to say: photos are missing, and the link takes them."""
    link = email.link
    return link.wants_emails and link.state == LinkState.OPEN and link.ticket.progress().remaining > 0


def _may_be_sent(email: GuestEmail) -> bool:
    """What is not needed is not counted."""
    return not is_needed(email) or MailAllowance.objects.take(email.to, mail_id=f"guest-{email.pk}")


def compose(email: GuestEmail) -> EmailMultiAlternatives | None:
    if not is_needed(email):
        return None
    link, ticket = email.link, email.link.ticket
    try:
        url = url_of(token_of(link))
    except SecretUnreadableError as exc:
        raise CannotBeComposedError("None of ENCRYPTION_KEYS decrypts the link.") from exc
    unsubscribe = subscription_links.url_of(link.pk)
    number = ticket.progress().remaining
    with override(email.language):
        context = {
            "kind": email.kind,
            "number": number,
            "named": names_of_missing(ticket),
            "rejected": rejected(ticket) if email.kind == GuestEmailKind.RETAKE else [],
            "link": link,
            "url": url,
            "unsubscribe_url": unsubscribe,
        }
        mail = EmailMultiAlternatives(
            subject=_subject(email.kind, number), body=render_to_string("guests/email.txt", context), to=[email.to]
        )
        mail.attach_alternative(render_to_string("guests/email.html", context), "text/html")
    mail.extra_headers = {"Auto-Submitted": "auto-generated"} | one_click(unsubscribe)
    if has_no_words(email.request_id):
        mail.extra_headers["X-Request-ID"] = email.request_id
    return mail


def _subject(kind: str, number: int) -> str:
    if kind == GuestEmailKind.INVITATION:
        told = ngettext("You are asked for %(number)d photo", "You are asked for %(number)d photos", number)
    elif kind == GuestEmailKind.REMINDER:
        told = ngettext("%(number)d photo is still missing", "%(number)d photos are still missing", number)
    else:
        return _("Another photo is wanted")
    return told % {"number": number}


def names_of_missing(ticket: Ticket) -> list[str]:
    """The titles of the slots that no photo has taken, if the ticket has them of a kind: staff wrote those."""
    if not ticket.kind:
        return []
    held = ticket.images.holding_a_place().values_list("position", "status", "pk")
    missing = [slot for slot in slots_now(ticket.slots, held) if slot.status == SlotStatus.MISSING]
    return [slot.title or slot.name for slot in missing[:MOST_NAMED]]


def rejected(ticket: Ticket) -> list[dict]:
    """The photos of which another is wanted: their place, why, and what staff say about it."""
    taken = ticket.images.holding_a_place().values("position")
    images = ticket.images.filter(~Q(position__in=taken), status=ImageStatus.REJECTED).order_by("rejected_at")
    by_place = {image.position: image for image in images}  # the last one of each
    return [
        {
            "place": _place(ticket, position),
            "reason": image.get_rejection_reason_display(),
            "note": image.rejection_note,
        }
        for position, image in sorted(by_place.items())[:MOST_NAMED]
    ]


def _place(ticket: Ticket, position: int) -> str:
    if ticket.kind and position <= len(ticket.slots):
        slot = ticket.slots[position - 1]
        return slot["title"] or slot["name"]
    return _("Photo %(number)d") % {"number": position}


outbox = Outbox(
    model=GuestEmail,
    job=lambda: send_guest_email,
    compose=compose,
    may_be_sent=_may_be_sent,
    related=("link__ticket__owner",),
)
