# Deploys a release of Loki-Shipper: the same zips and the same stack as `sam deploy`.
# docs/decisions/terraform.md says why it is a stack.

data "aws_s3_bucket" "artifacts" {
  bucket = var.bucket
}

resource "aws_s3_object" "zip" {
  for_each = local.zips

  bucket      = data.aws_s3_bucket.artifacts.id
  key         = "${local.folder}/${each.value}"
  source      = "${var.release}/${each.value}"
  source_hash = filesha256("${var.release}/${each.value}")

  # Terraform uploads new zips before it changes the stack, and deletes the old ones afterwards: a
  # rollback needs them.
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

  # The stack creates roles, with generated names, and its template needs the SAM transform.
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]

  # The subscriber links and unlinks about four log groups a second.
  timeouts {
    create = "90m"
    update = "90m"
    delete = "90m"
  }

  depends_on = [aws_s3_object.zip]
}
