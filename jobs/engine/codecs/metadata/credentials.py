"""Content Credentials (C2PA): signed statements on a picture's origin, which other pixels make false. They go."""

#: What is said where they stood.
CREDENTIALS = "Content Credentials (C2PA), which are signed for the old pixels"
