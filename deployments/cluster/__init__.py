"""A cluster on one machine: the services of deployments/compose.yaml as processes."""

from deployments.cluster.cluster import Cluster
from deployments.cluster.member import ClusterError, Member

__all__ = ["Cluster", "ClusterError", "Member"]
