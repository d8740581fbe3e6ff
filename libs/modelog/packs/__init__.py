"""Evidence packs: one signed folder that a person can read and a program can verify, offline.

Made by the caller of what the services answer as of one revision; no service knows of packs.
"""
