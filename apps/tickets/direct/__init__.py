"""Direct uploads: the client posts the photo to Cloudinary itself, and it counts once Cloudinary says so."""
