#!/usr/bin/env python
"""Django's command line, in a checkout. `python -m upscaler_site.manage` is the same wherever the package is."""

from upscaler_site.manage import main

if __name__ == "__main__":
    main()
