"""Envoy in front of the replicas: one listener, one route an endpoint, one cluster a version on it.

Envoy reads its configuration from files that are replaced atomically, so it needs no server to ask, keeps serving
while the deployment service is away, and can be inspected with `cat`.
"""
