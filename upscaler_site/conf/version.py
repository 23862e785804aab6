"""The version that the API, the admin and the pictures' provenance line show."""

VERSION = "1.0.0"
