"""How passwords are hashed: Argon2id with OWASP's parameters (Password Storage Cheat Sheet, 2024), one per CPU.

Django's own parameters take 100 MiB and eight threads for each log-in, and a web process has 256 of them.
"""

import os
from threading import BoundedSemaphore

from django.contrib.auth.hashers import Argon2PasswordHasher

# More at once would not be faster, and each needs its memory.
_slots = BoundedSemaphore(os.cpu_count() or 1)


class Argon2idHasher(Argon2PasswordHasher):
    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1

    def encode(self, password, salt):
        with _slots:
            return super().encode(password, salt)

    def verify(self, password, encoded):
        with _slots:
            return super().verify(password, encoded)
