"""Why a log-in, a token or a code is refused: each error has its stable code and its HTTP status."""

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework_simplejwt.exceptions import InvalidToken


class InvalidCredentialsError(AuthenticationFailed):
    """The same for an unknown account, a wrong password and an inactive user: the response must not tell them apart."""

    default_code = "invalid_credentials"
    default_detail = _("The username, e-mail address or password is wrong.")


class TokenNotValidError(InvalidToken):
    """A JWT that is expired, malformed, rotated out, or of a session that its user has ended."""

    default_detail = _("This token is not valid.")


class CodeInvalidError(APIException):
    """Wrong, used, expired, tried too often, or of another address: the response does not tell which."""

    status_code = 400
    default_code = "code_invalid"
    default_detail = _("This code is wrong or no longer valid. Have another one sent.")
