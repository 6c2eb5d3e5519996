"""Direct uploads: photos that clients post to Cloudinary themselves."""
