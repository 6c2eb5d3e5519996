"""hopla as it is, but slow bodies are cut off after half a second instead of ten: for test_body_pace."""

from hopla.wsgi import application  # noqa: F401  sets Django up, which the import below needs

from apps.tickets import body  # isort: skip

body.GRACE_SECONDS = 0.5
body.WATCH_EVERY_SECONDS = 0.1
