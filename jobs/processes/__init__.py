"""The processes of a cluster: what they know of each other, how they show that they live, what they compute with."""
