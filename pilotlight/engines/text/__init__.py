"""What every text engine shares: contract, admission, generation, sampling, a fake."""
