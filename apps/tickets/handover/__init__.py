"""A finished set is handed on: its manifest, signed, and an archive of its photos, which anyone can verify offline."""
