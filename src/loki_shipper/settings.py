"""Declares every setting of the shipper and the redriver, which deliver alike.

`scripts/settings` writes these declarations to the template (parameters, environments, rights on
secrets), to docs/settings.md and to the Terraform module.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Struct

from loki_shipper.environment import Parameter, Setting, declared, read
from loki_shipper.formats import (
    ACCOUNT_TENANTS,
    BUILTIN_LABELS,
    HIDDEN_TEXT,
    LOG_BUCKET_LIST,
    PEM_OR_SECRET_NAME,
    RULES,
    STATIC_LABELS,
    SWITCH,
    TAG_LABELS,
    TENANT,
    TEXT,
    URL,
    AccountTenants,
    LogBucket,
    Secret,
    integer,
    one_of,
    one_of_numbers,
    secret_name,
)
from loki_shipper.loki_names import BUILTINS
from loki_shipper.model import Pairs

LOKI_TENANT = Setting(
    TENANT,
    "Tenant, sent as `X-Scope-OrgID`. Leave it empty if Loki has no tenants, or if the secret sets "
    "this header.",
    Parameter("LokiTenant", "Loki", "Tenant"),
)
TENANT_TAG = Setting(
    TEXT,
    "Tag that holds the tenant of a log group. A log group without the tag belongs to "
    "`LokiTenant`. If `LokiTenant` is empty, such a log group is not linked.",
    Parameter("TenantTag", "Labels", "Tag with the tenant"),
)
LOG_BUCKETS = Setting(
    LOG_BUCKET_LIST,
    "Buckets with log files to ship, such as `my-logs/AWSLogs/,my-waf-logs=waf,my-app-logs/web/`. "
    "Each entry is `bucket/prefix=type`. Only keys that start with the prefix are shipped. Without "
    "a type, the key and the first line of a file decide what it is. A prefix must not hold a "
    "comma. Leave it empty to ship no log files.",
    Parameter("LogBuckets", "Log files in S3", "Buckets with log files"),
)
LOKI_READ_URL = Setting(
    URL,
    "URL of Loki for queries, if it is not the one in `LokiUrl`. Only the canary and the audit "
    "read from Loki.",
    Parameter("LokiReadUrl", "Loki", "URL for queries"),
)
LOKI_READ_SECRET = Setting(
    secret_name(),
    "Secret with credentials that may read from Loki, in the form of `LokiSecret`. Leave it empty "
    "if those in `LokiSecret` may read too. The shipper cannot read this secret. The stack's daily "
    "audit reads Loki only if this or `LokiReadUrl` is set.",
    Parameter("LokiReadSecret", "Loki", "Secret with the credentials for queries"),
)
BUCKET = Setting(
    TEXT, "The stack's bucket: dead letters, the tag index, and the subscriber's records of links."
)
STACK = Setting(TEXT, "Name of the stack. Metrics have it as their dimension `stack`.")
LOG_LEVEL = Setting(
    one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    "Level of the functions' own log, which never holds log lines or secrets.",
    Parameter("LogLevel", "The functions", "Level of the functions' own log"),
)


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of the shipper and the redriver."""

    loki_url: Annotated[
        str,
        Setting(
            URL,
            "Base URL or full push URL of Loki, such as `https://logs-prod-012.grafana.net`. The "
            "functions must be able to reach it. Only a member of a hub goes without it "
            "(`DestinationArn`).",
            Parameter("LokiUrl", "Loki", "URL of Loki"),
            default="",
        ),
    ]
    loki_tenant: Annotated[str | None, LOKI_TENANT] = None
    loki_secret: Annotated[
        str | None,
        Setting(
            secret_name(),
            "Secret with the credentials for Loki: the ARN of a Secrets Manager secret, or the "
            "name or ARN of an SSM parameter. It holds JSON with `username` and `password`, or "
            "with `token`, or with `headers`. Leave it empty if Loki needs no credentials.",
            Parameter("LokiSecret", "Loki", "Secret with the credentials"),
        ),
    ] = None
    loki_username: Annotated[
        str | None, Setting(TEXT, "User name for basic authentication, for local use.")
    ] = None
    loki_password: Annotated[
        Secret | None, Setting(HIDDEN_TEXT, "Password for basic authentication, for local use.")
    ] = None
    loki_token: Annotated[Secret | None, Setting(HIDDEN_TEXT, "Bearer token, for local use.")] = (
        None
    )
    loki_ca_cert: Annotated[
        str | None,
        Setting(
            PEM_OR_SECRET_NAME,
            "Certificate authority of Loki, if it is a private one: PEM text, or a secret with PEM "
            "text, named as in `LokiSecret`. PEM text counts towards the 4 KB of a function's "
            "environment.",
            Parameter("LokiCaCert", "TLS", "Certificate authority"),
        ),
    ] = None
    loki_client_cert: Annotated[
        str | None,
        Setting(
            PEM_OR_SECRET_NAME,
            "Client certificate, if Loki asks for one: PEM text, or a secret with PEM text.",
            Parameter("LokiClientCert", "TLS", "Client certificate"),
        ),
    ] = None
    loki_client_key: Annotated[
        Secret | None,
        Setting(
            secret_name(Secret),
            "Key of the client certificate: a secret with PEM text, named as in `LokiSecret`.",
            Parameter("LokiClientKey", "TLS", "Key of the client certificate"),
        ),
    ] = None
    tag_labels: Annotated[
        Pairs | None,
        Setting(
            TAG_LABELS,
            "Tags of log groups that become labels: `*` for all tags except `aws:*`, a list such "
            "as `team,env=environment`, or `none`. With `none` and no `TenantTag`, the shipper "
            "reads no tags.",
            Parameter("TagLabels", "Labels", "Tags that become labels"),
            default="*",
        ),
    ] = None
    static_labels: Annotated[
        Pairs,
        Setting(
            STATIC_LABELS,
            "Labels for every stream, such as `env=prod,cluster=eu1`.",
            Parameter("StaticLabels", "Labels", "Labels for every stream"),
        ),
    ] = ()
    builtin_labels: Annotated[
        Pairs,
        Setting(
            BUILTIN_LABELS,
            "Built-in labels: `all`, `none`, or a list such as `log_group,region=aws_region` of "
            "`service_name`, `log_group`, `account_id`, `region` and `source`, and for log files "
            "`log_type`, `bucket` and `resource`.",
            Parameter("BuiltinLabels", "Labels", "Built-in labels"),
            default="all",
        ),
    ] = tuple((name, name) for name in BUILTINS)
    tenant_tag: Annotated[str | None, TENANT_TAG] = None
    account_tenants: Annotated[
        AccountTenants,
        Setting(
            ACCOUNT_TENANTS,
            "The tenants that lines of each other account may go to, such as "
            "`111111111111=team-a|team-b,222222222222=team-c`. Loki-Shipper rejects lines of an "
            "account for a tenant that its entry does not name. If the list is empty, lines of "
            "other accounts go to `LokiTenant` only.",
            Parameter("AccountTenants", "Other accounts", "Tenants of other accounts"),
        ),
    ] = ()
    max_labels: Annotated[
        int,
        Setting(
            integer(2, 100),
            "Highest number of labels of a stream. One of them stays free for the label `late`. "
            "Tags beyond it become structured metadata. Loki's own limit is 15 by default.",
            Parameter("MaxLabels", "Labels", "Highest number of labels"),
        ),
    ] = 15
    late_stream_minutes: Annotated[
        int,
        Setting(
            # Each number divides a day, so that a week has a whole number of late streams.
            one_of_numbers(5, 10, 15, 20, 30, 60, 120),
            "Minutes of log time that one late stream covers. It must be at most a quarter of "
            "Loki's `max_chunk_age` (2h by default). A line goes to a late stream once it is one "
            "and a half times as old.",
            Parameter("LateStreamMinutes", "Labels", "Minutes of a late stream"),
        ),
    ] = 30
    rules: Annotated[
        str | None,
        Setting(
            RULES,
            "Rules for lines (`docs/rules.md`): an S3 object `s3://bucket/key`, a file in the "
            "functions' code such as `loki_shipper/rules.toml`, or `none`. By default, the level "
            "of lines of Lambda functions and AWS services becomes structured metadata.",
            Parameter("Rules", "Lines and pushes", "Rules for lines"),
        ),
    ] = None
    long_lines: Annotated[
        Literal["split", "truncate"],
        Setting(
            one_of("split", "truncate"),
            "Treatment of lines longer than `MaxLineBytes`: `split` into numbered parts, or "
            "`truncate`.",
            Parameter("LongLines", "Lines and pushes", "Lines that are too long"),
        ),
    ] = "split"
    max_line_bytes: Annotated[
        int,
        Setting(
            integer(1024, 1_048_576),
            "Longest line, in bytes of UTF-8. Loki's own limit is 262144 by default.",
            Parameter("MaxLineBytes", "Lines and pushes", "Longest line in bytes"),
        ),
    ] = 262_144
    max_batch_bytes: Annotated[
        int,
        Setting(
            integer(65_536, 4_000_000),
            "Largest push, in bytes before compression. Loki accepts 4 MiB by default.",
            Parameter("MaxBatchBytes", "Lines and pushes", "Largest push in bytes"),
        ),
    ] = 1_048_576
    structured_metadata: Annotated[
        bool,
        Setting(
            SWITCH,
            "`on`, or `off` for a Loki that does not accept structured metadata.",
            Parameter("StructuredMetadata", "Lines and pushes", "Structured metadata"),
        ),
    ] = True
    log_buckets: Annotated[tuple[LogBucket, ...], LOG_BUCKETS] = ()
    log_file_tags: Annotated[
        Literal["bucket", "resource"],
        Setting(
            one_of("bucket", "resource"),
            "Tags of a log file: those of its `bucket`, or those of the load balancer or "
            "distribution that its key names (`resource`). Log files of all other types have those "
            "of their bucket.",
            Parameter("LogFileTags", "Log files in S3", "Tags of log files"),
        ),
    ] = "bucket"
    bucket: Annotated[str | None, BUCKET] = None
    stack: Annotated[str | None, STACK] = None
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], LOG_LEVEL] = "INFO"


def variables() -> dict[str, Setting]:
    """Return the settings of the shipper, by the names of their variables."""
    return declared(Settings)


def settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings in an environment.

    Raises SettingsError, which names every variable that is missing or wrong, never a secret.
    """
    return read(Settings, environ, _contradictions)


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    faults = []
    basic = {"loki_username", "loki_password"} & values.keys()
    if len(basic) == 1:
        faults.append("LOKI_USERNAME and LOKI_PASSWORD go together")
    if bool(basic) + ("loki_token" in values) + ("loki_secret" in values) > 1:
        faults.append("only one of LOKI_SECRET, LOKI_TOKEN and LOKI_USERNAME may be set")
    if ("loki_client_cert" in values) != ("loki_client_key" in values):
        faults.append("LOKI_CLIENT_CERT and LOKI_CLIENT_KEY go together")
    if len(values.get("static_labels", ())) >= values.get("max_labels", 15):
        faults.append("STATIC_LABELS has as many labels as MAX_LABELS, or more")
    return faults
