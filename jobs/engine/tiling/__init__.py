"""Pictures in parts: windows with context, the canvas they are put on, passes, memory and cost."""
