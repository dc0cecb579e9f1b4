"""Ships entries of Google Cloud Logging that a push subscription of Pub/Sub brings."""
