"""Tickets and their photos, with a folder for each part of a photo's life."""
