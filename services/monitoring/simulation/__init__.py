"""What would have been: recorded windows judged again under other settings."""
