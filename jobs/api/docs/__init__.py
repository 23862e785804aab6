"""The jobs' endpoints as the API's description tells them: a decorator for each method of a view."""
