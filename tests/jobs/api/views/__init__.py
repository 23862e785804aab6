"""The job API's views."""
