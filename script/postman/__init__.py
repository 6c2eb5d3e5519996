"""What the Postman collection holds, in plain Python: a module for each part, `collection.py` puts them in order.

`script/make_postman.py` writes it down as docs/hopla.postman_collection.json. To add requests, add them here, make the
file again, and run it with script/newman; tests/test_postman.py compares it with the published schema.
"""

SAMPLE = "docs/samples/photo.jpg"
