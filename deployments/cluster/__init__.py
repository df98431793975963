"""Beyond one machine: the topology of deployments/compose.yaml as processes of one."""

from deployments.cluster.cluster import Cluster
from deployments.cluster.member import ClusterError, Member

__all__ = ["Cluster", "ClusterError", "Member"]
