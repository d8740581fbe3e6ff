"""The embedded suite: NATS, Postgres and the services as child processes of one, for a laptop, the demo and the tests.

Servers come from the package index, so nothing has to be installed beside Python. Everything lives in one folder and
is stopped by its process id; a child ends when its parent does, even when the parent is killed.
"""
