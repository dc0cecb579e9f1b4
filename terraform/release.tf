# The files of a release, and their keys in the bucket.

locals {
  version = "0.1.0"
  release = "loki-shipper-${local.version}"
  zips    = toset([for part in ["function", "layer-arm64", "layer-x86_64"] : "${local.release}-${part}.zip"])

  # The folder depends on the contents, so that CloudFormation sees each change.
  folder = "${var.prefix}${sha256(join("", [for zip in local.zips : filesha256("${var.release}/${zip}")]))}"

  # The template of a release names zips beside it. In the bucket, they are in this folder.
  template = replace(
    file("${var.release}/${local.release}.yaml"),
    "./${local.release}-",
    "s3://${var.bucket}/${local.folder}/${local.release}-",
  )
  template_key = "${local.folder}/${sha256(local.template)}.yaml"
}
