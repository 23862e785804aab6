"""The API as a whole: its document, error shape, negotiation and what stands around every call."""
