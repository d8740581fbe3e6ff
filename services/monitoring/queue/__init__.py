"""Retrainings that wait, are claimed or late, and alerts that may end in a proposal."""
