"""The CloudFormation template of Huntaze on ECS Fargate.

`python deploy/template.py > deploy/huntaze.yaml`. Processes come from the Procfile, so that a
new one cannot be forgotten; a test compares the file with what this makes.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from infra.bus.routing import MAX_RECEIVES
from infra.settings import QUEUES

HERE = Path(__file__).resolve().parent
Json = dict[str, Any]

SLOW = frozenset({"campaigns", "imports"})
# A call may take 20 s and a delivery 29: whatever began has ended long before ECS loses patience.
STOP_SECONDS = 60
WEB_PORT, METRICS_PORT = 8000, 9100
# What a task may have waiting before another one starts. A delivery worker has 64 threads and a
# call takes a second or two; pages of campaigns and imports take seconds each.
BACKLOG_PER_TASK = {"messages": 100, "campaigns": 5, "imports": 5, "inbound": 200, "metrics": 20}
SECRETS = {
    "DATABASE_URL": "DatabaseUrl",
    "REDIS_AUTH_TOKEN": "RedisToken",
    "JWT_SECRET": "JwtSecret",
    "ENCRYPTION_KEYS": "EncryptionKeys",
    "ONLYFANS_API_KEY": "PlatformKey",
    "ONLYFANS_WEBHOOK_SECRET": "WebhookSecret",
}
WORK_SECRETS = tuple(name for name in SECRETS if name != "ONLYFANS_WEBHOOK_SECRET")
SCALED_SIZES = {"web": ("512", "1024"), "worker-messages": ("1024", "2048")}
SMALL_SIZES = {"web": ("256", "1024"), "work": ("512", "2048")}


def ref(name: str) -> Json:
    return {"Ref": name}


def sub(text: str) -> Any:
    return {"Fn::Sub": text} if "${" in text else text


def att(name: str, what: str) -> Json:
    return {"Fn::GetAtt": [name, what]}


def when(condition: str, yes: Any, no: Any) -> Json:
    return {"Fn::If": [condition, yes, no]}


NOTHING = ref("AWS::NoValue")


def words(name: str) -> str:
    """`worker-messages` -> `WorkerMessages`."""
    return "".join(part.capitalize() for part in name.split("-"))


def procfile() -> dict[str, str]:
    lines = (HERE.parent / "Procfile").read_text(encoding="utf-8").splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


def queue_of(process: str) -> str | None:
    return process.removeprefix("worker-") if process.startswith("worker-") else None


def queue_name(queue: str) -> str:
    return "${MessagesQueueName}" if queue == "messages" else f"huntaze-{queue}"


def queue_arn(queue: str, *, dead: bool = False) -> Json:
    end = "-dlq" if dead else ""
    return sub(
        f"arn:${{AWS::Partition}}:sqs:${{AWS::Region}}:${{AWS::AccountId}}:{queue_name(queue)}{end}"
    )


def parameter(description: str, default: str | None = None, **more: Any) -> Json:
    made: Json = {"Type": "String", "Description": description, **more}
    return made if default is None else {**made, "Default": default}


def switch(description: str, default: str) -> Json:
    return parameter(description, default, AllowedValues=["true", "false"])


PARAMETERS: Json = {
    "Size": parameter(
        "small: everything in two small tasks without NAT; scaled: a service for each process",
        "small",
        AllowedValues=["small", "scaled"],
    ),
    "Running": switch("false stops every process and keeps everything else", "true"),
    "Image": parameter("The image to run, with its tag or digest"),
    "Build": parameter("Shown by /health and /api/monitoring/onlyfans", "unknown"),
    "Architecture": parameter(
        "What the image was built for", "ARM64", AllowedValues=["ARM64", "X86_64"]
    ),
    "DomainName": parameter("How browsers reach us, without https://"),
    "CertificateArn": parameter("The certificate of DomainName"),
    "VpcId": {"Type": "AWS::EC2::VPC::Id", "Description": "Where everything runs"},
    "VpcCidr": parameter("Addresses of the VPC: metrics answer these only"),
    "PublicSubnetIds": {
        "Type": "List<AWS::EC2::Subnet::Id>",
        "Description": "Two or more, of the load balancer; and of the tasks when Size is small",
    },
    "PrivateSubnetIds": {
        "Type": "List<AWS::EC2::Subnet::Id>",
        "Description": "Two or more, of PostgreSQL and Redis; and of the tasks when Size is scaled,"
        " which then need a NAT gateway in them",
    },
    "ClusterName": parameter("The ECS cluster", "huntaze-of-fargate"),
    "ClusterExists": switch("true uses the cluster that has this name", "false"),
    "MessagesQueueName": parameter(
        "SQS_RATE_LIMITER_QUEUE_URL; its dead-letter queue is named the same plus -dlq",
        "huntaze-rate-limiter-queue",
    ),
    "MessagesQueueExists": switch("true uses the queues that have these names", "false"),
    "RedisName": parameter("The Redis replication group", "huntaze-redis-production"),
    "RedisEndpoint": parameter("host:port of an existing Redis", ""),
    "RedisTokenSecretArn": parameter(
        "The secret with the AUTH of RedisEndpoint; empty makes RedisName", ""
    ),
    "RedisNodeType": parameter("Of the Redis that is made", "cache.t4g.micro"),
    "DatabaseUrlSecretArn": parameter(
        "The secret with DATABASE_URL of an existing PostgreSQL, ending in ?sslmode=verify-full and"
        " &sslrootcert=/etc/ssl/certs/rds.pem; empty makes a database",
        "",
    ),
    "DatabaseClass": parameter("Of the PostgreSQL that is made", "db.t4g.micro"),
    "CloudWatchNamespace": parameter("CLOUDWATCH_NAMESPACE", "Huntaze/OnlyFans"),
    "RateLimiterEnabled": switch("RATE_LIMITER_ENABLED; false accepts and holds", "true"),
    "OnlyFansCrmEnabled": switch("ONLYFANS_CRM_ENABLED; false lets everything rest", "true"),
    "RateLimitPerMinute": parameter("RATE_LIMIT_PER_MINUTE", "10"),
    "LogLevel": parameter(
        "LOG_LEVEL", "INFO", AllowedValues=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    ),
    "LogDays": {"Type": "Number", "Default": 30, "Description": "How long logs are kept"},
    "AlarmEmail": parameter("Who is told of alarms; empty: nobody", ""),
}


def equals(name: str, value: str) -> Json:
    return {"Fn::Equals": [ref(name), value]}


CONDITIONS: Json = {
    "Small": equals("Size", "small"),
    "Scaled": {"Fn::Not": [{"Condition": "Small"}]},
    "Runs": equals("Running", "true"),
    "MakesCluster": equals("ClusterExists", "false"),
    "MakesMessagesQueue": equals("MessagesQueueExists", "false"),
    "MakesRedis": equals("RedisTokenSecretArn", ""),
    "MakesDatabase": equals("DatabaseUrlSecretArn", ""),
    "ScaledRedis": {"Fn::And": [{"Condition": "MakesRedis"}, {"Condition": "Scaled"}]},
    "TellsSomebody": {"Fn::Not": [equals("AlarmEmail", "")]},
}


def resource(kind: str, properties: Json, **more: Any) -> Json:
    return {"Type": f"AWS::{kind}", **more, "Properties": properties}


def queues() -> Json:
    made: Json = {}
    for queue in QUEUES:
        own = {"Condition": "MakesMessagesQueue"} if queue == "messages" else {}
        name = words(queue)
        keep = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
        made[f"{name}DeadLetters"] = resource(
            "SQS::Queue",
            {
                "QueueName": sub(queue_name(queue) + "-dlq"),
                "MessageRetentionPeriod": 14 * 86_400,
                "SqsManagedSseEnabled": True,
            },
            **own,
            **keep,
        )
        made[f"{name}Queue"] = resource(
            "SQS::Queue",
            {
                "QueueName": sub(queue_name(queue)),
                "VisibilityTimeout": 300 if queue in SLOW else 120,
                "ReceiveMessageWaitTimeSeconds": 10,
                "MessageRetentionPeriod": 4 * 86_400,
                "SqsManagedSseEnabled": True,
                "RedrivePolicy": {
                    "deadLetterTargetArn": att(f"{name}DeadLetters", "Arn"),
                    "maxReceiveCount": MAX_RECEIVES,
                },
            },
            **own,
            **keep,
        )
        made[f"{name}QueuePolicy"] = resource(
            "SQS::QueuePolicy",
            {
                "Queues": [ref(f"{name}Queue"), ref(f"{name}DeadLetters")],
                "PolicyDocument": https_only(
                    "sqs:*", [queue_arn(queue), queue_arn(queue, dead=True)]
                ),
            },
            **own,
        )
    return made


def https_only(actions: str, resources: list[Json]) -> Json:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "HttpsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": actions,
                "Resource": resources,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def bucket() -> Json:
    locked = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    return {
        "Uploads": resource(
            "S3::Bucket",
            {
                "PublicAccessBlockConfiguration": dict.fromkeys(locked, True),
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [
                        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                    ]
                },
                "LifecycleConfiguration": {
                    "Rules": [
                        {
                            "Id": "ImportsAreForgotten",
                            "Status": "Enabled",
                            "Prefix": "imports/",
                            "ExpirationInDays": 31,
                            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                        }
                    ]
                },
            },
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        ),
        "UploadsPolicy": resource(
            "S3::BucketPolicy",
            {
                "Bucket": ref("Uploads"),
                "PolicyDocument": https_only(
                    "s3:*", [att("Uploads", "Arn"), sub("${Uploads.Arn}/*")]
                ),
            },
        ),
    }


def secrets() -> Json:
    def generated(description: str) -> Json:
        return {
            "Description": description,
            # Lists are separated by commas, and the token may not hold every sign.
            "GenerateSecretString": {"PasswordLength": 48, "ExcludePunctuation": True},
        }

    keep = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    database = (
        "postgresql://huntaze:{{resolve:secretsmanager:${DatabasePassword}:SecretString}}"
        "@${Database.Endpoint.Address}:${Database.Endpoint.Port}/huntaze"
        "?sslmode=verify-full&sslrootcert=/etc/ssl/certs/rds.pem"
    )
    kind = "SecretsManager::Secret"
    return {
        "DatabasePassword": resource(
            kind, generated("Password of PostgreSQL"), Condition="MakesDatabase", **keep
        ),
        "DatabaseUrl": resource(
            kind,
            {"Description": "DATABASE_URL", "SecretString": sub(database)},
            Condition="MakesDatabase",
        ),
        "RedisToken": resource(kind, generated("REDIS_AUTH_TOKEN"), Condition="MakesRedis", **keep),
        "JwtSecret": resource(kind, generated("JWT_SECRET, a list while rotating"), **keep),
        "EncryptionKeys": resource(
            kind, generated("ENCRYPTION_KEYS, a list while rotating"), **keep
        ),
        "PlatformKey": resource(
            kind, generated("ONLYFANS_API_KEY: put the gateway's key here"), **keep
        ),
        "WebhookSecret": resource(
            kind, generated("ONLYFANS_WEBHOOK_SECRET: put it into the gateway as well"), **keep
        ),
    }


def secret_arn(name: str) -> Json:
    logical = SECRETS[name]
    if name == "DATABASE_URL":
        return when("MakesDatabase", ref(logical), ref("DatabaseUrlSecretArn"))
    if name == "REDIS_AUTH_TOKEN":
        return when("MakesRedis", ref(logical), ref("RedisTokenSecretArn"))
    return ref(logical)


def group(description: str, sources: list[Json]) -> Json:
    return resource(
        "EC2::SecurityGroup",
        {"GroupDescription": description, "VpcId": ref("VpcId"), "SecurityGroupIngress": sources},
    )


def port(number: int, source: Json, description: str, last: int | None = None) -> Json:
    return {
        "IpProtocol": "tcp",
        "FromPort": number,
        "ToPort": last or number,
        "Description": description,
        **source,
    }


def network() -> Json:
    everybody = {"CidrIp": "0.0.0.0/0"}
    balancer = {"SourceSecurityGroupId": ref("BalancerGroup")}
    tasks = {"SourceSecurityGroupId": ref("TaskGroup")}
    inside = {"CidrIp": ref("VpcCidr")}
    last = METRICS_PORT + len(QUEUES)
    return {
        "BalancerGroup": group(
            "The load balancer",
            [port(443, everybody, "HTTPS"), port(80, everybody, "Redirected to HTTPS")],
        ),
        "TaskGroup": group(
            "Every task",
            [
                port(WEB_PORT, balancer, "The load balancer"),
                port(WEB_PORT, inside, "Metrics of the web process"),
                port(METRICS_PORT, inside, "Metrics of the other processes", last),
            ],
        ),
        "DatabaseGroup": group("PostgreSQL", [port(5432, tasks, "Every task")]),
        "RedisGroup": group("Redis", [port(6379, tasks, "Every task")]),
        # Prometheus inside the VPC finds processes as NAME.huntaze.internal; nobody outside does.
        "Names": resource(
            "ServiceDiscovery::PrivateDnsNamespace",
            {"Name": "huntaze.internal", "Vpc": ref("VpcId")},
        ),
    }


def stores() -> Json:
    return {
        "DatabaseSubnets": resource(
            "RDS::DBSubnetGroup",
            {
                "DBSubnetGroupDescription": "PostgreSQL of Huntaze",
                "SubnetIds": ref("PrivateSubnetIds"),
            },
            Condition="MakesDatabase",
        ),
        "DatabaseRules": resource(
            "RDS::DBParameterGroup",
            {
                "Description": "TLS or nothing",
                "Family": "postgres18",
                "Parameters": {"rds.force_ssl": "1"},
            },
            Condition="MakesDatabase",
        ),
        "Database": resource(
            "RDS::DBInstance",
            {
                "Engine": "postgres",
                "EngineVersion": "18",
                "DBParameterGroupName": ref("DatabaseRules"),
                "DBInstanceClass": ref("DatabaseClass"),
                "DBName": "huntaze",
                "MasterUsername": "huntaze",
                "MasterUserPassword": sub(
                    "{{resolve:secretsmanager:${DatabasePassword}:SecretString}}"
                ),
                "AllocatedStorage": "20",
                "MaxAllocatedStorage": 1000,
                "StorageType": "gp3",
                "StorageEncrypted": True,
                "BackupRetentionPeriod": 7,
                "CopyTagsToSnapshot": True,
                "DeletionProtection": True,
                "MultiAZ": when("Scaled", True, False),
                "PubliclyAccessible": False,
                "DBSubnetGroupName": ref("DatabaseSubnets"),
                "VPCSecurityGroups": [ref("DatabaseGroup")],
            },
            Condition="MakesDatabase",
            DeletionPolicy="Snapshot",
            UpdateReplacePolicy="Snapshot",
        ),
        "RedisSubnets": resource(
            "ElastiCache::SubnetGroup",
            {"Description": "Redis of Huntaze", "SubnetIds": ref("PrivateSubnetIds")},
            Condition="MakesRedis",
        ),
        # An index that is rebuilt from PostgreSQL: small has no replica and no backup.
        "Redis": resource(
            "ElastiCache::ReplicationGroup",
            {
                "ReplicationGroupId": ref("RedisName"),
                "ReplicationGroupDescription": "Waiting room and caches of Huntaze",
                "Engine": "valkey",
                "EngineVersion": "8.0",
                "CacheNodeType": ref("RedisNodeType"),
                "NumCacheClusters": when("ScaledRedis", 2, 1),
                "AutomaticFailoverEnabled": when("ScaledRedis", True, False),
                "MultiAZEnabled": when("ScaledRedis", True, False),
                "TransitEncryptionEnabled": True,
                "AtRestEncryptionEnabled": True,
                "AuthToken": sub("{{resolve:secretsmanager:${RedisToken}:SecretString}}"),
                "CacheSubnetGroupName": ref("RedisSubnets"),
                "SecurityGroupIds": [ref("RedisGroup")],
            },
            Condition="MakesRedis",
        ),
    }


def balancer() -> Json:
    return {
        "Balancer": resource(
            "ElasticLoadBalancingV2::LoadBalancer",
            {
                "Type": "application",
                "Scheme": "internet-facing",
                "Subnets": ref("PublicSubnetIds"),
                "SecurityGroups": [ref("BalancerGroup")],
                "LoadBalancerAttributes": [
                    {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
                    # Above the longest wait of a request, and below the web process's keep-alive.
                    {"Key": "idle_timeout.timeout_seconds", "Value": "60"},
                ],
            },
        ),
        "WebTargets": resource(
            "ElasticLoadBalancingV2::TargetGroup",
            {
                "VpcId": ref("VpcId"),
                "Port": WEB_PORT,
                "Protocol": "HTTP",
                "TargetType": "ip",
                "HealthCheckPath": "/health",
                "HealthCheckIntervalSeconds": 15,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 3,
                "TargetGroupAttributes": [
                    {"Key": "deregistration_delay.timeout_seconds", "Value": "30"}
                ],
            },
        ),
        "HttpListener": resource(
            "ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": ref("Balancer"),
                "Port": 80,
                "Protocol": "HTTP",
                "DefaultActions": [
                    {
                        "Type": "redirect",
                        "RedirectConfig": {
                            "Protocol": "HTTPS",
                            "Port": "443",
                            "StatusCode": "HTTP_301",
                        },
                    }
                ],
            },
        ),
        "HttpsListener": resource(
            "ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": ref("Balancer"),
                "Port": 443,
                "Protocol": "HTTPS",
                "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
                "Certificates": [{"CertificateArn": ref("CertificateArn")}],
                "ListenerAttributes": [
                    {
                        "Key": "routing.http.response.strict_transport_security.header_value",
                        "Value": "max-age=31536000; includeSubDomains",
                    }
                ],
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": ref("WebTargets")}],
            },
        ),
        "MetricsStayInside": resource(
            "ElasticLoadBalancingV2::ListenerRule",
            {
                "ListenerArn": ref("HttpsListener"),
                "Priority": 1,
                "Conditions": [
                    {
                        "Field": "path-pattern",
                        "PathPatternConfig": {"Values": ["/metrics", "/metrics/*"]},
                    }
                ],
                "Actions": [
                    {
                        "Type": "fixed-response",
                        "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"},
                    }
                ],
            },
        ),
    }


def allow(actions: list[str], resources: Any, **more: Any) -> Json:
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def rights(process: str) -> list[Json]:
    """What a process does with AWS; whatever is not here is refused."""
    everywhere = [queue_arn(queue) for queue in QUEUES]
    dead = [queue_arn(queue, dead=True) for queue in QUEUES]
    files = sub("${Uploads.Arn}/imports/*")
    # A missing file tells itself apart from a forbidden one only to who may list.
    lists = allow(["s3:ListBucket"], att("Uploads", "Arn"))
    if process == "release":  # also runs `huntaze doctor` and `huntaze dlq` for an operator
        return [
            allow(
                [
                    "sqs:GetQueueAttributes",
                    "sqs:SendMessage",
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:ChangeMessageVisibility",
                ],
                dead,
            ),
            allow(["sqs:GetQueueAttributes", "sqs:SendMessage"], everywhere),
            allow(["lambda:ListEventSourceMappings"], "*"),
            lists,
        ]
    made = [
        allow(["sqs:SendMessage"], everywhere),
        allow(["sqs:GetQueueAttributes"], [*everywhere, *dead]),
        allow(
            ["cloudwatch:PutMetricData"],
            "*",
            Condition={"StringEquals": {"cloudwatch:namespace": ref("CloudWatchNamespace")}},
        ),
    ]
    queue = queue_of(process)
    if queue:
        own = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
        made.append(allow(own, queue_arn(queue)))
        # What can never succeed goes there at once.
        made.append(allow(["sqs:SendMessage"], queue_arn(queue, dead=True)))
    if process == "web":
        made += [allow(["s3:PutObject", "s3:DeleteObject"], files)]
    if process == "pacer":
        made += [allow(["s3:DeleteObject"], files), lists]
    if process == "worker-imports":
        made += [allow(["s3:GetObject", "s3:DeleteObject"], files), lists]
    return made


def role(statements: list[Json], managed: list[Json] | None = None) -> Json:
    return {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        },
        "Policies": [
            {
                "PolicyName": "own",
                "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
            }
        ],
        **({"ManagedPolicyArns": managed} if managed else {}),
    }


def wanted_secrets(process: str) -> tuple[str, ...]:
    if process == "release":
        return tuple(SECRETS)
    return tuple(SECRETS) if process == "web" else WORK_SECRETS


def container(process: str, command: str, metrics_port: int | None) -> Json:
    """One process of the Procfile. `exec`: the signal that ends it must reach it, not a shell."""
    settings = {
        "AWS_REGION": ref("AWS::Region"),
        "SQS_RATE_LIMITER_QUEUE_URL": sub(
            "https://sqs.${AWS::Region}.${AWS::URLSuffix}/${AWS::AccountId}/${MessagesQueueName}"
        ),
        "SQS_QUEUE_URL_PREFIX": sub(
            "https://sqs.${AWS::Region}.${AWS::URLSuffix}/${AWS::AccountId}/huntaze-"
        ),
        "REDIS_ENDPOINT": when(
            "MakesRedis",
            sub("${Redis.PrimaryEndPoint.Address}:${Redis.PrimaryEndPoint.Port}"),
            ref("RedisEndpoint"),
        ),
        "S3_BUCKET": ref("Uploads"),
        "PUBLIC_URL": sub("https://${DomainName}"),
        "CLOUDWATCH_NAMESPACE": ref("CloudWatchNamespace"),
        "RATE_LIMITER_ENABLED": ref("RateLimiterEnabled"),
        "ONLYFANS_CRM_ENABLED": ref("OnlyFansCrmEnabled"),
        "RATE_LIMIT_PER_MINUTE": ref("RateLimitPerMinute"),
        "LOG_LEVEL": ref("LogLevel"),
        "BUILD": ref("Build"),
    }
    if process == "web":
        settings |= {"BIND_HOST": "0.0.0.0", "PORT": str(WEB_PORT), "TRUSTED_PROXIES": "1"}
    if metrics_port:
        settings |= {"METRICS_HOST": "0.0.0.0", "METRICS_PORT": str(metrics_port)}
    shown = WEB_PORT if process == "web" else metrics_port
    made: Json = {
        "Name": process,
        "Image": ref("Image"),
        "Essential": True,
        "Command": ["/bin/sh", "-c", f"exec {command}"],
        "StopTimeout": STOP_SECONDS,
        "LinuxParameters": {"InitProcessEnabled": True},
        "Environment": [{"Name": name, "Value": value} for name, value in settings.items()],
        "Secrets": [
            {"Name": name, "ValueFrom": secret_arn(name)} for name in wanted_secrets(process)
        ],
        "LogConfiguration": {
            "LogDriver": "awslogs",
            "Options": {
                "awslogs-group": ref(f"{words(process)}Logs"),
                "awslogs-region": ref("AWS::Region"),
                "awslogs-stream-prefix": process,
            },
        },
    }
    if shown:
        made["PortMappings"] = [{"ContainerPort": shown}]
        made["HealthCheck"] = {
            "Command": ["CMD", "python", "-m", "cli.alive"],
            "Interval": 30,
            "Timeout": 10,
            "Retries": 3,
            "StartPeriod": 60,
        }
    return made


def task(name: str, processes: list[str], condition: str | None, cpu: str, memory: str) -> Json:
    """A task definition with its two roles: what ECS may read for it, and what it may do itself."""
    commands = procfile()
    only = {"Condition": condition} if condition else {}
    names = sorted({one for process in processes for one in wanted_secrets(process)})
    reads = [secret_arn(one) for one in names]
    logs = [sub(f"${{{words(process)}Logs.Arn}}") for process in processes]
    doing: list[Json] = []
    for process in processes:
        doing += [one for one in rights(process) if one not in doing]
    pulls = allow(
        [
            "ecr:GetAuthorizationToken",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
            "ecr:BatchCheckLayerAvailability",
        ],
        "*",
    )
    single = len(processes) == 1
    containers = [
        container(
            process,
            commands[process],
            None if process in {"web", "release"} else METRICS_PORT + (0 if single else index),
        )
        for index, process in enumerate(processes)
    ]
    return {
        f"{name}ExecutionRole": resource(
            "IAM::Role",
            role(
                [
                    allow(["secretsmanager:GetSecretValue"], reads),
                    allow(["logs:CreateLogStream", "logs:PutLogEvents"], logs),
                    pulls,
                ]
            ),
            **only,
        ),
        f"{name}Role": resource("IAM::Role", role(doing), **only),
        f"{name}Task": resource(
            "ECS::TaskDefinition",
            {
                "Family": sub(f"${{AWS::StackName}}-{name}"),
                "RequiresCompatibilities": ["FARGATE"],
                "NetworkMode": "awsvpc",
                "Cpu": cpu,
                "Memory": memory,
                "RuntimePlatform": {
                    "CpuArchitecture": ref("Architecture"),
                    "OperatingSystemFamily": "LINUX",
                },
                "ExecutionRoleArn": att(f"{name}ExecutionRole", "Arn"),
                "TaskRoleArn": att(f"{name}Role", "Arn"),
                "ContainerDefinitions": containers,
            },
            **only,
        ),
    }


def service(name: str, processes: list[str], condition: str) -> Json:
    small = condition == "Small"
    public = "ENABLED" if small else "DISABLED"
    subnets = ref("PublicSubnetIds" if small else "PrivateSubnetIds")
    behind = (
        {
            "LoadBalancers": [
                {
                    "ContainerName": "web",
                    "ContainerPort": WEB_PORT,
                    "TargetGroupArn": ref("WebTargets"),
                }
            ],
            "HealthCheckGracePeriodSeconds": 60,
        }
        if "web" in processes
        else {}
    )
    return {
        f"{name}Name": resource(
            "ServiceDiscovery::Service",
            {
                "Name": processes[0] if len(processes) == 1 else "work",
                "DnsConfig": {
                    "NamespaceId": ref("Names"),
                    "DnsRecords": [{"Type": "A", "TTL": 15}],
                    "RoutingPolicy": "MULTIVALUE",
                },
                "HealthCheckCustomConfig": {"FailureThreshold": 1},
            },
            Condition=condition,
        ),
        f"{name}Service": resource(
            "ECS::Service",
            {
                "ServiceName": sub(f"${{AWS::StackName}}-{name}"),
                "Cluster": when("MakesCluster", ref("Cluster"), ref("ClusterName")),
                "LaunchType": "FARGATE",
                "TaskDefinition": ref(f"{name}Task"),
                # Two of the pacer may run: release is atomic, healing belongs to one of them.
                "DesiredCount": when("Runs", 1 if small else 2, 0),
                "DeploymentConfiguration": {
                    "MinimumHealthyPercent": 100,
                    "MaximumPercent": 200,
                    "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
                },
                "NetworkConfiguration": {
                    "AwsvpcConfiguration": {
                        "AssignPublicIp": public,
                        "Subnets": subnets,
                        "SecurityGroups": [ref("TaskGroup")],
                    }
                },
                "ServiceRegistries": [{"RegistryArn": att(f"{name}Name", "Arn")}],
                **behind,
            },
            Condition=condition,
            # A service may stand only behind what a listener leads to.
            **({"DependsOn": ["HttpsListener"]} if behind else {}),
        ),
    }


def scaling(name: str, process: str) -> Json:
    """By backlog per task; the web process by requests per task. Running tasks are counted by how
    many of them report their CPU, which costs nothing."""
    queue = queue_of(process)
    if queue:
        custom = {
            "TargetValue": BACKLOG_PER_TASK[queue],
            "CustomizedMetricSpecification": {
                "Metrics": [
                    {
                        "Id": "backlog",
                        "ReturnData": False,
                        "MetricStat": {
                            "Stat": "Maximum",
                            "Metric": {
                                "Namespace": "AWS/SQS",
                                "MetricName": "ApproximateNumberOfMessagesVisible",
                                "Dimensions": [
                                    {"Name": "QueueName", "Value": sub(queue_name(queue))}
                                ],
                            },
                        },
                    },
                    {
                        "Id": "tasks",
                        "ReturnData": False,
                        "MetricStat": {
                            "Stat": "SampleCount",
                            "Metric": {
                                "Namespace": "AWS/ECS",
                                "MetricName": "CPUUtilization",
                                "Dimensions": [
                                    {"Name": "ClusterName", "Value": ref("ClusterName")},
                                    {"Name": "ServiceName", "Value": att(f"{name}Service", "Name")},
                                ],
                            },
                        },
                    },
                    {
                        "Id": "backlogPerTask",
                        "Label": "Backlog per task",
                        "Expression": "FILL(backlog, 0) / IF(tasks > 0, tasks, 1)",
                        "ReturnData": True,
                    },
                ]
            },
        }
    else:
        label = sub("${Balancer.LoadBalancerFullName}/${WebTargets.TargetGroupFullName}")
        custom = {
            "TargetValue": 1500,  # requests a minute; the web process answered 25 a second easily
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "ALBRequestCountPerTarget",
                "ResourceLabel": label,
            },
        }
    return {
        f"{name}Range": resource(
            "ApplicationAutoScaling::ScalableTarget",
            {
                "ServiceNamespace": "ecs",
                "ScalableDimension": "ecs:service:DesiredCount",
                "ResourceId": sub(f"service/${{ClusterName}}/${{{name}Service.Name}}"),
                "MinCapacity": when("Runs", 2, 0),
                "MaxCapacity": when("Runs", 20, 0),
            },
            Condition="Scaled",
        ),
        f"{name}Scaling": resource(
            "ApplicationAutoScaling::ScalingPolicy",
            {
                "PolicyName": sub(f"${{AWS::StackName}}-{name}"),
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": ref(f"{name}Range"),
                "TargetTrackingScalingPolicyConfiguration": {
                    **custom,
                    "ScaleOutCooldown": 60,
                    "ScaleInCooldown": 300,
                },
            },
            Condition="Scaled",
        ),
    }


def services() -> Json:
    processes = list(procfile())
    running = [process for process in processes if process != "release"]
    made = task("Release", ["release"], None, "256", "512")
    work = [process for process in running if process != "web"]
    for name, those in (("SmallWeb", ["web"]), ("SmallWork", work)):
        size = SMALL_SIZES["web" if those == ["web"] else "work"]
        made |= task(name, those, "Small", *size) | service(name, those, "Small")
    for process in running:
        name, size = words(process), SCALED_SIZES.get(process, ("256", "512"))
        made |= task(name, [process], "Scaled", *size) | service(name, [process], "Scaled")
        if process != "pacer":
            made |= scaling(name, process)
    made |= {
        f"{words(process)}Logs": resource(
            "Logs::LogGroup",
            {
                "LogGroupName": sub(f"/huntaze/${{AWS::StackName}}/{process}"),
                "RetentionInDays": ref("LogDays"),
            },
        )
        for process in processes
    }
    return made


def metric(name: str, stat: str, period: int, namespace: Any = None, **dimensions: Any) -> Json:
    return {
        "Period": period,
        "Stat": stat,
        "Metric": {
            "Namespace": namespace or ref("CloudWatchNamespace"),
            "MetricName": name,
            **(
                {"Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()]}
                if dimensions
                else {}
            ),
        },
    }


def alarm(
    severity: str,
    threshold: float,
    why: str,
    expression: str | None = None,
    periods: int = 1,
    **metrics: Json,
) -> Json:
    """Fires above `threshold`, never at it. Silence is no fire: a system that is switched off must
    wake nobody, and one that died is seen by its health checks."""
    parts = [
        {"Id": name, "MetricStat": one, "ReturnData": expression is None}
        for name, one in metrics.items()
    ]
    if expression:
        parts.append({"Id": "value", "Expression": expression, "ReturnData": True})
    topic = {"critical": "CriticalAlarms", "warning": "WarningAlarms"}[severity]
    return {
        "AlarmDescription": f"{severity}: {why}",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": threshold,
        "EvaluationPeriods": periods,
        "TreatMissingData": "notBreaching",
        "AlarmActions": [ref(topic)],
        "OKActions": [ref(topic)],
        "Metrics": parts,
    }


def alarms() -> Json:
    """The rules of `/api/monitoring/onlyfans` by the same names, the product owner's four first."""
    dead = {
        f"dead{index}": metric(
            "ApproximateNumberOfMessagesVisible",
            "Maximum",
            60,
            "AWS/SQS",
            QueueName=sub(queue_name(queue) + "-dlq"),
        )
        for index, queue in enumerate(QUEUES)
    }
    rules = {
        "queue_depth": alarm(
            "warning",
            100,
            "messages accepted and not sent yet; normal while a campaign runs",
            depth=metric("OnlyFansQueueDepth", "Maximum", 60),
        ),
        "dead_letters": alarm(
            "critical",
            10,
            "queue messages given up after five tries",
            " + ".join(f"FILL({name}, 0)" for name in dead),
            **dead,
        ),
        "failure_rate": alarm(
            "warning",
            0.05,
            "failed / (sent + failed) in the last 15 minutes, judged from 20 on",
            "IF(FILL(sent, 0) + FILL(failed, 0) >= 20,"
            " FILL(failed, 0) / (FILL(sent, 0) + FILL(failed, 0)), 0)",
            sent=metric("OnlyFansMessagesProcessed", "Sum", 900),
            failed=metric("OnlyFansMessagesFailed", "Sum", 900),
        ),
        "worker_errors": alarm(
            "critical",
            10,
            "tasks of workers that ended with an error within a minute",
            errors=metric("OnlyFansWorkerErrors", "Sum", 60),
        ),
        "lateness": alarm(
            "critical",
            60,
            "how long past its announced time the latest waiting message is, in seconds",
            late=metric("OnlyFansLateness", "Maximum", 60),
        ),
        "oldest_age": alarm(
            "critical",
            900,
            "how long the oldest direct reply of an account that sends has waited, in seconds",
            oldest=metric("OnlyFansOldestAge", "Maximum", 60),
        ),
    }
    made: Json = {
        name: resource("SNS::Topic", {"TopicName": sub("${AWS::StackName}-" + end)})
        for name, end in (("CriticalAlarms", "critical"), ("WarningAlarms", "warning"))
    }
    for topic in list(made):
        made[f"{topic}Mail"] = resource(
            "SNS::Subscription",
            {"TopicArn": ref(topic), "Protocol": "email", "Endpoint": ref("AlarmEmail")},
            Condition="TellsSomebody",
        )
    for name, rule in rules.items():
        logical = "".join(part.capitalize() for part in name.split("_")) + "Alarm"
        made[logical] = resource(
            "CloudWatch::Alarm", {"AlarmName": sub(f"${{AWS::StackName}}-{name}"), **rule}
        )
    return made


def template() -> Json:
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Huntaze on ECS Fargate",
        "Parameters": PARAMETERS,
        "Conditions": CONDITIONS,
        "Resources": {
            **queues(),
            **bucket(),
            **secrets(),
            **network(),
            **stores(),
            **balancer(),
            "Cluster": resource(
                "ECS::Cluster", {"ClusterName": ref("ClusterName")}, Condition="MakesCluster"
            ),
            **services(),
            **alarms(),
        },
        "Outputs": {
            "Address": {
                "Description": "What DomainName must be an alias of",
                "Value": att("Balancer", "DNSName"),
            },
            "ReleaseTask": {
                "Description": "Run it before the rest starts: `huntaze migrate`",
                "Value": ref("ReleaseTask"),
            },
            "Tasks": {
                "Description": "The security group of whatever runs beside the services",
                "Value": ref("TaskGroup"),
            },
        },
    }


class Plain(yaml.SafeDumper):
    """CloudFormation knows no aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def text() -> str:
    head = "# Made by `python deploy/template.py`, which says why; a test compares them.\n"
    return head + yaml.dump(template(), Dumper=Plain, sort_keys=False, width=100)


if __name__ == "__main__":
    sys.stdout.write(text())
