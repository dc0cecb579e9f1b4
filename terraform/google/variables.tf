variable "project" {
  description = "Id of the project whose entries are shipped."
  type        = string
}

variable "region" {
  description = "Region of the service and of the bucket."
  type        = string
}

variable "image" {
  description = "Image of the service, built with the Dockerfile of the project."
  type        = string
}

variable "loki_url" {
  description = "Base URL or full push URL of Loki."
  type        = string
}

variable "settings" {
  description = "Other settings of the service (docs/google.md), by the names of their variables."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Settings from Secret Manager: the name of a variable, such as LOKI_TOKEN, and of its secret."
  type        = map(string)
  default     = {}
}

variable "filter" {
  description = "Entries to ship, in the language of Cloud Logging."
  type        = string
  default     = "severity>=DEFAULT"
}

variable "name" {
  description = "Name of everything that the module makes."
  type        = string
  default     = "loki-shipper"
}

variable "max_instances" {
  description = "The most instances of the service. Each ships some hundred entries a second."
  type        = number
  default     = 20
}
