"""Closed windows and samples that later ones are made of, or compared with."""
