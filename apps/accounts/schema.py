"""Texts, examples and errors of the operations of accounts for the published schema."""

from functools import partial

from drf_yasg import openapi

from apps.accounts import errors
from apps.accounts.serializers import (
    JwtPairSerializer,
    LoginAnswerSerializer,
    NewUserSerializer,
    ProfileSerializer,
    SessionSerializer,
    UserSerializer,
)
from apps.common.api.operations import PERMISSION_DENIED, Refusal, response
from apps.common.api.operations import operation as _operation

operation = partial(_operation, tag="auth")

USER = {
    "id": 7,
    "username": "ada",
    "email": "ada@example.com",
    "email_verified": True,
    "name": "Ada Lovelace",
    "phone": "+34600123456",
    "language": "en",
    "is_staff": False,
    "date_joined": "2026-11-21T09:58:00Z",
}
SESSION = {
    "token": "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe",
    "expiry": "2026-12-21T09:58:00Z",
    "user": USER,
}
EMPTY = response("Done.")
CREDENTIALS = "Send the token in later requests as `Authorization: Token <token>`. It is shown only here."
INVALID_CREDENTIALS = Refusal.of(errors.InvalidCredentialsError)
TOKEN_NOT_VALID = Refusal(401, "token_not_valid", "The token is expired, malformed, used or ended.")

REGISTER = operation(
    "auth_register",
    "Register",
    f"Makes a user and logs in. {CREDENTIALS}",
    public=True,
    responses={201: response("Registered and logged in.", SessionSerializer, example=SESSION)},
)
LOGIN = operation(
    "auth_login",
    "Log in",
    f"With `username` or `email`, and `password`. {CREDENTIALS}",
    public=True,
    responses={
        200: response("Logged in.", LoginAnswerSerializer, example=SESSION | {"message": "You are logged in."}),
    },
    refusals=[INVALID_CREDENTIALS],
)
LOGOUT = operation(
    "auth_logout",
    "Log out",
    "The opaque token sent with the request ends. With a JWT, all of the user's JWTs end.",
    responses={204: EMPTY},
)
LOGOUT_ALL = operation(
    "auth_logout_all",
    "Log out everywhere",
    "Every token of the user ends, of both kinds.",
    responses={204: EMPTY},
)
LIST_USERS = operation("users_list", "List users (staff)", "By id.", refusals=[PERMISSION_DENIED])
CREATE_USER = operation(
    "users_create",
    "Register with an e-mail address",
    "Makes a user, whose username is the e-mail address unless another is sent, and does not log in.",
    public=True,
    body=NewUserSerializer,
    responses={201: response("The user.", UserSerializer, example=USER)},
)
READ_ME = operation(
    "users_me", "Who am I", "The user of the token.", responses={200: response("You.", UserSerializer, example=USER)}
)
CHANGE_ME = operation(
    "users_change_me",
    "Change name, phone or language",
    "What is not sent stays as it is.",
    body=ProfileSerializer,
    responses={200: response("You.", UserSerializer, example=USER)},
)
SET_PASSWORD = operation(
    "users_set_password",
    "Change the password",
    "Every other token of the user ends, JWTs included; an opaque token sent with this survives.",
    responses={204: EMPTY},
)
RESET_PASSWORD = operation(
    "users_reset_password",
    "Ask for a password reset by e-mail",
    "The answer is the same whether there is such an account or not.",
    public=True,
    responses={204: EMPTY},
)
RESET_PASSWORD_CONFIRM = operation(
    "users_reset_password_confirm",
    "Choose a new password with the values of the e-mail",
    "Every token of the user ends.",
    public=True,
    responses={204: EMPTY},
)
VERIFY_EMAIL = operation(
    "verify_email",
    "Confirm the e-mail address by the code that was sent there",
    "The mail has a link as well, for those who have no app at hand. A code is good for a day, for five tries and for "
    "one use, and a newer one makes it void. Nothing but the e-mails depends on it: until then they hold no text that "
    "a user wrote, and are at most five a day.",
    responses={204: EMPTY},
    refusals=[errors.CodeInvalidError],
)
RESEND_VERIFICATION = operation(
    "verify_email_resend",
    "Have another code sent",
    "To the address of the user. When it is confirmed already, nothing is sent.",
    responses={204: EMPTY},
)
CREATE_JWT = operation(
    "jwt_create",
    "Log in for a JWT pair",
    "With `username` or `email`, and `password`. Send `access` in later requests as `Authorization: Bearer <access>`.",
    public=True,
    responses={200: response("The pair.", JwtPairSerializer)},
    refusals=[INVALID_CREDENTIALS],
)
REFRESH_JWT = operation(
    "jwt_refresh",
    "Trade a refresh token for the next pair",
    "A refresh token works once.",
    public=True,
    responses={200: response("The next pair.", JwtPairSerializer)},
    refusals=[TOKEN_NOT_VALID],
)
VERIFY_JWT = operation(
    "jwt_verify",
    "Is this JWT valid",
    "Takes either token of a pair.",
    public=True,
    responses={200: response("It is.", openapi.Schema(type=openapi.TYPE_OBJECT), example={})},
    refusals=[TOKEN_NOT_VALID],
)
