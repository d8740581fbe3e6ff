"""Turns approved versions into serving endpoints, and says what served where and when."""
