import cloudinary.uploader

from bench.textbook.models import Image


def upload_photo(image_id: int, content: bytes) -> None:
    answer = cloudinary.uploader.upload(content)
    image = Image.objects.select_related("ticket").get(pk=image_id)
    image.url = answer["secure_url"]
    image.save()
    ticket = image.ticket
    if ticket.images.exclude(url="").count() == ticket.num_images:
        ticket.status = "completed"
        ticket.save()
