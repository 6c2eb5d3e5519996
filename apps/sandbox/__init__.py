"""A small stand-in for Cloudinary, for development and tests, with faults that can be switched on."""
