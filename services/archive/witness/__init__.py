"""The witness: a second pair of eyes, with a key of its own, that vouches for checkpoints of the notary."""
