"""The choice of a backend and precision for a network on a CPU: by measurement, among those that are near enough."""
