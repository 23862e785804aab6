"""Networks of other families than our own two: SPAN, DAT, HAT, SwinIR and what else `spandrel` knows."""
