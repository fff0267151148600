"""What is minimised, what is measured, and how outputs become answers."""
