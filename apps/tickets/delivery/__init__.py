"""Delivery of a photo: the job that sends it to Cloudinary, its retries, and the leases of running attempts."""
