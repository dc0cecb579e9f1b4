# Deploys a release of Loki-Shipper: the same zips and the same stack as `sam deploy` does.
# Why it is a stack: docs/decisions/terraform.md.

data "aws_s3_bucket" "artifacts" {
  bucket = var.bucket
}

resource "aws_s3_object" "zip" {
  for_each = local.zips

  bucket      = data.aws_s3_bucket.artifacts.id
  key         = "${local.folder}/${each.value}"
  source      = "${var.release}/${each.value}"
  source_hash = filesha256("${var.release}/${each.value}")

  # New zips come before the stack changes, and old ones go afterwards: a rollback needs them.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_s3_object" "template" {
  bucket  = data.aws_s3_bucket.artifacts.id
  key     = local.template_key
  content = local.template

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudformation_stack" "this" {
  name         = var.name
  template_url = "https://${data.aws_s3_bucket.artifacts.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  parameters   = local.parameters
  tags         = var.tags

  # The stack makes roles, without names of ours, and its template is SAM's.
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]

  # Linking and unlinking thousands of log groups takes its time: some four a second.
  timeouts {
    create = "90m"
    update = "90m"
    delete = "90m"
  }

  depends_on = [aws_s3_object.zip]
}
