"""`python -m loki_shipper.google`: runs the service in its container."""

from loki_shipper.google.serve import main

main()
