"""The API's description and its errors."""
