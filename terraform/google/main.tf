# Entries go from the log sink to a topic, and from there to the service on Cloud Run.

data "google_project" "this" {
  project_id = var.project
}

locals {
  # Cloud Run gives each service this URL, so it is known before the first deployment.
  url = "https://${var.name}-${data.google_project.this.number}.${var.region}.run.app"

  # Each request writes to the service's own log, so shipping that log would never end.
  own = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\""
}

resource "google_service_account" "service" {
  project      = var.project
  account_id   = var.name
  display_name = var.name
}

resource "google_service_account" "push" {
  project      = var.project
  account_id   = "${var.name}-push"
  display_name = "${var.name}-push"
}

# What Loki refuses for good. It may hold the only copy of a line, so it outlives the module.
resource "google_storage_bucket" "kept" {
  project                     = var.project
  name                        = "${var.project}-${var.name}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false
}

resource "google_storage_bucket_iam_member" "service" {
  bucket = google_storage_bucket.kept.name
  role   = "roles/storage.objectUser"
  member = google_service_account.service.member
}

resource "google_secret_manager_secret_iam_member" "service" {
  for_each  = var.secrets
  project   = var.project
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.service.member
}

resource "google_cloud_run_v2_service" "this" {
  project             = var.project
  name                = var.name
  location            = var.region
  deletion_protection = false

  template {
    service_account                  = google_service_account.service.email
    timeout                          = "60s"
    max_instance_request_concurrency = 200

    scaling {
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image

      resources {
        limits = {
          cpu    = "1"
          memory = "1Gi"
        }
      }

      dynamic "env" {
        for_each = merge(var.settings, {
          LOKI_URL             = var.loki_url
          BUCKET               = google_storage_bucket.kept.name
          PUSH_AUDIENCE        = local.url
          PUSH_SERVICE_ACCOUNT = google_service_account.push.email
        })

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = var.secrets

        content {
          name = env.key

          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.service]
}

resource "google_cloud_run_v2_service_iam_member" "push" {
  project  = var.project
  name     = google_cloud_run_v2_service.this.name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

resource "google_pubsub_topic" "logs" {
  project = var.project
  name    = var.name
}

# Pub/Sub signs its requests as this account.
resource "google_service_account_iam_member" "signer" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"

  depends_on = [google_pubsub_topic.logs]
}

# Without a dead-letter topic: after a hundred tries, it would make an outage work for somebody.
resource "google_pubsub_subscription" "push" {
  project                    = var.project
  name                       = var.name
  topic                      = google_pubsub_topic.logs.id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = "${local.url}/"

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = local.url
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  expiration_policy {
    ttl = ""
  }

  depends_on = [
    google_cloud_run_v2_service_iam_member.push,
    google_service_account_iam_member.signer,
  ]
}

resource "google_logging_project_sink" "logs" {
  project                = var.project
  name                   = var.name
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.logs.id}"
  filter                 = "(${var.filter}) AND NOT (${local.own})"
  unique_writer_identity = true
}

resource "google_pubsub_topic_iam_member" "sink" {
  project = var.project
  topic   = google_pubsub_topic.logs.name
  role    = "roles/pubsub.publisher"
  member  = google_logging_project_sink.logs.writer_identity
}
