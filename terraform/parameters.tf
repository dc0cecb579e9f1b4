# Written by scripts/settings from template.yaml.

locals {
  parameters = {
    LokiUrl              = var.loki_url
    LokiTenant           = var.loki_tenant
    LokiSecret           = var.loki_secret
    LokiReadUrl          = var.loki_read_url
    LokiReadSecret       = var.loki_read_secret
    LinkMode             = var.link_mode
    IncludeLogGroups     = var.include_log_groups
    ExcludeLogGroups     = var.exclude_log_groups
    TagConditions        = var.tag_conditions
    FilterPattern        = var.filter_pattern
    FilterPatternTag     = var.filter_pattern_tag
    CentralizedLogGroups = var.centralized_log_groups
    FunctionTags         = var.function_tags
    LogBuckets           = var.log_buckets
    LogFileTags          = var.log_file_tags
    LokiCaCert           = var.loki_ca_cert
    LokiClientCert       = var.loki_client_cert
    LokiClientKey        = var.loki_client_key
    TagLabels            = var.tag_labels
    StaticLabels         = var.static_labels
    BuiltinLabels        = var.builtin_labels
    TenantTag            = var.tenant_tag
    MaxLabels            = var.max_labels
    LateStreamMinutes    = var.late_stream_minutes
    Rules                = var.rules
    LongLines            = var.long_lines
    MaxLineBytes         = var.max_line_bytes
    MaxBatchBytes        = var.max_batch_bytes
    StructuredMetadata   = var.structured_metadata
    LogLevel             = var.log_level
    AccountTenants       = var.account_tenants
    DestinationArn       = var.destination_arn
    HubBucket            = var.hub_bucket
    Architecture         = var.architecture
    MemorySize           = var.memory_size
    Timeout              = var.timeout
    KinesisStreamArn     = var.kinesis_stream_arn
    OrganizationId       = var.organization_id
    KinesisMemorySize    = var.kinesis_memory_size
    KinesisTimeout       = var.kinesis_timeout
    LogFilesMemorySize   = var.log_files_memory_size
    LogFilesConcurrency  = var.log_files_concurrency
    LogRetentionDays     = var.log_retention_days
    BucketRetentionDays  = var.bucket_retention_days
    KmsKeyArn            = var.kms_key_arn
    FormerKmsKeyArns     = join(",", var.former_kms_key_arns)
    RedriveSchedule      = var.redrive_schedule
    RedriveWorkers       = var.redrive_workers
    ReservedConcurrency  = var.reserved_concurrency
    SubnetIds            = join(",", var.subnet_ids)
    SecurityGroupIds     = join(",", var.security_group_ids)
    AlarmTopicArn        = var.alarm_topic_arn
    Canary               = var.canary
    PermissionsBoundary  = var.permissions_boundary
  }
}

variable "loki_url" {
  description = "Base URL or full push URL of Loki, such as https://logs-prod-012.grafana.net. The functions must be able to reach it. Only a member of a hub goes without it (DestinationArn)."
  type        = string
  default     = ""
}

variable "loki_tenant" {
  description = "Tenant, sent as X-Scope-OrgID. Leave it empty if Loki has no tenants, or if the secret sets this header."
  type        = string
  default     = ""
}

variable "loki_secret" {
  description = "Secret with the credentials for Loki: the ARN of a Secrets Manager secret, or the name or ARN of an SSM parameter. It holds JSON with username and password, or with token, or with headers. Leave it empty if Loki needs no credentials."
  type        = string
  default     = ""
}

variable "loki_read_url" {
  description = "URL of Loki for queries, if it is not the one in LokiUrl. Only the canary and the audit read from Loki."
  type        = string
  default     = ""
}

variable "loki_read_secret" {
  description = "Secret with credentials that may read from Loki, in the form of LokiSecret. Leave it empty if those in LokiSecret may read too. The shipper cannot read this secret. The stack's daily audit reads Loki only if this or LokiReadUrl is set."
  type        = string
  default     = ""
}

variable "link_mode" {
  description = "groups puts a subscription filter on each selected log group. account puts one policy on all log groups of the account and Region, except those in ExcludeLogGroups. AWS allows one such policy in a Region. Filters stay in place until the policy is."
  type        = string
  default     = "groups"
}

variable "include_log_groups" {
  description = "Names of log groups to link, such as /aws/lambda/*,/ecs/*. Loki-Shipper never links its own log groups. With LinkMode=account, all other log groups are linked."
  type        = string
  default     = "/aws/lambda/*"
}

variable "exclude_log_groups" {
  description = "Names of log groups never to link, such as *-test,/aws/lambda/probe."
  type        = string
  default     = ""
}

variable "tag_conditions" {
  description = "Conditions on tags. A log group is linked only if it meets all of them: key=value, key for any value, or !key for no such tag. Give a key twice to allow two values, such as team=payments,team=search,!internal."
  type        = string
  default     = ""
}

variable "filter_pattern" {
  description = "Filter pattern of CloudWatch Logs, such as ?ERROR ?WARN. Only matching lines are shipped. Leave it empty to ship all lines."
  type        = string
  default     = ""
}

variable "filter_pattern_tag" {
  description = "Tag that holds a log group's own filter pattern, such as ERROR or -DEBUG. It has no effect with LinkMode=account."
  type        = string
  default     = ""
}

variable "centralized_log_groups" {
  description = "Names of log groups that CloudWatch Logs centralization copies other accounts' lines into, such as /central/*. Their filters get emitSystemFields, so that each line has the account, the Region, the log group and the tags of its source. It has no effect with LinkMode=account, as an account policy has no such option."
  type        = string
  default     = ""
}

variable "function_tags" {
  description = "on: if the log group of a Lambda function lacks a tag that the function has, the function's tag counts."
  type        = string
  default     = "on"
}

variable "log_buckets" {
  description = "Buckets with log files to ship, such as my-logs/AWSLogs/,my-waf-logs=waf,my-app-logs/web/. Each entry is bucket/prefix=type. Only keys that start with the prefix are shipped. Without a type, the key and the first line of a file decide what it is. A prefix must not hold a comma. Leave it empty to ship no log files."
  type        = string
  default     = ""
}

variable "log_file_tags" {
  description = "Tags of a log file: those of its bucket, or those of the load balancer or distribution that its key names (resource). Log files of all other types have those of their bucket."
  type        = string
  default     = "bucket"
}

variable "loki_ca_cert" {
  description = "Certificate authority of Loki, if it is a private one: PEM text, or a secret with PEM text, named as in LokiSecret. PEM text counts towards the 4 KB of a function's environment."
  type        = string
  default     = ""
}

variable "loki_client_cert" {
  description = "Client certificate, if Loki asks for one: PEM text, or a secret with PEM text."
  type        = string
  default     = ""
}

variable "loki_client_key" {
  description = "Key of the client certificate: a secret with PEM text, named as in LokiSecret."
  type        = string
  default     = ""
}

variable "tag_labels" {
  description = "Tags of log groups that become labels: * for all tags except aws:*, a list such as team,env=environment, or none. With none and no TenantTag, the shipper reads no tags."
  type        = string
  default     = "*"
}

variable "static_labels" {
  description = "Labels for every stream, such as env=prod,cluster=eu1."
  type        = string
  default     = ""
}

variable "builtin_labels" {
  description = "Built-in labels: all, none, or a list such as log_group,region=aws_region of service_name, log_group, account_id, region and source, and for log files log_type, bucket and resource."
  type        = string
  default     = "all"
}

variable "tenant_tag" {
  description = "Tag that holds the tenant of a log group. A log group without the tag belongs to LokiTenant. If LokiTenant is empty, such a log group is not linked."
  type        = string
  default     = ""
}

variable "max_labels" {
  description = "Highest number of labels of a stream. One of them stays free for the label late. Tags beyond it become structured metadata. Loki's own limit is 15 by default."
  type        = number
  default     = 15
}

variable "late_stream_minutes" {
  description = "Minutes of log time that one late stream covers. It must be at most a quarter of Loki's max_chunk_age (2h by default). A line goes to a late stream once it is one and a half times as old."
  type        = number
  default     = 30
}

variable "rules" {
  description = "Rules for lines (docs/rules.md): an S3 object s3://bucket/key, a file in the functions' code such as loki_shipper/rules.toml, or none. By default, the level of lines of Lambda functions and AWS services becomes structured metadata."
  type        = string
  default     = ""
}

variable "long_lines" {
  description = "Treatment of lines longer than MaxLineBytes: split into numbered parts, or truncate."
  type        = string
  default     = "split"
}

variable "max_line_bytes" {
  description = "Longest line, in bytes of UTF-8. Loki's own limit is 262144 by default."
  type        = number
  default     = 262144
}

variable "max_batch_bytes" {
  description = "Largest push, in bytes before compression. Loki accepts 4 MiB by default."
  type        = number
  default     = 1048576
}

variable "structured_metadata" {
  description = "on, or off for a Loki that does not accept structured metadata."
  type        = string
  default     = "on"
}

variable "log_level" {
  description = "Level of the functions' own log, which never holds log lines or secrets."
  type        = string
  default     = "INFO"
}

variable "account_tenants" {
  description = "The tenants that lines of each other account may go to, such as 111111111111=team-a|team-b,222222222222=team-c. Loki-Shipper rejects lines of an account for a tenant that its entry does not name. If the list is empty, lines of other accounts go to LokiTenant only."
  type        = string
  default     = ""
}

variable "destination_arn" {
  description = "ARN of the destination of CloudWatch Logs in a hub's account (DestinationArn of its outputs). Then this stack has no shipper: its filters send to the hub. docs/many-accounts.md has the recipe."
  type        = string
  default     = ""
}

variable "hub_bucket" {
  description = "Bucket of the hub's stack (BucketName of its outputs). The subscriber writes the tags of log groups there, and the first lines of new log groups."
  type        = string
  default     = ""
}

variable "architecture" {
  description = "Processor of the functions."
  type        = string
  default     = "arm64"
}

variable "memory_size" {
  description = "Memory of each function in MB. CPU power grows with it. KinesisMemorySize is that of the function for a Kinesis stream."
  type        = number
  default     = 256
}

variable "timeout" {
  description = "Timeout of the shipper in seconds. Lambda retries an invocation that fails or times out. After two retries its lines go to the bucket."
  type        = number
  default     = 120
}

variable "kinesis_stream_arn" {
  description = "ARN of a Kinesis data stream that carries subscription records, such as arn:aws:kinesis:eu-central-1:123456789012:stream/logs. Leave it empty to read no stream."
  type        = string
  default     = ""
}

variable "organization_id" {
  description = "Organization whose accounts may send to this stack, such as o-abc1234567. It makes the stack a hub: the stream of KinesisStreamArn gets a destination of CloudWatch Logs."
  type        = string
  default     = ""
}

variable "kinesis_memory_size" {
  description = "Memory in MB of the function that reads the stream. CPU power grows with it: raise it if a shard has more data than the function can push in time."
  type        = number
  default     = 256
}

variable "kinesis_timeout" {
  description = "Timeout in seconds of the function that reads the stream. Lambda sends the part of a batch that was not pushed in time again."
  type        = number
  default     = 120
}

variable "log_files_memory_size" {
  description = "Memory in MB of the function that reads log files from S3. CPU power grows with it. It reads a file of any size with 512."
  type        = number
  default     = 512
}

variable "log_files_concurrency" {
  description = "The most log files that are read at the same time. The others wait in the queue."
  type        = number
  default     = 5
}

variable "log_retention_days" {
  description = "Days to keep the functions' own log."
  type        = number
  default     = 14
}

variable "bucket_retention_days" {
  description = "Days to keep lines that Loki refused or that could not be delivered. After that, they are lost."
  type        = number
  default     = 30
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the bucket. If empty, S3 encrypts it with its own key. The key policy must allow the roles of this account to use the key. Secrets may be under other keys."
  type        = string
  default     = ""
}

variable "former_kms_key_arns" {
  description = "KMS keys that encrypted the bucket before you changed KmsKeyArn. Objects that were encrypted with a key stay unreadable unless it is listed here. Remove a key after BucketRetentionDays."
  type        = list(string)
  default     = []
}

variable "redrive_schedule" {
  description = "Schedule on which the redriver sends undelivered lines again: rate(...) or cron(...) of EventBridge, or off."
  type        = string
  default     = "rate(5 minutes)"
}

variable "redrive_workers" {
  description = "Number of redrivers that the schedule starts. Each handles its own share of the undelivered lines. More redrivers deliver a large backlog sooner. They slow down while Loki answers 429."
  type        = number
  default     = 4
}

variable "reserved_concurrency" {
  description = "Highest number of concurrent invocations of the shipper. Lambda reserves them out of the account's limit. Use it to limit the load on Loki, or to guarantee invocations. Further invocations wait for up to six hours. Empty means no limit."
  type        = string
  default     = ""
}

variable "subnet_ids" {
  description = "Subnets from which the functions reach Loki, such as subnet-1,subnet-2. S3, CloudWatch Logs and the service of your secret must be reachable from them too, through NAT or VPC endpoints. Leave it empty if the functions reach Loki over the internet."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups of the functions in these subnets. They must allow traffic to Loki's port and to port 443. Set it together with SubnetIds."
  type        = list(string)
  default     = []
}

variable "alarm_topic_arn" {
  description = "SNS topic that gets a message when an alarm starts and when it ends. Without a topic there are no alarms. The key of an encrypted topic must allow cloudwatch.amazonaws.com to use it."
  type        = string
  default     = ""
}

variable "canary" {
  description = "on writes a line to a log group of the stack every five minutes and reads it back from Loki. The metric EndToEndSeconds has the seconds between. The credentials for Loki must allow queries (LokiReadSecret). See docs/reliability.md."
  type        = string
  default     = "off"
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary for the stack's roles, if your organization requires one. It must allow the actions that SECURITY.md lists."
  type        = string
  default     = ""
}
