"""Closed windows and steps that later ones are made of, or compared with."""
