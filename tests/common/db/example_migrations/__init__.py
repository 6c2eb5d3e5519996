"""Migrations of the support app as a coming release might bring them, for tests alone: one bad, one good."""
