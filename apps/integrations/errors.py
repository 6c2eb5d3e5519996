"""Errors of the integrations' API, with their stable codes."""
