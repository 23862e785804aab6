"""Benchmarks and the fuzzer: run by hand as `python -m benchmarks.NAME`; figures are noted in RESULTS.md."""
