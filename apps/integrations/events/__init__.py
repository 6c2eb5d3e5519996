"""Events: what happened to tickets and photos, written in the transaction that makes it true, and the feed of them."""
