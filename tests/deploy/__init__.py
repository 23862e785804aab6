"""How the service is deployed: images, compose.yaml, Kubernetes, CI on other hosts, releases."""
