"""The notary as a process of its own, which alone holds the log's key and may do nothing with the log but read it."""
