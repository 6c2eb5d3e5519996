"""Cloudinary: uploading, asking and removing, each within a deadline."""
