# Where and under which name it is deployed; what it is deployed with is in parameters.tf.

variable "release" {
  description = "Folder with the files of a release: the zips and the template."
  type        = string
}

variable "bucket" {
  description = "Name of a bucket of yours in this Region, to which the release is uploaded."
  type        = string
}

variable "prefix" {
  description = "What the keys of uploads begin with; with a slash at its end."
  type        = string
  default     = "loki-shipper/"
}

variable "name" {
  description = "Name of the stack."
  type        = string
  default     = "loki-shipper"
}

variable "tags" {
  description = "Tags of the stack, and so of all its resources."
  type        = map(string)
  default     = {}
}
