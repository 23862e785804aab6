"""Keys, scopes, links, limits, CORS."""
