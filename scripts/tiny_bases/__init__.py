"""What the three bundled base models are and how they are pre-trained from scratch."""
