"""The jobs' endpoints, a file per idea. Views translate: parse, call one domain function, render."""
