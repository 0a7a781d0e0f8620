"""What several commands share: options, values, output."""
