"""Envoy in front of the replicas: one listener with a stable address, one route an endpoint, one cluster a version of it.

Envoy reads its configuration from files that are replaced atomically, so it needs no server to ask, keeps serving
while the deployment service is away, and can be inspected with `cat`.
"""
