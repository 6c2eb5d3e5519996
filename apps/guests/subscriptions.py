"""Whoever got a guest link unsubscribes from its e-mails and subscribes again, by the link in each of them."""

from apps.common.mail.subscriptions import SubscriptionLinks
from apps.guests.models import GuestLink

# Not the guest link itself: mail programs and their servers see this one.
links = SubscriptionLinks("guest-emails", route="guest-emails")


def link_of(token: str) -> GuestLink | None:
    pk = links.pk_in(token)
    return None if pk is None else GuestLink.objects.filter(pk=pk).first()


def set_subscribed(link: GuestLink, subscribed: bool) -> None:
    GuestLink.objects.filter(pk=link.pk).update(wants_emails=subscribed)
    link.wants_emails = subscribed
