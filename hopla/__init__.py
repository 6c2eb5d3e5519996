"""The wiring: settings, URLs and the web server."""
