"""Real clusters at work, and under fire."""
