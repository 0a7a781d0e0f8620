"""What every encoder engine shares: contract, batching, scores, a fake."""
