# The place and the name of the deployment. The parameters of the stack are in parameters.tf.

variable "release" {
  description = "Folder with the files of a release: the zips and the template."
  type        = string
}

variable "bucket" {
  description = "Name of your bucket in this Region. The module uploads the release to it."
  type        = string
}

variable "prefix" {
  description = "Prefix of the keys of uploads, with a slash at its end."
  type        = string
  default     = "loki-shipper/"
}

variable "name" {
  description = "Name of the stack."
  type        = string
  default     = "loki-shipper"
}

variable "tags" {
  description = "Tags for the stack and all its resources."
  type        = map(string)
  default     = {}
}
