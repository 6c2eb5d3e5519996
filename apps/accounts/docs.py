"""What the published schema says of each operation of accounts beyond what the serializers tell."""

from drf_yasg import openapi

from apps.accounts.serializers import (
    JwtPairSerializer,
    LoginAnswerSerializer,
    NewUserSerializer,
    ProfileSerializer,
    SessionSerializer,
    UserSerializer,
)

JSON_BODY = {400: "Invalid input.", 413: "The body is too large.", 415: "The body is not JSON."}
LIMITED = {429: "Too many requests: try again after `Retry-After` seconds."}
EMPTY = {204: "Done."}


def _operation(operation_id: str, summary: str, responses: dict, *, public: bool = False, **more) -> dict:
    security = {"security": []} if public else {}
    return (
        {
            "operation_id": operation_id,
            "operation_summary": summary,
            "tags": ["auth"],
            "responses": responses,
        }
        | security
        | more
    )


REGISTER = _operation(
    "auth_register",
    "Register",
    {201: openapi.Response("Registered and logged in.", SessionSerializer)} | JSON_BODY | LIMITED,
    public=True,
)
LOGIN = _operation(
    "auth_login",
    "Log in",
    {200: openapi.Response("Logged in.", LoginAnswerSerializer), 401: "`invalid_credentials`"} | JSON_BODY | LIMITED,
    public=True,
)
LOGOUT = _operation(
    "auth_logout",
    "Log out",
    EMPTY,
    operation_description="The opaque token sent with the request ends. With a JWT, all of the user's JWTs end.",
)
LOGOUT_ALL = _operation(
    "auth_logout_all", "Log out everywhere", EMPTY, operation_description="Every token of the user ends, of both kinds."
)
LIST_USERS = _operation("users_list", "List users (staff)", {403: "`permission_denied`: only staff may."})
CREATE_USER = _operation(
    "users_create",
    "Register with an e-mail address",
    {201: openapi.Response("The user.", UserSerializer)} | JSON_BODY | LIMITED,
    public=True,
    request_body=NewUserSerializer,
)
READ_ME = _operation("users_me", "Who am I", {200: openapi.Response("You.", ProfileSerializer)})
CHANGE_ME = _operation(
    "users_change_me", "Change name, phone or language", {200: openapi.Response("You.", ProfileSerializer)} | JSON_BODY
)
SET_PASSWORD = _operation(
    "users_set_password",
    "Change the password",
    EMPTY | JSON_BODY | LIMITED,
    operation_description="Every other token of the user ends, JWTs included; an opaque token sent with this survives.",
)
RESET_PASSWORD = _operation(
    "users_reset_password",
    "Ask for a password reset by e-mail",
    EMPTY | JSON_BODY | LIMITED,
    public=True,
    operation_description="The answer is the same whether there is such an account or not.",
)
RESET_PASSWORD_CONFIRM = _operation(
    "users_reset_password_confirm",
    "Choose a new password with the values of the e-mail",
    EMPTY | JSON_BODY | LIMITED,
    public=True,
)
CREATE_JWT = _operation(
    "jwt_create",
    "Log in for a JWT pair",
    {200: openapi.Response("The pair.", JwtPairSerializer), 401: "`invalid_credentials`"} | JSON_BODY | LIMITED,
    public=True,
)
REFRESH_JWT = _operation(
    "jwt_refresh",
    "Trade a refresh token for the next pair",
    {200: openapi.Response("The next pair.", JwtPairSerializer), 401: "`token_not_valid`"} | JSON_BODY,
    public=True,
    operation_description="A refresh token works once.",
)
VERIFY_JWT = _operation(
    "jwt_verify",
    "Is this JWT valid",
    {200: openapi.Response("It is.", openapi.Schema(type=openapi.TYPE_OBJECT)), 401: "`token_not_valid`"} | JSON_BODY,
    public=True,
)
