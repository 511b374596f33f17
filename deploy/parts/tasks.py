"""What runs in a task: containers, and the least rights that their processes need."""

from typing import Any

from parts.data import SECRETS, secret_arn
from parts.network import METRICS_PORT, WEB_PORT
from parts.vocabulary import (
    Json,
    att,
    procfile,
    queue_arn,
    queue_of,
    ref,
    resource,
    sub,
    when,
    words,
)

from infra.settings import QUEUES

# A call may take 20 s and a delivery 29: whatever began has ended long before ECS loses patience.
STOP_SECONDS = 60
WORK_SECRETS = tuple(name for name in SECRETS if name != "ONLYFANS_WEBHOOK_SECRET")


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
        "OTEL_EXPORTER_OTLP_ENDPOINT": ref("TracesEndpoint"),
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
