# A release's files, and where they go.

locals {
  version = "0.1.0"
  release = "loki-shipper-${local.version}"
  zips    = toset([for part in ["function", "layer-arm64", "layer-x86_64"] : "${local.release}-${part}.zip"])

  # Other contents go to another folder, so that CloudFormation sees that something has changed.
  folder = "${var.prefix}${sha256(join("", [for zip in local.zips : filesha256("${var.release}/${zip}")]))}"

  # The release's template names the zips beside it; in the bucket they are in that folder.
  template = replace(
    file("${var.release}/${local.release}.yaml"),
    "./${local.release}-",
    "s3://${var.bucket}/${local.folder}/${local.release}-",
  )
  template_key = "${local.folder}/${sha256(local.template)}.yaml"
}
