"""The e-mails of accounts, sent by jobs: a request does not wait for the mail server, and its duration does not tell
whether an account exists.

E-mails to an address that is not verified contain no text that a user wrote, and are few a day: otherwise anyone could
have hopla send their words to any address.
"""

import logging
import uuid

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import override
from redis.exceptions import RedisError
from rq import Retry

from apps.accounts.models import EmailCode, User
from apps.accounts.passwords import encode_uid
from apps.common.jobs.queue import default_queue, job_function, jobs
from apps.common.observability.request_id import current_request_id, has_no_words, on_behalf_of

logger = logging.getLogger(__name__)

TRIES = 5


def enqueue_password_reset(email: str, *, language: str) -> None:
    """Enqueue the e-mail. The work is the same whether there is such an account or not: the job looks it up."""
    _enqueue(send_password_reset, email, language, description="send a password reset")


def enqueue_verification(user: User, *, language: str) -> None:
    """Enqueue a code and a link for the user's address. Without the queue none is sent: the user can ask again."""
    try:
        _enqueue(send_verification, user.pk, language, description="send a verification")
    except RedisError as error:
        logger.warning("verification of user %s: not enqueued, %s", user.pk, type(error).__name__)


def _enqueue(job, *arguments, description: str) -> None:
    mail_id = uuid.uuid4().hex  # every attempt of the job counts as the same mail
    default_queue().enqueue(
        job,
        *arguments,
        current_request_id(),
        mail_id,
        description=description,
        retry=Retry(max=TRIES),
        result_ttl=0,
    )


@job_function
def send_password_reset(email: str, language: str, request_id: str = "", mail_id: str = "") -> None:
    """Job: send to the active account of this address, in its own language or else that of the request."""
    with on_behalf_of(request_id):
        user = User.objects.named(email, by=("email",))
        if user is None or not user.is_active or not user.has_usable_password():
            return
        uid, token = encode_uid(user.pk), default_token_generator.make_token(user)
        link = settings.PASSWORD_RESET_URL.format(uid=uid, token=token) if settings.PASSWORD_RESET_URL else ""
        with override(user.language or language):
            subject = _("Reset your hopla password")
            _send(user, subject, "password_reset", {"uid": uid, "token": token, "link": link}, mail_id=mail_id)


@job_function
def send_verification(user_id: int, language: str, request_id: str = "", mail_id: str = "") -> None:
    """Job: send a new code and a new link, which void earlier ones, unless the address has been verified by now."""
    with on_behalf_of(request_id):
        user = User.objects.filter(pk=user_id, is_active=True).exclude(email="").first()
        if user is None or user.email_verified:
            return
        with override(user.language or language):
            _send(user, _("Confirm your e-mail address"), "verification", {}, mail_id=mail_id, new_code=True)


def _send(user: User, subject: str, template: str, context: dict, *, mail_id: str, new_code: bool = False) -> None:
    if not user.may_be_mailed(user.email, mail_id=mail_id or uuid.uuid4().hex):
        logger.warning("%s of user %s: withheld, its address has had its mails of the day", template, user.pk)
        return
    code = EmailCode.objects.renew(user) if new_code else user.first_code()
    context |= {"user": user, "verified": user.email_verified, "verification": code}
    mail = EmailMultiAlternatives(
        subject=subject,
        body=render_to_string(f"accounts/{template}.txt", context),
        to=[user.email],
        headers=_headers(user),
    )
    mail.attach_alternative(render_to_string(f"accounts/{template}.html", context), "text/html")
    try:
        with jobs.away():
            mail.send()
    except Exception:
        if code:  # it was not sent
            EmailCode.objects.filter(user=user, link_digest=code.digest).delete()
        raise
    logger.info("%s of user %s: sent", template, user.pk)


def _headers(user: User) -> dict:
    request_id = current_request_id()
    return {"X-Request-ID": request_id} if user.email_verified or has_no_words(request_id) else {}
