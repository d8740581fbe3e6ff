"""One replica: a process of its own that serves one version behind the Open Inference Protocol V2.

Of the rest of the service it imports only how a lease is watched, so that a replica stays small and what it can do
stays visible: read one file, verify it, run it, and publish what it answered.
"""
