"""Makes the sealed record of a retired version: gathers it from the copy, writes it once, verifies it again."""
