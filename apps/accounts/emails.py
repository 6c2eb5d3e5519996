"""The e-mails of accounts. They are sent by jobs: a request neither waits for the mail server nor tells by its time
whether an account exists.
"""

import logging

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import override
from djoser.utils import encode_uid
from rq import Retry

from apps.accounts.models import User
from apps.queue import default_queue
from apps.request_id import current_request_id, on_behalf_of

logger = logging.getLogger(__name__)

TRIES = 5


def enqueue_password_reset(email: str, *, language: str) -> None:
    """Have the mail sent if there is such an account; the same work here whether there is one or not."""
    default_queue().enqueue(
        send_password_reset,
        email,
        language,
        current_request_id(),
        description="send a password reset",
        retry=Retry(max=TRIES),
        result_ttl=0,
    )


def send_password_reset(email: str, language: str, request_id: str = "") -> None:
    """The job. Sends to the active account of this address, in its own language or else the one of the request."""
    with on_behalf_of(request_id):
        _send_password_reset(email, language)


def _send_password_reset(email: str, language: str) -> None:
    user = User.objects.named(email, by=("email",))
    if user is None or not user.is_active or not user.has_usable_password():
        return
    uid, token = encode_uid(user.pk), default_token_generator.make_token(user)
    link = settings.PASSWORD_RESET_URL.format(uid=uid, token=token) if settings.PASSWORD_RESET_URL else ""
    context = {"user": user, "uid": uid, "token": token, "link": link}
    with override(user.language or language):
        mail = EmailMultiAlternatives(
            subject=_("Reset your hopla password"),
            body=render_to_string("accounts/password_reset.txt", context),
            to=[user.email],
            headers={"X-Request-ID": current_request_id()},
        )
        mail.attach_alternative(render_to_string("accounts/password_reset.html", context), "text/html")
    mail.send()
    logger.info("password reset of user %s: sent", user.pk)
