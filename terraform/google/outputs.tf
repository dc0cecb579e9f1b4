output "url" {
  description = "URL to which Pub/Sub posts."
  value       = local.url
}

output "bucket" {
  description = "Bucket with what Loki refused."
  value       = google_storage_bucket.kept.name
}

output "subscription" {
  description = "Name of the subscription, for loki-shipper google doctor."
  value       = google_pubsub_subscription.push.id
}
