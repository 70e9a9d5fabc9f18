"""What is installed, and what the machine can do."""
