"""Who calls: keys, links, sessions, rates."""
