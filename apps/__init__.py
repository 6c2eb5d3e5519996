"""hopla's Django apps, and in `common` what more than one of them needs."""
