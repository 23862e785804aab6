"""Stores: where files are kept under names, whatever keeps them. Used by jobs/storage and modelstore/storage only."""
