"""The insides of testkit.kube_api: what a cluster's API enforces, without a cluster."""
