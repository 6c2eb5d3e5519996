"""Accounts: in, oneself, JWT, and out."""

from script.postman.fields import SESSION, USER
from script.postman.items import bearer, folder, no_auth, request, token

NEW_ACCOUNT = """
// A new account for each run, so that runs do not meet.
const run = Date.now().toString(36) + Math.floor(Math.random() * 1296).toString(36);
pm.collectionVariables.set("username", "mobile-" + run);
pm.collectionVariables.set("secondEmail", "second-" + run + "@example.com");
pm.collectionVariables.set("password", "Tripod-" + pm.variables.replaceIn("{{$guid}}"));
"""

SIGNING_IN = folder(
    "1. Sign in",
    """
    Two kinds of credentials work on every endpoint alike: an opaque token (`Authorization: Token …`, valid for thirty
    days, one for each device) and a JWT access token (`Authorization: Bearer …`, valid for five minutes, see folder 8).
    An app that can keep a secret in the system's key store is best served by the opaque token.

    At most 30 sign-ins and 30 registrations a minute are accepted from one address; beyond that the response is 429,
    with `Retry-After` in seconds.
    """,
    request(
        "Register",
        "POST auth/register/",
        about="""
        Makes the account and signs in at once: keep `token`, it is shown only now. Username and e-mail address are each
        unique, whatever their case. `name` and `phone` may be left out; the phone is kept in E.164.

        Here, the script before the request makes up a new username and password for each run.
        """,
        auth=no_auth(),
        before=NEW_ACCOUNT,
        json={
            "username": "{{username}}",
            "email": "{{username}}@example.com",
            "password": "{{password}}",
            "name": "Ana Prieto",
        },
        status=201,
        has=SESSION,
        tests={
            "it is the user who registered": 'pm.expect(body.user.username).to.eql(pm.variables.get("username"))',
            "its e-mail address is not confirmed yet": "pm.expect(body.user.email_verified).to.eql(false)",
            "the password is not in it": 'pm.expect(pm.response.text()).to.not.include(pm.variables.get("password"))',
        },
        keeps={"token": "body.token", "userId": "body.user.id"},
    ),
    request(
        "Register a name that is taken",
        "POST auth/register/",
        about="""
        Invalid input is always 400 with `code` `invalid` and a list `errors`: show `detail` beside the `field` it
        belongs to, and decide by `code`, which never changes with the language.
        """,
        auth=no_auth(),
        json={"username": "{{username}}", "email": "new-{{username}}@example.com", "password": "{{password}}"},
        status=400,
        code="invalid",
        errors=(("username", "unique"),),
    ),
    request(
        "Register with only an e-mail address",
        "POST auth/users/",
        about="""
        Without a `username` the e-mail address serves as one. The response is the user, without a
        token: sign in next. This second account is the stranger of later requests.
        """,
        auth=no_auth(),
        json={"email": "{{secondEmail}}", "password": "{{password}}"},
        status=201,
        has=USER,
        tests={"the address is the username": "pm.expect(body.username).to.eql(body.email)"},
    ),
    request(
        "Log in",
        "POST auth/login/",
        about="Each log-in makes a token of its own, so a user's phone and tablet do not sign each other out.",
        auth=no_auth(),
        json={"username": "{{username}}", "password": "{{password}}"},
        status=200,
        has=("message", *SESSION),
        keeps={"token": "body.token"},
    ),
    request(
        "Log in by e-mail, on another device",
        "POST auth/login/",
        about="`email` instead of `username`. Either is compared without regard to case.",
        auth=no_auth(),
        json={"email": "{{username}}@EXAMPLE.com", "password": "{{password}}"},
        status=200,
        has=("message", *SESSION),
        tests={"it is a token of its own": 'pm.expect(body.token).to.not.eql(pm.variables.get("token"))'},
        keeps={"otherToken": "body.token"},
    ),
    request(
        "Log in with a wrong password",
        "POST auth/login/",
        about="The same response for an unknown account and for a wrong password, so it does not reveal accounts.",
        auth=no_auth(),
        json={"username": "{{username}}", "password": "not-the-password"},
        status=401,
        code="invalid_credentials",
    ),
)

YOU = folder(
    "2. You",
    "What the user sees and changes of themselves.",
    request(
        "Who am I",
        "GET auth/users/me/",
        about="Also the cheapest way to learn whether a kept token still works.",
        status=200,
        has=USER,
        tests={"it is the user": 'pm.expect(body.username).to.eql(pm.variables.get("username"))'},
    ),
    request(
        "Who am I, without credentials",
        "GET auth/users/me/",
        about="401 with `WWW-Authenticate`: sign in. An expired token gets 401, too.",
        auth=no_auth(),
        status=401,
        code="not_authenticated",
    ),
    request(
        "Change name and phone",
        "PATCH auth/users/me/",
        about="Send what changes. A phone number needs its country code and comes back in E.164.",
        json={"name": "Ana Prieto Ruiz", "phone": "+34 600 123 456"},
        status=200,
        has=USER,
        tests={
            "the name is changed": 'pm.expect(body.name).to.eql("Ana Prieto Ruiz")',
            "the phone is in E.164": 'pm.expect(body.phone).to.eql("+34600123456")',
        },
    ),
    request(
        "Change what cannot be changed",
        "PATCH auth/users/me/",
        about="A field that exists and cannot be changed is refused by its name; what hopla does not know is ignored.",
        json={"username": "somebody-else"},
        status=400,
        code="invalid",
        errors=(("username", "not_changeable"),),
    ),
    request(
        "Confirm the e-mail address, by a code that is none",
        "POST auth/verify-email/",
        about="""
        Registering sends an e-mail with a code and a link; either confirms the address, and `email_verified` becomes
        true. Nothing but the e-mails depends on it: to an address that is not confirmed hopla sends no text that a user
        wrote, and at most five e-mails a day. In development the e-mail is printed where `script/server` runs.

        A code is good for a day, for five tries and for one use. With this one it is 400.
        """,
        json={"code": "not-the-code"},
        status=400,
        code="code_invalid",
    ),
    request(
        "Have another code sent",
        "POST auth/verify-email/resend/",
        about="The code and the link of the e-mail before are void then. At most five times an hour.",
        status=204,
    ),
    request(
        "A phone number that is none",
        "PATCH auth/users/me/",
        about="Nothing of a refused change is kept.",
        json={"phone": "600 123"},
        status=400,
        code="invalid",
        errors=(("phone", "invalid"),),
    ),
    request(
        "List users as a common user",
        "GET auth/users/",
        about="For staff alone. (Another user's ticket is 404 and not 403: see folder 9.)",
        status=403,
        code="permission_denied",
    ),
)

JWT = folder(
    "8. JWT",
    """
    For clients that are used to JWT. The access token is valid for five minutes, the refresh token for seven days and
    for one use: each refresh returns a new pair, so always keep the latest.
    """,
    request(
        "Log in for a pair",
        "POST auth/jwt/create/",
        about="`username` or `email`, as at log-in, and the same 401 `invalid_credentials`.",
        auth=no_auth(),
        json={"username": "{{username}}", "password": "{{password}}"},
        status=200,
        has=("access", "refresh"),
        keeps={"access": "body.access", "refresh": "body.refresh"},
    ),
    request(
        "Is it valid",
        "POST auth/jwt/verify/",
        about="For either token of the pair. An empty object when it is.",
        auth=no_auth(),
        json={"token": "{{access}}"},
        status=200,
        tests={"the response is empty": "pm.expect(body).to.eql({})"},
    ),
    request(
        "Use it",
        "GET tickets/",
        about="`Authorization: Bearer …` on any endpoint: the same user, the same tickets.",
        auth=bearer("access"),
        query=(("page_size", "1"),),
        status=200,
        has=("count", "results"),
        tests={"there are the tickets opened with the other kind": "pm.expect(body.count).to.be.above(0)"},
    ),
    request(
        "Refresh",
        "POST auth/jwt/refresh/",
        about="Returns the next pair. Do it when a request gets 401 `token_not_valid`, then repeat that one.",
        auth=no_auth(),
        before='pm.collectionVariables.set("usedRefresh", pm.variables.get("refresh"));',
        json={"refresh": "{{refresh}}"},
        status=200,
        has=("access", "refresh"),
        tests={"the refresh token is new": 'pm.expect(body.refresh).to.not.eql(pm.variables.get("usedRefresh"))'},
        keeps={"access": "body.access", "refresh": "body.refresh"},
    ),
    request(
        "Refresh with the same token again",
        "POST auth/jwt/refresh/",
        about="It was used: 401. When two parts of an app share the pair, let one of them refresh for both.",
        auth=no_auth(),
        json={"refresh": "{{usedRefresh}}"},
        status=401,
        code="token_not_valid",
    ),
    request(
        "Is nonsense valid",
        "POST auth/jwt/verify/",
        about="It is not.",
        auth=no_auth(),
        json={"token": "not.a.token"},
        status=401,
        code="token_not_valid",
    ),
    request(
        "Use nonsense",
        "GET auth/users/me/",
        about="An expired access token gets the same response: refresh, then repeat the request.",
        auth=bearer("username"),
        status=401,
        code="token_not_valid",
    ),
)

LEAVING = folder(
    "16. Passwords and leaving",
    "A changed password ends every other session; so does `logout-all`, this one included.",
    request(
        "Change the password, the old one wrong",
        "POST auth/users/set_password/",
        about="Someone who holds an unlocked phone must not take over the account: the old password is asked for.",
        json={"current_password": "not-the-password", "new_password": "{{password}}-new"},
        status=400,
        code="invalid",
        errors=(("current_password", "invalid_password"),),
    ),
    request(
        "Change the password",
        "POST auth/users/set_password/",
        about="""
        The token of this request lives on. Every other one of the user's ends, JWTs too. Django's validators judge the
        new password; their codes, such as `password_too_common`, come in `errors`.
        """,
        json={"current_password": "{{password}}", "new_password": "{{password}}-new"},
        status=204,
        keeps={"password": 'pm.variables.get("password") + "-new"'},
    ),
    request(
        "The other device is signed out",
        "GET auth/users/me/",
        about="The token of the second log-in, in folder 1.",
        auth=token("otherToken"),
        status=401,
        code="authentication_failed",
    ),
    request(
        "The JWT has ended",
        "GET auth/users/me/",
        about="Access tokens end at once as well, not when they expire.",
        auth=bearer("access"),
        status=401,
        code="token_not_valid",
    ),
    request(
        "Ask for a password reset",
        "POST auth/users/reset_password/",
        about="""
        Always 204, whether there is such an account or not. In development the e-mail is printed where `script/server`
        runs; its `uid` and `token` go into the next request.
        """,
        auth=no_auth(),
        json={"email": "{{username}}@example.com"},
        status=204,
    ),
    request(
        "Choose a new password, by a link that is none",
        "POST auth/users/reset_password_confirm/",
        about="With the `uid` and `token` of the e-mail it is 204; a link works once. With these it is 400.",
        auth=no_auth(),
        json={"uid": "MA", "token": "not-a-token", "new_password": "{{password}}"},
        status=400,
        code="invalid",
        errors=(("uid", "invalid_uid"),),
    ),
    request(
        "Log out",
        "POST auth/logout/",
        about="Ends the token it is sent with, and no other. Then forget it on the device.",
        status=204,
        keeps={"endedToken": 'pm.variables.get("token")'},
    ),
    request(
        "The token has ended",
        "GET tickets/",
        about="A 401 on any request means: sign in again.",
        auth=token("endedToken"),
        status=401,
        code="authentication_failed",
    ),
    request(
        "Log in with the new password",
        "POST auth/login/",
        about="The old one is no good any more.",
        auth=no_auth(),
        json={"username": "{{username}}", "password": "{{password}}"},
        status=200,
        has=("message", *SESSION),
        keeps={"token": "body.token"},
    ),
    request(
        "Log out everywhere",
        "POST auth/logout-all/",
        about="Every token of the user ends, of both kinds, this one included: for a lost phone.",
        status=204,
    ),
    request(
        "Every token has ended",
        "GET auth/users/me/",
        about="Begin again with folder 1.",
        status=401,
        code="authentication_failed",
    ),
)
