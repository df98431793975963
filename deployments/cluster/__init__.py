"""A cluster on one machine: the services of deployments/compose.yaml as processes."""
