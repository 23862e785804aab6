"""What the command line needs: inputs and weights."""
