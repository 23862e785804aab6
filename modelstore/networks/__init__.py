"""Pure torch networks, state-dict compatible with the official Real-ESRGAN files. No Django in here."""
