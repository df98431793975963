"""Programs that run the flows: the command, servers, the demo and the cluster."""
