"""The settings. Only this module reads the environment.

Every variable has a default for development. With DEBUG off the variables of REQUIRED_IN_PRODUCTION have none: hopla
refuses to start when one is missing, and says what to set (see also `.env.example`).
"""

import base64
import ipaddress
import re
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import quote, urlsplit

import environ
from corsheaders.defaults import default_headers, default_methods
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from apps.common.db.pool import PooledConnection
from apps.common.observability.logs import FORMATTERS, logging_config
from apps.common.redis.address import address_of, urls_in
from apps.common.redis.sentinel import queue_options

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")  # never overrides the environment

DEBUG = env.bool("DEBUG", default=True)

REQUIRED_IN_PRODUCTION = {
    "SECRET_KEY": "a long random string, for instance from `openssl rand -base64 48`",
    "DATABASE_URL": "such as postgres://user:password@host:5432/hopla",
    "REDIS_URL": "such as redis://:password@host:6379/0",
    "CLOUDINARY_URL": "such as cloudinary://KEY:SECRET@CLOUD, from the Cloudinary console",
}


def required_or(development_default: str, *, name: str) -> str:
    """The variable's value; in development its default, in production a refusal to start without it."""
    value = env.str(name, default="")
    if not value and not DEBUG:
        raise ImproperlyConfigured(f"{name} is not set, and DEBUG is off. Set it to {REQUIRED_IN_PRODUCTION[name]}.")
    return value or development_default


SECRET_KEY = required_or("for-development-only-" + "0123456789abcdef" * 3, name="SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])


def origins(name: str) -> list[str]:
    """Origins as browsers write them in `Origin`, such as https://app.example.com, separated by commas."""
    values = env.list(name, default=[])
    for value in values:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9]\d{0,4})?", value):
            raise ImproperlyConfigured(
                f"{name} has {value!r}. Write each origin as https://app.example.com or http://localhost:3000: "
                "in small letters, without a path or a final slash, without wildcards."
            )
    return values


CORS_ALLOWED_ORIGINS = origins("CORS_ALLOWED_ORIGINS")  # empty: only pages of hopla's own origin may use the API

# --- What is installed ---

INSTALLED_APPS = [
    "apps.operations",  # before the admin and django_rq, whose templates it overrides
    "hopla.apps.HoplaAdminConfig",
    "apps.common.jobs",  # before django_rq, whose commands it overrides
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "rest_framework_simplejwt.token_blacklist",
    "django_filters",
    "django_rq",
    "drf_yasg",
    "apps.accounts",
    "apps.tickets",
    "apps.support",
    "apps.guests",
    "apps.integrations",
]
if DEBUG:
    INSTALLED_APPS.append("apps.sandbox")

# See apps/common/observability/telemetry.py. Their packages read more variables, SENTRY_… and OTEL_…, themselves.
SENTRY_DSN = env.str("SENTRY_DSN", default="")
OTEL_EXPORTER_OTLP_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="")

MIDDLEWARE = [
    "apps.common.http.request_id.RequestIdMiddleware",
    "apps.common.http.timing.ObservationMiddleware",
    "apps.operations.health.ProbesMiddleware",
    *(["apps.common.http.tracing.TracingMiddleware"] if OTEL_EXPORTER_OTLP_ENDPOINT else []),
    "apps.common.http.unread_body.UnreadBodyMiddleware",
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "apps.common.http.problems.ProblemDetailsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "apps.tickets.api.polls.PollsMiddleware",
    "apps.common.http.content_policy.ContentPolicyMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.common.http.for_pages.SessionMiddleware",
    "apps.common.http.language.LanguageMiddleware",
    "apps.common.http.body_limits.RequestBodyMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "apps.common.http.for_pages.AuthenticationMiddleware",
    "apps.common.http.for_pages.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.common.http.for_pages.UnavailableMiddleware",
]

ROOT_URLCONF = "hopla.urls"
WSGI_APPLICATION = "hopla.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database ---

DATABASE_URL = required_or(f"sqlite:///{quote(str(BASE_DIR / 'var' / 'db.sqlite3'))}", name="DATABASE_URL")
DATABASES = {"default": env.db_url_config(DATABASE_URL)}
DATABASES["default"]["OPTIONS"] = DATABASES["default"].get("OPTIONS", {})
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    (BASE_DIR / "var").mkdir(exist_ok=True)
    # IMMEDIATE takes the write lock at BEGIN: SQLite has no row locks, so this is how a ticket is locked.
    DATABASES["default"]["OPTIONS"] |= {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["OPTIONS"] |= {
        "connect_timeout": 2,
        # Only the compiled queries are prepared (apps/common/db/compiled_queries.py), and none because it is repeated:
        # one plan for all users would be a bad one for the lists of some. None: not even those.
        "prepare_threshold": 1_000_000_000 if env.bool("DATABASE_PREPARED_STATEMENTS", default=True) else None,
        # A request must know within two seconds that the database is unavailable, and reconnect as soon as it is back.
        "pool": {
            "min_size": 0,
            "max_size": env.int("DATABASE_POOL_SIZE", default=12),
            "timeout": 1.5,
            "reconnect_timeout": 2,
            "connection_class": PooledConnection,
        },
    }
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # A cursor needs the same connection for all fetches, which a PgBouncer that pools by transaction does not give it.
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Processes ---

WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", default=2)  # web processes: see gunicorn_conf.py
STOP_TIMEOUT_SECONDS = env.int("STOP_TIMEOUT_SECONDS", default=25)  # of web processes and workers

# --- Redis and jobs ---


def queue_at(url: str, *, name: str) -> dict:
    """The URL as RQ_QUEUES takes it; a refusal to start when it makes no sense. A Redis URL may hold a password."""
    try:
        address_of(url)
        return queue_options(url)
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name} cannot be used: {exc}.") from exc


REDIS_URL = required_or("redis://127.0.0.1:6379/0", name="REDIS_URL")
STAGING_REDIS_URL = ",".join(urls_in(env.str("STAGING_REDIS_URL", default=""))) or REDIS_URL
for staging_url in urls_in(STAGING_REDIS_URL):
    queue_at(staging_url, name="STAGING_REDIS_URL")
RQ_QUEUES = {
    "default": queue_at(REDIS_URL, name="REDIS_URL")
    | {"DEFAULT_TIMEOUT": 600, "SERIALIZER": "rq.serializers.JSONSerializer"}
}
RQ = {"WORKER_CLASS": "apps.common.jobs.worker.ThreadedWorker", "JOB_CLASS": "apps.common.jobs.queue.KnownJob"}
WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", default=32)

# --- Photos ---

CLOUDINARY_URL = required_or(
    "cloudinary://sandbox-key:sandbox-secret@sandbox?upload_prefix=http://127.0.0.1:8089", name="CLOUDINARY_URL"
)
# Where browsers fetch the photos from. Empty: Cloudinary's own delivery host.
CLOUDINARY_DELIVERY_URL = env.str("CLOUDINARY_DELIVERY_URL", default="")
DELIVERY_ORIGIN = "{0.scheme}://{0.netloc}".format(urlsplit(CLOUDINARY_DELIVERY_URL or "https://res.cloudinary.com"))
IMAGE_MAX_BYTES = env.int("IMAGE_MAX_BYTES", default=10 * 1024 * 1024)
IMAGE_MAX_PIXELS = env.int("IMAGE_MAX_PIXELS", default=64_000_000)
# Off: the place that a photo's EXIF names is neither stored nor shown. The photo itself is never changed.
KEEP_PHOTO_LOCATION = env.bool("KEEP_PHOTO_LOCATION", default=True)
TICKET_MAX_IMAGES = env.int("TICKET_MAX_IMAGES", default=500)
STAGING_MAX_BYTES = env.int("STAGING_MAX_BYTES", default=256 * 1024 * 1024)
STAGING_USER_SHARE = env.float("STAGING_USER_SHARE", default=0.125)
STAGING_TTL_SECONDS = env.int("STAGING_TTL_SECONDS", default=24 * 60 * 60)
# An unfinished resumable upload is kept so long after its last byte.
RESUMABLE_TTL_SECONDS = env.int("RESUMABLE_TTL_SECONDS", default=60 * 60)
# Clients may post photos to Cloudinary themselves, which has to reach PUBLIC_URL with its notifications.
DIRECT_UPLOADS = env.bool("DIRECT_UPLOADS", default=False)
# So long a place is kept for one, and its signed form is good: an hour at most.
DIRECT_UPLOAD_TTL_SECONDS = env.int("DIRECT_UPLOAD_TTL_SECONDS", default=15 * 60)
UPLOAD_MAX_ATTEMPTS = env.int("UPLOAD_MAX_ATTEMPTS", default=12)
UPLOAD_TIMEOUT_SECONDS = env.int("UPLOAD_TIMEOUT_SECONDS", default=30)
UPLOAD_MIN_BYTES_PER_SECOND = env.int("UPLOAD_MIN_BYTES_PER_SECOND", default=4096)
RECONCILE_AFTER_SECONDS = env.int("RECONCILE_AFTER_SECONDS", default=30)


def keys(name: str) -> list[bytes]:
    """Secret keys of 32 bytes in base64, separated by commas. They are secrets: no message shows one."""
    found = []
    for number, value in enumerate(env.list(name, default=[]), start=1):
        try:
            found.append(base64.b64decode(value.strip().translate(str.maketrans("-_", "+/")), validate=True))
        except ValueError:
            found.append(b"")
        if len(found[-1]) != 32:
            raise ImproperlyConfigured(
                f"{name} has a key (number {number}) that is not 32 bytes in base64. "
                "Make one with `openssl rand -base64 32`; separate several by commas, or leave it empty."
            )
    return found


# The first signs manifests, and all are published. If it is empty, one is derived from SECRET_KEY: see
# apps/tickets/handover/signing.py.
MANIFEST_SIGNING_KEY = keys("MANIFEST_SIGNING_KEY")
ARCHIVE_CONCURRENCY = env.int("ARCHIVE_CONCURRENCY", default=2)
# For secrets that must be read again. The first encrypts; if it is empty, one is derived from SECRET_KEY: see
# apps/common/encryption.py.
ENCRYPTION_KEYS = keys("ENCRYPTION_KEYS")

# --- Other bodies and files ---

# Photos stream to Redis through parsers of their own. All other files stay in memory: Django's default would write
# large ones to a temporary file.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000  # a review of 500 photos is a form with 1500
DATA_UPLOAD_MAX_NUMBER_FILES = 100  # and has 60 pictures, empty ones counted

# --- Events and webhooks ---

EVENTS_KEPT_DAYS = env.int("EVENTS_KEPT_DAYS", default=30)


def networks(name: str, *, default: list[str]) -> list:
    """Networks such as 10.0.0.0/8 or fd00::/8, separated by commas; none: the default."""
    found = []
    for value in env.list(name, default=[]) or default:
        try:
            found.append(ipaddress.ip_network(value.strip()))
        except ValueError as exc:
            raise ImproperlyConfigured(
                f"{name} has {value!r}. Write networks as 10.1.0.0/16 or fd00::/8 (an address alone as 10.1.2.3/32), "
                f"separated by commas: {exc}."
            ) from exc
    return found


def seconds(name: str, *, default: list[int]) -> list[int]:
    """Numbers of seconds, separated by commas."""
    values = env.list(name, default=[]) or [str(each) for each in default]
    if not all(re.fullmatch(r"[1-9][0-9]{0,6}", value.strip()) for value in values):
        raise ImproperlyConfigured(
            f"{name} is {','.join(values)!r}. Write the waits between attempts in seconds, "
            "separated by commas, such as 5,300,1800."
        )
    return [int(value) for value in values]


# Private, and webhooks are sent there all the same; by http as well.
WEBHOOK_ALLOWED_NETWORKS = networks("WEBHOOK_ALLOWED_NETWORKS", default=["127.0.0.0/8", "::1/128"] if DEBUG else [])
# The waits after a failed attempt; about three days in all.
WEBHOOK_RETRY_SECONDS = seconds(
    "WEBHOOK_RETRY_SECONDS",
    default=[5, 300, 1800, 7200, 18000, 36000, 36000, 36000, 36000, 43200, 43200],
)
WEBHOOK_TIMEOUT_SECONDS = env.int("WEBHOOK_TIMEOUT_SECONDS", default=15)  # of a whole attempt
WEBHOOK_CONCURRENCY = env.int("WEBHOOK_CONCURRENCY", default=32)  # attempts of one worker

# --- Users ---

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["apps.accounts.backends.UsernameOrEmailBackend"]
# The first is used; a password hashed by another is rehashed when its user logs in.
PASSWORD_HASHERS = [
    "apps.accounts.hashers.Argon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Languages, time, static files ---

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español"), ("pl", "Polski")]
LOCALE_PATHS = [BASE_DIR / "hopla" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
WHITENOISE_USE_FINDERS = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # nothing a user sends is written to a disk
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- The API ---

TRUSTED_PROXY_HOPS = env.int("TRUSTED_PROXY_HOPS", default=0)  # 0: X-Forwarded-For is ignored

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.integrations.keys.authentication.KeyAuthentication",
        "apps.accounts.authentication.OpaqueTokenAuthentication",
        "apps.accounts.authentication.BearerAuthentication",
        "apps.guests.authentication.GuestAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.common.api.json.BoundedJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "apps.common.api.json.JsonNegotiation",
    "EXCEPTION_HANDLER": "apps.common.api.problems.problem_response",
    "DEFAULT_THROTTLE_CLASSES": ["apps.common.api.throttles.ScopedThrottle"],
    "NUM_PROXIES": TRUSTED_PROXY_HOPS,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "COERCE_DECIMAL_TO_STRING": False,
}


def rate(name: str, *, default: str) -> str:
    """A rate such as `20/min`, `100/hour`, `5/s`; empty: no limit."""
    value = env.str(name, default=default).strip()
    match = re.fullmatch(r"([1-9]\d*)/(s|sec|second|min|minute|h|hour|d|day)", value)
    if value and not match:
        raise ImproperlyConfigured(f"{name} is {value!r}. Write it as 20/min, 100/hour or 1000/day, or leave it empty.")
    units = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
    return f"{match[1]}/{units[match[2][0]]}" if match else ""


THROTTLE_RATES = {
    "login": rate("THROTTLE_LOGIN", default="30/min"),
    "register": rate("THROTTLE_REGISTER", default="30/min"),
    "verification": rate("THROTTLE_VERIFICATION", default="5/hour"),
    # By user, and one user may be a fleet of phones.
    "tickets": rate("THROTTLE_TICKETS", default="600/min"),
    "uploads": rate("THROTTLE_UPLOADS", default="6000/min"),
    "webhooks": rate("THROTTLE_WEBHOOKS", default="60/min"),
    # By link, and by address: of guests none of the others counts.
    "guests": rate("THROTTLE_GUESTS", default="120/min"),
}
UPLOAD_BYTES_PER_DAY = env.int("UPLOAD_BYTES_PER_DAY", default=0)  # per user; 0: no limit

KNOX_TOKEN_MODEL = "accounts.AuthToken"  # noqa: S105 (a name, no secret)
# knox's migrations would create a table for its own model even so: unused, but with a foreign key to the users, whose
# table PostgreSQL then refuses to truncate between tests.
MIGRATION_MODULES = {"knox": None}
REST_KNOX = {"TOKEN_TTL": timedelta(days=30), "AUTO_REFRESH": False}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=5),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "SIGNING_KEY": env.str("JWT_SIGNING_KEY", default="") or SECRET_KEY,
}
# The link in the e-mail about a forgotten password, such as https://app.example.com/reset/{uid}/{token}. Empty: the
# e-mail shows both values instead, to be typed into the app.
PASSWORD_RESET_URL = env.str("PASSWORD_RESET_URL", default="")

# --- E-mail ---

vars().update(env.email_url("EMAIL_URL", default="consolemail://" if DEBUG else "smtp://localhost:25"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="hopla <hopla@localhost>")
SUPPORT_EMAIL = env.str("SUPPORT_EMAIL", default="")  # notifications for staff; empty: none
EMAIL_DOMAIN = parseaddr(DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"  # of the Message-IDs
# The public address of this service: links in e-mails begin with it. If it is empty, the links that a request is
# answered with begin with the address of that request.
PUBLIC_URL_IS_SET = bool(env.str("PUBLIC_URL", default=""))
PUBLIC_URL = env.str("PUBLIC_URL", default="") or f"http://localhost:{env.int('PORT', default=8000)}"

# --- The page for guests ---

GUEST_PAGE_NAME = env.str("GUEST_PAGE_NAME", default="") or "hopla"
# Of its own origin, such as /static/logo.svg, or at the delivery host: its policy lets it load no others.
GUEST_PAGE_LOGO_URL = env.str("GUEST_PAGE_LOGO_URL", default="")
if GUEST_PAGE_LOGO_URL and not re.match(rf"(/[^/]|{re.escape(DELIVERY_ORIGIN)}/)", GUEST_PAGE_LOGO_URL):
    raise ImproperlyConfigured(
        f"GUEST_PAGE_LOGO_URL is {GUEST_PAGE_LOGO_URL!r}. Set it to a path of this service, such as /static/logo.svg, "
        f"or to an address that begins with {DELIVERY_ORIGIN}/."
    )
# Where it could not be read on the page's ground it is made darker, or lighter.
GUEST_PAGE_ACCENT = env.str("GUEST_PAGE_ACCENT", default="") or "#4f46e5"
if not re.fullmatch(r"#[0-9a-fA-F]{6}", GUEST_PAGE_ACCENT):
    raise ImproperlyConfigured(f"GUEST_PAGE_ACCENT is {GUEST_PAGE_ACCENT!r}. Write it as #4f46e5.")

# --- The documentation of the API ---

SWAGGER_USE_COMPAT_RENDERERS = False
SWAGGER_SETTINGS = {
    "DEFAULT_AUTO_SCHEMA_CLASS": "apps.common.api.schema.HoplaAutoSchema",
    "SPEC_URL": ("schema", {}),
    "USE_SESSION_AUTH": False,
    "SUPPORTED_SUBMIT_METHODS": ["get", "post", "put", "patch"],
    "DISPLAY_OPERATION_ID": False,
    "SECURITY_DEFINITIONS": {
        "Token": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <token>` with the token that login or register returned, or `Bearer <access>` with "
            "a JWT, or `Guest <token>` with that of a guest link, or `Token hopla_…` with an API key, whose scopes say "
            "what it may do (`x-scopes` of each operation). The word before it belongs to the value.",
        }
    },
}

REDOC_SETTINGS = {"SPEC_URL": ("schema", {})}

# --- Web clients on other origins ---

# They send tokens and no cookies.
CORS_URLS_REGEX = r"^/(api/|swagger\.json$)"
CORS_ALLOW_METHODS = [*default_methods, "HEAD"]
CORS_ALLOW_HEADERS = [
    *default_headers,
    "content-digest",
    "content-disposition",
    "idempotency-key",
    "if-none-match",
    "repr-digest",
    "tus-resumable",
    "upload-checksum",
    "upload-complete",
    "upload-defer-length",
    "upload-draft-interop-version",
    "upload-length",
    "upload-metadata",
    "upload-offset",
    "x-http-method-override",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = [
    "accept-encoding",
    "allow",
    "content-disposition",
    "content-location",
    "etag",
    "idempotent-replayed",
    "link",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "tus-checksum-algorithm",
    "tus-extension",
    "tus-max-size",
    "tus-resumable",
    "tus-version",
    "upload-complete",
    "upload-defer-length",
    "upload-draft-interop-version",
    "upload-expires",
    "upload-length",
    "upload-limit",
    "upload-metadata",
    "upload-offset",
    "www-authenticate",
    "x-request-id",
]

# --- Safety ---

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Nothing from other origins but the photos, and nothing inline. Pages that need more say so: see
# apps/common/http/content_policy.py.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", DELIVERY_ORIGIN],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
PERMISSIONS_POLICY = {
    feature: []
    for feature in (
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "usb",
    )
}
# Indexes on SQLite cannot include further columns; queries are merely slower.
SILENCED_SYSTEM_CHECKS = ["models.W040"]
if not DEBUG:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    # `off` is a choice, for a proxy that redirects or to try hopla on one machine: no need for a warning each time.
    SILENCED_SYSTEM_CHECKS += [] if SECURE_SSL_REDIRECT else ["security.W008"]
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_HOPS else None
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- Tests ---

TEST_RUNNER = "tests.runner.HoplaTestRunner"

# --- Logs ---

LOG_FORMAT = env.str("LOG_FORMAT", default="") or ("plain" if DEBUG else "json")
if LOG_FORMAT not in FORMATTERS:
    raise ImproperlyConfigured(f"LOG_FORMAT is {LOG_FORMAT!r}. Set it to {' or '.join(FORMATTERS)}, or leave it empty.")
LOGGING = logging_config(LOG_FORMAT)
LOG_SLOW_REQUEST_SECONDS = env.float("LOG_SLOW_REQUEST_SECONDS", default=1.0)  # 0: none counts as slow
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
