"""What whoever deploys decides, by the product owner's names."""

from typing import Any

from parts.vocabulary import Json, ref


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
    "TracesEndpoint": parameter(
        "OTEL_EXPORTER_OTLP_ENDPOINT, a collector that the tasks reach; empty traces nothing", ""
    ),
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
