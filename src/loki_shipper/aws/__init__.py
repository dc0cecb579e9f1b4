"""What all functions share of AWS: signed requests and calls below its rate limits."""
