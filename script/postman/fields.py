"""The fields that answers have, at least."""

PROBLEM = ("type", "title", "status", "detail", "code", "request_id")
USER = ("id", "username", "email", "email_verified", "name", "phone", "is_staff", "date_joined")
SESSION = ("token", "expiry", "user")
PROGRESS = ("declared", "received", "stored", "failed", "remaining", "percent")
TICKET = (
    "id",
    "ticket_id",
    "title",
    "description",
    "num_images",
    "status",
    "progress",
    "created_at",
    "updated_at",
    "completed_at",
    "expires_at",
    "images_url",
    "status_url",
)
IMAGE = (
    "id",
    "position",
    "slot",
    "status",
    "filename",
    "content_type",
    "size",
    "sha256",
    "duplicate_of",
    "width",
    "height",
    "format",
    "url",
    "thumbnail_url",
    "attempts",
    "error",
    "next_retry_at",
    "created_at",
    "stored_at",
)
MANIFEST = (
    "ticket_id",
    "reference",
    "metadata",
    "status",
    "num_images",
    "completed_at",
    "issued_at",
    "photos",
)
PAGE = ("count", "next", "previous", "results")
CURSOR_PAGE = ("next", "previous", "results")
SUPPORT_TICKET = ("id", "title", "body_text", "owner", "ticket", "status", "messages", "created_at", "updated_at")
MESSAGE = ("id", "text", "author", "is_staff", "created_at")
