"""A photo's way out: the job that sends it to Cloudinary, when it is tried again, and who has it in hand."""
